"""The context network: from all indices decoded so far to one small index per coming symbol.

It runs in integers, held in float32: activations are 0..255, weights -127..127, every sum stays
below 2**24 and every rescaling is a shift, so any order of summation gives the same result on every
machine (ARCHITECTURE.md, invariant 5). Training uses the very same code, with gradients passed
straight through the rounding, so nothing is lost by the step from training to coding:
`inference/context.py` runs the same network with NumPy.

For each channel and position it gives three logits, in units of `LOGIT_ONE`:
  0  significance: stays in the dead zone, given that it is in the dead zone now (or is not yet sent)
  1  sign: is positive, given that it leaves the dead zone
  2  refinement: goes to the inner half of its interval, given that the interval is not 0
For a Laplace source the first and the third are simply width / scale (see ARCHITECTURE.md).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..inference.config import ModelConfig
from ..inference.integer_network import (
    ACTIVATION_MAX,
    FEATURE_MAX,
    LOGIT_ONE,
    MAGNITUDES,
    WEIGHT_SHIFT,
    ContextWeights,
)

ACTIVATION_ONE = 16


@contextmanager
def exact() -> Iterator[None]:
    """Inside, torch computes what it is told, in float32, without gradients. NNPACK's kernels were
    measured inexact."""
    with (
        torch.inference_mode(),
        torch.autocast("cpu", enabled=False),
        torch.backends.nnpack.flags(enabled=False),
    ):
        yield


def magnitude_logs() -> Tensor:
    """float (256,) whole numbers round(16 log2(2 m + 1)); part of every weights file."""
    return torch.tensor([float(round(16 * math.log2(2 * m + 1))) for m in range(MAGNITUDES)])


def floor_through(x: Tensor) -> Tensor:
    """floor(x); in training the gradient passes as if it were x."""
    return x + (torch.floor(x) - x).detach() if torch.is_grad_enabled() else torch.floor(x)


def features(indices: Tensor, depth: Tensor, reach: Tensor, logs: Tensor) -> Tensor:
    """What the network sees of the indices: their value and its logarithm, relative to the channel.

    indices: whole numbers (B, C, h, w), 0 where not sent; depth: (B, C); reach: (C,) depth at which
    the value 2 m + 1 counts as it is; logs: from `magnitude_logs`.
    -> whole numbers (B, 2 C, h, w): the first C in -127..127, the rest in 0..127. Every step is a
    shift, an addition or a look-up.
    """
    lift = (reach[None] - depth)[:, :, None, None]
    magnitude = indices.abs().clamp_max(MAGNITUDES - 1)
    value = torch.floor((2 * magnitude + 1) * torch.exp2(lift)).clamp_max(FEATURE_MAX)
    log = (logs[magnitude.long()] + 16 * lift).clamp(1, FEATURE_MAX)
    alive = indices != 0
    return torch.cat([torch.where(alive, value * indices.sign(), 0), torch.where(alive, log, 0)], 1)


def rescale(x: Tensor) -> Tensor:
    """Whole numbers in units of 1/LOGIT_ONE to units of 1/16, rounded to nearest."""
    return floor_through(x * 2.0**-WEIGHT_SHIFT + 0.5)


def trunk(weights: ContextWeights[Tensor], seen: Tensor, coding_pass: Tensor) -> Tensor:
    """seen: from `features`; coding_pass: int64 (B,) -> activations 0..255 (B, context_width, h, w)."""
    x = rescale(F.conv2d(seen, weights.entry) + weights.entry_bias[coding_pass][:, :, None, None])
    for mid, bias, back in zip(weights.mid, weights.mid_bias, weights.back, strict=True):
        h = (
            F.conv2d(x.clamp(0, ACTIVATION_MAX), mid, padding=1)
            + bias[coding_pass][:, :, None, None]
        )
        h = rescale(h).clamp(0, ACTIVATION_MAX)
        x = x + rescale(F.conv2d(h, back))
    return x.clamp(0, ACTIVATION_MAX)


def logits(weights: ContextWeights[Tensor], active: Tensor, coding_pass: Tensor) -> Tensor:
    """active: from `trunk` -> whole numbers (B, 3 C, h, w) in units of 1/LOGIT_ONE."""
    return F.conv2d(active, weights.exit) + weights.exit_bias[coding_pass][:, :, None, None]


class ContextNet(nn.Module):
    """The trainable form: real parameters whose rounded values are the integer network."""

    def __init__(self, config: ModelConfig, passes: int) -> None:
        super().__init__()
        wide, blocks, c = config.context_width, config.context_blocks, config.channels

        def conv(inputs: int, outputs: int, k: int, gain: float) -> nn.Parameter:
            return nn.Parameter(
                torch.randn(outputs, inputs, k, k) * gain / math.sqrt(inputs * k * k)
            )

        self.entry = conv(2 * c, wide, 1, 0.5)
        self.entry_bias = nn.Parameter(torch.zeros(passes, wide))
        self.mid = nn.ParameterList(conv(wide, wide, 3, 1.0) for _ in range(blocks))
        self.mid_bias = nn.ParameterList(torch.zeros(passes, wide) for _ in range(blocks))
        self.back = nn.ParameterList(conv(wide, wide, 1, 0.3) for _ in range(blocks))
        self.exit = conv(wide, 3 * c, 1, 0.1)
        self.exit_bias = nn.Parameter(torch.zeros(passes, 3 * c))

    def weights(self) -> ContextWeights[Tensor]:
        """The integer network that these parameters stand for."""

        def whole(parameter: Tensor, one: int, most: float) -> Tensor:
            scaled = (parameter * one).clamp(-most, most)
            return (
                floor_through(scaled + 0.5)
                if torch.is_grad_enabled()
                else torch.floor(scaled + 0.5)
            )

        def weight(parameter: Tensor) -> Tensor:
            return whole(parameter, 2**WEIGHT_SHIFT, 127)

        def bias(parameter: Tensor) -> Tensor:
            return whole(parameter, LOGIT_ONE, 2.0**21)

        return ContextWeights(
            weight(self.entry),
            bias(self.entry_bias),
            tuple(weight(p) for p in self.mid),
            tuple(bias(p) for p in self.mid_bias),
            tuple(weight(p) for p in self.back),
            weight(self.exit),
            bias(self.exit_bias),
        )

    def forward(self, seen: Tensor, coding_pass: Tensor) -> Tensor:
        """Real logits (B, 3 C, h, w)."""
        weights = self.weights()
        return logits(weights, trunk(weights, seen, coding_pass), coding_pass) / LOGIT_ONE
