"""The context network in torch, for training.

Its real parameters stand for the integer network that codes: forward rounds them as the weights file does,
and the gradient passes straight through the rounding. So nothing is lost between training and coding;
`inference/context_network.py` computes the same whole numbers with NumPy.

For every channel and position it gives three logits:
  significance  the index stays 0, given that it is 0 now or not yet sent
  sign          the index is positive, given that it becomes significant
  refinement    the value lies in the inner half of its interval, given that the index is not 0
For a Laplace source the first and the third are step size / scale.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..inference.config import ModelConfig
from ..inference.integer_network import (
    ACTIVATION_MAX,
    LOGIT_ONE,
    WEIGHT_SHIFT,
    ContextWeights,
)
from ..quantization.passes import CodingPass

BIAS_MAX = 2.0**21


def magnitude_logs() -> Tensor:
    """float (256,) whole numbers round(16 log2(2 m + 1)); part of every weights file."""
    return torch.tensor([float(round(16 * math.log2(2 * m + 1))) for m in range(256)])


def straight_floor(x: Tensor) -> Tensor:
    """floor(x); the gradient passes as if it were x."""
    return x + (torch.floor(x) - x).detach() if torch.is_grad_enabled() else torch.floor(x)


def whole(parameter: Tensor, one: float, most: float) -> Tensor:
    """The whole number that a parameter stands for in units of 1 / one, held in -most..most."""
    return straight_floor((parameter * one).clamp(-most, most) + 0.5)


def rescale(x: Tensor) -> Tensor:
    """Whole numbers in units of 1/LOGIT_ONE to units of 1/16, rounded to nearest."""
    return straight_floor(x * 2.0**-WEIGHT_SHIFT + 0.5)


class ContextNetwork(nn.Module):
    """The trainable form. passes: those that it is asked for, by number."""

    def __init__(self, config: ModelConfig, passes: tuple[CodingPass, ...]) -> None:
        super().__init__()
        wide, hidden, count = config.context_width, config.context_hidden, config.channels
        self.passes, self.channels = passes, count

        def weight(outputs: int, inputs: int, side: int, gain: float) -> nn.Parameter:
            spread = gain / math.sqrt(inputs * side * side)
            return nn.Parameter(torch.randn(outputs, inputs, side, side) * spread)

        self.entry = weight(wide, 2 * count, 1, 0.5)
        self.entry_bias = nn.Parameter(torch.zeros(len(passes), 2, wide))
        self.mid = weight(hidden, wide, 3, 1.0)
        self.mid_bias = nn.Parameter(torch.zeros(len(passes), hidden))
        self.back = weight(wide, hidden, 1, 0.3)
        self.exit = weight(3 * count, wide, 1, 0.1)
        self.exit_bias = nn.Parameter(torch.zeros(len(passes), 3 * count))

    def show_directly(self, channels: tuple[int, ...]) -> None:
        """Let the first activations carry these channels' values as they are: a start from which
        differences of neighbouring mean colours are learned at once."""
        with torch.no_grad():
            for place, channel in enumerate(channels):
                self.entry[place] = 0
                self.entry[place, channel] = 127 / 128
                self.entry_bias[:, :, place] = ACTIVATION_MAX / 32

    def weights(self) -> ContextWeights[Tensor]:
        """The integer network that these parameters stand for."""

        def weight(parameter: Tensor) -> Tensor:
            return whole(parameter, 2**WEIGHT_SHIFT, 127)

        def bias(parameter: Tensor) -> Tensor:
            return whole(parameter, LOGIT_ONE, BIAS_MAX)

        return ContextWeights(
            weight(self.entry),
            bias(self.entry_bias),
            weight(self.mid),
            bias(self.mid_bias),
            weight(self.back),
            weight(self.exit),
            bias(self.exit_bias),
        )

    def forward(self, features: Tensor, number: int, coded: Tensor) -> Tensor:
        """Real logits (B, h, w, 3, R) of the channels of pass `number`.

        features: whole numbers (B, h, w, 2 C), values of all channels, then logarithms; coded: bool
        (h, w), positions that earlier phases of the group have coded.
        """
        one, wide = self.passes[number], len(self.entry)
        pending, done = whole(self.entry_bias[number], LOGIT_ONE, BIAS_MAX)
        sums = features @ self._matrix(self.entry).T
        x = rescale(sums + torch.where(coded[..., None], done, pending)).permute(0, 3, 1, 2)
        mid = whole(self.mid, 2**WEIGHT_SHIFT, 127)
        bias = whole(self.mid_bias[number], LOGIT_ONE, BIAS_MAX)[:, None, None]
        h = F.conv2d(x.clamp(0, ACTIVATION_MAX), mid, padding=1) + bias
        h = rescale(h).clamp(0, ACTIVATION_MAX)
        x = x.clamp(0, ACTIVATION_MAX) + rescale(
            F.conv2d(h, whole(self.back, 2**WEIGHT_SHIFT, 127))
        )
        x = x.clamp(0, ACTIVATION_MAX).permute(0, 2, 3, 1).reshape(-1, wide)
        rows = torch.from_numpy(one.channels)
        rows = torch.cat([rows + kind * self.channels for kind in range(3)])
        logit = x @ self._matrix(self.exit[rows]).T
        logit = logit + whole(self.exit_bias[number, rows], LOGIT_ONE, BIAS_MAX)
        return (logit / LOGIT_ONE).reshape(*features.shape[:3], 3, len(one.channels))

    @staticmethod
    def _matrix(weight: Tensor) -> Tensor:
        return whole(weight, 2**WEIGHT_SHIFT, 127)[:, :, 0, 0]
