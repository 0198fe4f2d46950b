"""What training minimises: rate in bits of the context network, distortion over all levels.

Per sample one level is drawn; `J = MSE + slope * rate`, each level divided by its own running mean.
The rate that the context network pays is the exact cost of the symbols under its logits. The rate
that pulls on the analysis is a stand-in: a reweighted L1 norm whose weight is the slope of a Laplace
code with the local scale. Both it and the distortion act on a latent only outside the dead zone
(ARCHITECTURE.md, "Training the encoder").
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..model.codec_model import CodecModel
from ..model.config import STRIDE
from ..model.context import features

GUARD = 0.9
"""Fraction of the dead zone inside which a latent gets no gradient."""


def cut(latent: Tensor, width: Tensor) -> Tensor:
    """Cells of a latent (B, C, h, w) for widths (B, C); whole numbers, 0 where not sent."""
    width = width[:, :, None, None]
    return latent.sign() * torch.floor(latent.abs() / width)


def layer_bits(model: CodecModel, latent: Tensor, step: Tensor) -> Tensor:
    """Bits (B,) of one step for each sample, given all coarser cells.

    latent: float (B, C, h, w), no gradient; step: int64 (B,).
    """
    before, after = model.steps[step], model.steps[step + 1]
    parent, child = cut(latent, model.width(before)), cut(latent, model.width(after))
    seen = features(parent, before, model.reach, model.logs)
    zero, sign, inner = model.context(seen, step).chunk(3, 1)
    cutting = (after > before)[:, :, None, None]
    first = (before < 0)[:, :, None, None] & cutting
    leaving = cutting & (parent == 0)
    alive = leaving & (child != 0)
    size = child.abs()
    bits = torch.where(leaving, F.softplus(torch.where(child == 0, -zero, zero)), 0.0)
    bits = bits + torch.where(alive, F.softplus(torch.where(child > 0, -sign, sign)), 0.0)
    split = cutting & (parent != 0)
    outer = torch.where(first, (size - 1).clamp_min(0), (size - 2 * parent.abs()) * split)
    stop = torch.where(first, (alive & first).to(size.dtype), split.to(size.dtype) - outer)
    bits = bits + outer * F.softplus(inner) + stop * F.softplus(-inner)
    return bits.sum((1, 2, 3)) / math.log(2)


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


SEAM = 8
"""Pixels along an edge whose common step counts as one."""


def seams(error: Tensor, pixels: Tensor) -> Tensor:
    """How much the patches of a decoded picture show (B,), about 1 or less.

    error, pixels: float (B, 3, H, W). The error's steps over the edges of the patches, each the mean
    of SEAM pixels along the edge, so that grain does not count; squared, and divided by the square
    of what the picture itself does there, because steps are seen where it is flat.
    """
    total = torch.zeros(len(error), device=error.device)
    for e, p in ((error, pixels), (error.transpose(2, 3), pixels.transpose(2, 3))):
        step = e[:, :, STRIDE::STRIDE] - e[:, :, STRIDE - 1 : -1 : STRIDE]
        step = F.avg_pool2d(step, (1, SEAM))
        busy = F.avg_pool2d(p.diff(dim=2).abs(), (SEAM + 1, SEAM), (1, SEAM))
        busy = busy[:, :, STRIDE - 1 - SEAM // 2 :: STRIDE].mean(1, keepdim=True)
        seen = step.square() / (1 + busy.square())
        total = total + seen.mean((1, 2, 3)) / 2
    return total


@dataclass(frozen=True, slots=True)
class Losses:
    """mse (B,), seams (B,): see `seams`, rate stand-in (B,) in bpp, bits (B,) of the drawn steps in bpp, pixels decoded."""

    mse: Tensor
    seams: Tensor
    rate: Tensor
    bits: Tensor
    pixels: Tensor


def losses(model: CodecModel, pixels: Tensor, level: Tensor, steps: Tensor, frozen: bool) -> Losses:
    """pixels: float (B, 3, H, W) in [-127.5, 127.5]; level: (B,) from 0; steps: int64 (B, n), steps
    whose bits are counted; frozen: the analysis gets no gradient.
    """
    area = pixels.shape[2] * pixels.shape[3]
    with torch.set_grad_enabled(torch.is_grad_enabled() and not frozen):
        latent = model.analysis(pixels)
    known = latent.detach()
    width = model.width(model.octaves[level])
    cells = cut(known, width)
    centre = model.centre[level][:, :, None, None]
    finite = torch.where(torch.isinf(width), 0.0, width)[:, :, None, None]
    value = cells.sign() * (cells.abs() + centre) * finite
    guard = (known.abs() >= GUARD * width[:, :, None, None]).float()
    value = value + guard * (latent - known)
    decoded = model.synthesis(value, width, level)
    mse = (decoded - pixels).square().mean((1, 2, 3))
    rate = stand_in_rate(model, latent, guard) / area
    bits = torch.zeros_like(mse)
    for i in range(steps.shape[1]):
        bits = bits + layer_bits(model, known, steps[:, i]) / area
    return Losses(mse, seams(decoded - pixels, pixels), rate, bits, decoded)
