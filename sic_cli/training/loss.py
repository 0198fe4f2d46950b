"""The parts of what training minimises (objective.py): bits of the context network, rate, distortion.

The rate that the context network pays is the exact cost of the symbols under its logits. The rate
that pulls on the analysis is a stand-in: a reweighted L1 norm whose weight is the slope of a Laplace
code with the local scale. Both it and the distortion act on a latent only outside the dead zone
(docs/training.md).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..codec.inference.config import STRIDE
from ..codec.networks.codec_model import CodecModel
from ..codec.networks.context import features
from ..codec.networks.transforms import Synthesis

GUARD = 0.9
"""Fraction of the dead zone inside which a latent gets no gradient."""


def dead_zone_indices(latent: Tensor, width: Tensor) -> Tensor:
    """Indices of a latent (B, C, h, w) for widths (B, C); whole numbers, 0 where not sent."""
    width = width[:, :, None, None]
    return latent.sign() * torch.floor(latent.abs() / width)


def layer_bits(model: CodecModel, latent: Tensor, coding_pass: Tensor) -> Tensor:
    """Bits (B,) of one coding pass for each sample, given all coarser indices.

    latent: float (B, C, h, w), no gradient; coding_pass: int64 (B,). What follows the network is computed for
    the channels alone that each sample's pass refines, a third of all: these are rows of (B C, h, w).
    """
    before, after = model.pass_depths[coding_pass], model.pass_depths[coding_pass + 1]
    parent, channels = dead_zone_indices(latent, model.step_sizes(before)), model.config.channels
    said = model.context(features(parent, before, model.reach, model.logs), coding_pass)
    rows = (after > before).flatten().nonzero()[:, 0]
    sample = rows // channels

    def of(x: Tensor, place: Tensor) -> Tensor:
        return x.flatten(0, 1).index_select(0, place)

    places = rows + 2 * channels * sample  # of the first of three kinds
    significance, sign, refinement = (of(said, places + kind * channels) for kind in range(3))
    value, was = of(latent, rows), of(parent, rows).abs()
    size = torch.floor(value.abs() / of(model.step_sizes(after), rows)[:, None, None])
    alive, leaving, first = size > 0, was == 0, of(before < 0, rows)[:, None, None]
    bits = torch.where(leaving, F.softplus(torch.where(alive, significance, -significance)), 0.0)
    bits = bits + torch.where(leaving & alive, F.softplus(-sign * value.sign()), 0.0)
    begun = alive.to(size.dtype)
    outer = torch.where(first, size - begun, (size - 2 * was) * ~leaving)
    stop = torch.where(first, begun, (~leaving).to(size.dtype) - outer)
    bits = bits + outer * F.softplus(refinement) + stop * F.softplus(-refinement)
    total = torch.zeros(len(latent), device=latent.device).index_add(0, sample, bits.sum((1, 2)))
    return total / math.log(2)


def slope(model: CodecModel, level: Tensor) -> Tensor:
    """Grey levels squared per bit per pixel at which a dead-zone quantiser of that level works."""
    config = model.config
    part = level.float() / max(1, config.levels - 1)
    width = config.widest * (config.finest / config.widest) ** part
    return 0.16 * width**2 / 3


def stand_in_rate(model: CodecModel, latent: Tensor, guard: Tensor) -> Tensor:
    """Bits (B,) with a gradient to the latent, where `guard` is 1."""
    size = latent.detach().abs()
    around = F.avg_pool2d(F.pad(size, (1, 1, 1, 1), mode="replicate"), 3, 1)
    local = 0.6 * around + 0.3 * model.synthesis.scale[None, :, None, None]
    return (guard * latent.abs() / local).sum((1, 2, 3)) / math.log(2)


BLOCKING_RUN = 8
"""Pixels along an edge whose common step counts as one."""


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


@dataclass(frozen=True, slots=True)
class QuantisedLatent:
    """What of a latent (B, C, h, w) is sent at a level (B,): its indices (B, C, h, w), as wide as `width`
    (B, C), infinite where nothing is sent. guard: 1 where a latent gets a gradient, else 0."""

    latent: Tensor
    level: Tensor
    width: Tensor
    indices: Tensor
    guard: Tensor

    def decoded(
        self,
        model: CodecModel,
        chance: torch.Generator | None = None,
        by: Synthesis | None = None,
    ) -> Tensor:
        """Pixels of the centres of the intervals or, with `chance`, of a random sample of each. by: the
        decoder, the MSE decoder where nobody says."""
        known = self.latent.detach()
        if chance is None:
            reconstruction_offset = model.reconstruction_offset[self.level][:, :, None, None]
            place = self.indices.sign() * (self.indices.abs() + reconstruction_offset)
        else:
            place = self.sample(known, chance)
        finite = torch.where(torch.isinf(self.width), 0.0, self.width)[:, :, None, None]
        value = place * finite + self.guard * (self.latent - known)
        made: Tensor = (by or model.synthesis)(value, self.width, self.level)
        return made

    def sample(self, known: Tensor, chance: torch.Generator) -> Tensor:
        """Places in units of the step size, drawn as `codec.quantization.sampling.sample` draws them; how near to 0 those in
        the dead zone are is taken from the latent itself, by sample and channel."""
        none = self.indices == 0
        near = (known / self.width[:, :, None, None]).abs() * none
        scale = near.sum((2, 3), keepdim=True) / none.sum((2, 3), keepdim=True).clamp_min(1)
        scale = scale.clamp_min(1e-3)
        uniform, side = (
            torch.rand(known.shape, generator=chance, device=known.device) for _ in range(2)
        )
        inside = -scale * torch.log1p(-uniform * (1 - torch.exp(-1 / scale)))
        inside = inside.clamp_max(1 - 1e-6) * torch.where(side < 0.5, -1.0, 1.0)
        return torch.where(none, inside, self.indices.sign() * (self.indices.abs() + uniform))


def quantise(model: CodecModel, latent: Tensor, level: Tensor) -> QuantisedLatent:
    """What is sent at `level` (B,), from 0."""
    known, width = latent.detach(), model.step_sizes(model.depths[level])
    guard = (known.abs() >= GUARD * width[:, :, None, None]).float()
    return QuantisedLatent(latent, level, width, dead_zone_indices(known, width), guard)


def mse(a: Tensor, b: Tensor) -> Tensor:
    """Mean square (B,) of the difference of two pictures (B, 3, H, W)."""
    return (a - b).square().mean((1, 2, 3))
