"""The parts of what training minimises (objective.py) that look at latents and pixels alone.

The rate that pulls on the analysis is a stand-in: a reweighted L1 norm whose weight is the slope of a Laplace
code with the local scale. Both it and the distortion act on a latent only outside the dead zone
(docs/training.md).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ..codec.inference.config import STRIDE, ModelConfig
from .model import QuantisedLatent, TrainModel

BLOCKING_RUN = 8
"""Pixels along an edge whose common step counts as one."""


def slope(config: ModelConfig, level: Tensor) -> Tensor:
    """Grey levels squared per bit per pixel at which a dead-zone quantiser of that level works in theory, at
    high rates; the price in the configuration corrects it."""
    part = level.float() / max(1, config.levels - 1)
    width = config.widest * (config.finest / config.widest) ** part
    return 0.16 * width**2 / 3


def stand_in_rate(model: TrainModel, what: QuantisedLatent) -> Tensor:
    """Bits (B,) with a gradient to the latent, where `guard` is 1."""
    size = what.latent.detach().abs()
    around = F.avg_pool2d(F.pad(size, (1, 1, 1, 1), mode="replicate"), 3, 1)
    local = 0.6 * around + 0.3 * model.mse.scale[None, :, None, None]
    return (what.guard * what.latent.abs() / local).sum((1, 2, 3)) / math.log(2)


def mse(a: Tensor, b: Tensor) -> Tensor:
    """Mean square (B,) of the difference of two pictures (B, 3, H, W)."""
    return (a - b).square().mean((1, 2, 3))


def blocking_loss(error: Tensor, pixels: Tensor) -> Tensor:
    """How much the patches of a decoded picture show (B,), about 1 or less.

    error, pixels: float (B, 3, H, W). The error's steps over the edges of the patches, each the mean
    of BLOCKING_RUN pixels along the edge, so that grain does not count; squared, and divided by the square
    of what the picture itself does there, because steps are seen where it is flat.
    """
    total = torch.zeros(len(error), device=error.device)
    for e, p in ((error, pixels), (error.transpose(2, 3), pixels.transpose(2, 3))):
        jump = e[:, :, STRIDE::STRIDE] - e[:, :, STRIDE - 1 : -1 : STRIDE]
        jump = F.avg_pool2d(jump, (1, BLOCKING_RUN))
        busy = F.avg_pool2d(
            p.diff(dim=2).abs(), (BLOCKING_RUN + 1, BLOCKING_RUN), (1, BLOCKING_RUN)
        )
        busy = busy[:, :, STRIDE - 1 - BLOCKING_RUN // 2 :: STRIDE].mean(1, keepdim=True)
        seen = jump.square() / (1 + busy.square())
        total = total + seen.mean((1, 2, 3)) / 2
    return total
