"""Shift-tolerant LPIPS (Ghildyal and Liu, ECCV 2022), AlexNet: a perceptual metric that no loss of sic
uses. The network is written out here, its weights are the published ones (see `backbones`).

Against AlexNet: the first convolution has stride 1, each stride is a blur before the sampling, padded
by reflection.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ..errors import ModelError

CONVOLUTIONS = ("slice1.0", "slice2.5", "slice3.9", "slice4.11", "slice5.13")
PADDING = (2, 2, 1, 1, 1)
BLUR = (1.0, 2.0, 1.0)


def _halve(x: Tensor) -> Tensor:
    """Blur by 1 2 1 both ways, keep every other sample."""
    taps = torch.tensor(BLUR) / sum(BLUR)
    kernel = (taps[:, None] * taps).expand(x.shape[1], 1, 3, 3)
    return F.conv2d(F.pad(x, (2, 2, 2, 2), mode="reflect"), kernel, stride=2, groups=x.shape[1])


class StLpips:
    """The distance. state: of the published metric, see `backbones.shift_tolerant`."""

    def __init__(self, state: dict[str, Tensor]) -> None:
        try:
            self.shift, self.scale = (state[f"scaling_layer.{n}"] for n in ("shift", "scale"))
            self.layers = [(state[f"net.{n}.weight"], state[f"net.{n}.bias"]) for n in CONVOLUTIONS]
            self.heads = [state[f"lin{i}.model.1.weight"] for i in range(len(CONVOLUTIONS))]
        except KeyError as error:
            raise ModelError(f"not the weights of ST-LPIPS: {error} is missing") from None

    def features(self, pixels: NDArray[np.uint8]) -> list[Tensor]:
        """Five activations of a picture uint8 (H, W, 3), each of unit length at every position."""
        x = torch.from_numpy(np.array(pixels)).permute(2, 0, 1)[None].float() / 127.5 - 1
        x, out = (x - self.shift) / self.scale, []
        with torch.inference_mode():
            for index, (weight, bias) in enumerate(self.layers):
                if index in (1, 2):
                    x = _halve(F.max_pool2d(x, 3, 1))
                x = F.conv2d(x, weight, bias, padding=PADDING[index])
                x = F.relu(_halve(x) if index == 0 else x)
                out.append(x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10))
        return out

    def distance(self, a: list[Tensor], b: list[Tensor]) -> float:
        """Distance of two pictures by their features; 0 if equal."""
        with torch.inference_mode():
            parts = (
                ((p - q).square() * head).sum(1).mean()
                for p, q, head in zip(a, b, self.heads, strict=True)
            )
            return float(sum(parts))
