"""LPIPS as a loss (stage 3): AlexNet features and the published heads, with gradients.

The features come from a safetensors file (`benchmarks/gpu_pack.py` writes one from the backbones that
development uses); they are never part of the weights that ship. Source: Zhang and others, "The Unreasonable
Effectiveness of Deep Features as a Perceptual Metric", CVPR 2018.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

SHIFT = (-0.030, -0.088, -0.188)
SCALE = (0.458, 0.448, 0.450)
STAGES = ((0, 4, 2), (3, 1, 2), (6, 1, 1), (8, 1, 1), (10, 1, 1))
"""(layer number, stride, padding) of AlexNet's convolutions."""


class LpipsLoss(nn.Module):
    """Distance of pictures in [-127.5, 127.5]: (B, 3, H, W) twice -> (B,)."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        for name, value in load_file(file).items():
            self.register_buffer(name.replace(".", "_"), value.float())
        self.register_buffer("shift", torch.tensor(SHIFT).view(1, 3, 1, 1))
        self.register_buffer("spread", torch.tensor(SCALE).view(1, 3, 1, 1))

    def features(self, pixels: Tensor) -> list[Tensor]:
        """The five activations, each of unit length at every position."""
        x = (pixels / 127.5 - self.get_buffer("shift")) / self.get_buffer("spread")
        out = []
        for index, (number, stride, padding) in enumerate(STAGES):
            if index in (1, 2):
                x = F.max_pool2d(x, 3, 2)
            weight = self.get_buffer(f"features_{number}_weight")
            x = F.relu(
                F.conv2d(x, weight, self.get_buffer(f"features_{number}_bias"), stride, padding)
            )
            out.append(x / (x.square().sum(1, keepdim=True) + 1e-10).sqrt())
        return out

    def shifted(self, a: Tensor, b: Tensor, dy: int, dx: int) -> Tensor:
        """The distance without the first rows and columns: the features have a grid of 4 pixels, and
        a decoder that always met it at the same place would paint the grid."""
        return self.forward(a[:, :, dy:, dx:], b[:, :, dy:, dx:])

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        total = torch.zeros(len(a), device=a.device)
        for index, (p, q) in enumerate(zip(self.features(a), self.features(b), strict=True)):
            head = self.get_buffer(f"lin{index}")
            total = total + ((p - q).square() * head).sum(1).mean((1, 2))
        return total
