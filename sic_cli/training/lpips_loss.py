"""LPIPS as a loss, with AlexNet and with SqueezeNet: their features and the published heads, with gradients.

The features come from files of the developer (`backbones_of`); they are never part of the weights that ship.
The same features are what the discriminator `heads` looks at (discriminator.py). Source: Zhang and others, "The
Unreasonable Effectiveness of Deep Features as a Perceptual Metric", CVPR 2018.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from ..errors import ModelError
from ..metrics.published import read_published

VARIABLE = "SIC_LPIPS_WEIGHTS"
"""Names the folder of backbones where no option does."""
TOGETHER = "backbones.safetensors"
"""All of them in one file, as `benchmarks/gpu_pack.py` writes it."""
FILES = {
    "alex": ("alexnet_features_imagenet.pth", "lpips_v0.1_lin_alex.pth"),
    "squeeze": ("squeezenet1_1_features_imagenet.pth", "lpips_v0.1_lin_squeeze.pth"),
}
"""Features as torchvision names them, and heads as the package `lpips` has them."""
SHIFT = (-0.030, -0.088, -0.188)
SCALE = (0.458, 0.448, 0.450)
ALEX = ((0, 4, 2), (3, 1, 2), (6, 1, 1), (8, 1, 1), (10, 1, 1))
"""(layer number, stride, padding) of AlexNet's convolutions."""
POOLED = (1, 2)
"""AlexNet's convolutions that follow a maximum over 3x3."""
SQUEEZE = ((), (3, 4), (6, 7), (9,), (10,), (11,), (12,))
"""SqueezeNet's fire modules before each of its features; the first is the entry convolution."""
SHIFTS = 4
"""Before anything of a picture is looked at, 0 to 3 of its first rows and columns are left out: the features
have a grid of 4 pixels, and a decoder that always met it at the same place would paint the grid."""

Features = list[Tensor]
"""Maps (B, n, h, w), each of unit length at every position."""


def unit_length(x: Tensor) -> Tensor:
    """Every position divided by its length, in the precision of the network: in bfloat16 the gradient at the
    pixels keeps its direction to 0.9999, and a step is a tenth shorter."""
    out: Tensor = x / (x.square().sum(1, keepdim=True) + 1e-10).sqrt()
    return out


class LpipsLoss(nn.Module):
    """Distance of pictures (B, 3, H, W) in [-127.5, 127.5] by one network. kind: "alex" or "squeeze"; tensors:
    `features.N...` and `linN`."""

    def __init__(self, kind: str, tensors: dict[str, Tensor]) -> None:
        super().__init__()
        self.kind = kind
        for name, value in tensors.items():
            value = value.float()
            if value.dim() == 4 and name.startswith("features"):
                value = value.contiguous(memory_format=torch.channels_last)
            self.register_buffer(name.replace(".", "_"), value)
        self.register_buffer("shift", torch.tensor(SHIFT).view(1, 3, 1, 1))
        self.register_buffer("spread", torch.tensor(SCALE).view(1, 3, 1, 1))

    @property
    def widths(self) -> list[int]:
        """Channels of each feature map."""
        count = len(ALEX if self.kind == "alex" else SQUEEZE)
        return [self.get_buffer(f"lin{i}").shape[1] for i in range(count)]

    def features(self, pixels: Tensor) -> Features:
        """What LPIPS compares."""
        x = (pixels / 127.5 - self.get_buffer("shift")) / self.get_buffer("spread")
        x = x.contiguous(memory_format=torch.channels_last)
        maps = self._alex(x) if self.kind == "alex" else self._squeeze(x)
        return [unit_length(one) for one in maps]

    def distance(self, a: Features, b: Features) -> Tensor:
        """(B,) from the features of two pictures."""
        total = torch.zeros(len(a[0]), device=a[0].device)
        for index, (p, q) in enumerate(zip(a, b, strict=True)):
            head = self.get_buffer(f"lin{index}")
            total = total + ((p - q).square() * head).sum(1).mean((1, 2))
        return total

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return self.distance(self.features(a), self.features(b))

    def _conv(self, x: Tensor, name: str, stride: int = 1, padding: int = 0) -> Tensor:
        weight, bias = self.get_buffer(f"{name}_weight"), self.get_buffer(f"{name}_bias")
        return F.relu(F.conv2d(x, weight, bias, stride, padding))

    def _alex(self, x: Tensor) -> Features:
        out = []
        for index, (number, stride, padding) in enumerate(ALEX):
            if index in POOLED:
                x = F.max_pool2d(x, 3, 2)
            x = self._conv(x, f"features_{number}", stride, padding)
            out.append(x)
        return out

    def _squeeze(self, x: Tensor) -> Features:
        out = []
        for index, fires in enumerate(SQUEEZE):
            if not index:
                x = self._conv(x, "features_0", 2)
            elif index <= 3:
                x = F.max_pool2d(x, 3, 2, ceil_mode=True)
            for number in fires:
                name = f"features_{number}"
                x = self._conv(x, f"{name}_squeeze")
                wide = self._conv(x, f"{name}_expand3x3", padding=1)
                x = torch.cat([self._conv(x, f"{name}_expand1x1"), wide], 1)
            out.append(x)
        return out


def _published(path: Path) -> dict[str, Tensor]:
    """The tensors of a `.pth` file whose bytes are known. Raises ValueError for any other."""
    known = read_published(path.read_bytes())
    if known is None:
        raise ValueError(f"{path.name} is not the published file")
    return {name: torch.from_numpy(array) for name, array in known.items()}


def backbones_of(folder: Path) -> dict[str, Tensor]:
    """All tensors by the names of TOGETHER: `alex.features.0.weight`, ..., `squeeze.lin0`. Raises ModelError."""
    try:
        if (folder / TOGETHER).is_file():
            return load_file(folder / TOGETHER)
        found: dict[str, Tensor] = {}
        for kind, (features, heads) in FILES.items():
            net, lin = (_published(folder / name) for name in (features, heads))
            found |= {f"{kind}.{name}": value for name, value in net.items()}
            count = len(ALEX if kind == "alex" else SQUEEZE)
            found |= {f"{kind}.lin{i}": lin[f"lin{i}.model.1.weight"] for i in range(count)}
        return found
    except (OSError, KeyError, ValueError, SafetensorError) as error:
        wanted = ", ".join(name for pair in FILES.values() for name in pair)
        raise ModelError(
            f"{folder}: no networks of the perceptual loss there ({error})",
            f"the folder must hold {TOGETHER}, or {wanted}",
        ) from None


def perceptual_networks(folder: Path) -> nn.ModuleDict:
    """`LpipsLoss` by kind, frozen. Raises ModelError."""
    tensors = backbones_of(folder)
    made = nn.ModuleDict(
        {
            kind: LpipsLoss(
                kind,
                {k[len(kind) + 1 :]: v for k, v in tensors.items() if k.startswith(kind + ".")},
            )
            for kind in FILES
        }
    )
    return made.eval().requires_grad_(False)
