"""The one residual block that both transforms are made of."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Block(nn.Module):
    """x + conv(gelu(gain[level] * conv(x))). The second convolution starts at zero.

    gains: how many sets of gains there are: one per level, or 1 where the level is not known.
    """

    def __init__(self, width: int, gains: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        self.gain = nn.Parameter(torch.ones(gains, width))
        zero(self.second)

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        """x: float (B, width, h, w); level: int64 (B,), row of `gain`."""
        h = F.gelu(self.first(x) * self.gain[level][:, :, None, None], approximate="tanh")
        out: Tensor = x + self.second(h)
        return out


def zero(layer: nn.Conv2d) -> None:
    """Start a layer at zero, so that the network around it starts as what is left: the shortcut."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
