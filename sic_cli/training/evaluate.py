"""How good transforms are while they train: estimated code lengths, PSNR and LPIPS of whole pictures, by level.

No context network is trained beside them, so code lengths are estimates: indices are grouped by the magnitude that
their channel, their neighbours and lower channels at the same place let expect, and every group is coded by its
own frequencies. A trained context network needs 15 to 30 % fewer bits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..codec.inference.config import STRIDE
from ..codec.quantization.step_sizes import MEAN_COLOURS
from .data import find_pictures, read_rgb
from .lpips_loss import LpipsLoss
from .model import TrainModel, draw_noise, quantise

RATES = (0.15, 0.30, 0.45, 0.70)
SHOWN = (1, 2, 4, 6, 9, 12)
"""Levels whose figures a table shows."""
STEADY, ACTIVE, OWN = 0.15, 0.8, 0.2
"""Of an index's expected magnitude: shares of the channel's mean, of that times the place's activity, and of the
same channel's neighbours."""
TRUSTED = 16
"""Lower channels at the same place from which on they say more of its activity than neighbours do."""
LARGEST = 63


@dataclass(frozen=True, slots=True)
class Curve:
    """Means over pictures at each level: levels, bpp (estimated), psnr of the MSE decoder, and perceptual_psnr and
    lpips of the perceptual decoder (of the MSE decoder if there is only that), or None."""

    levels: list[int]
    bpp: list[float]
    psnr: list[float]
    perceptual_psnr: list[float] | None = None
    lpips: list[float] | None = None

    def at(self, values: Sequence[float], rates: Sequence[float] = RATES) -> list[float]:
        """A row at some rates, interpolated in log bpp."""
        logs = [math.log(max(b, 1e-6)) for b in self.bpp]
        return [float(np.interp(math.log(r), logs, values)) for r in rates]


def known_before(size: Tensor) -> Tensor:
    """Weighted mean (C, h, w) of what four neighbours above and to the left have."""
    padded = F.pad(size, (1, 1, 1, 0))
    corners = padded[:, :-1, :-2] + padded[:, :-1, 2:]
    out: Tensor = (padded[:, :-1, 1:-1] + padded[:, 1:, :-2] + corners / 2) / 3
    return out


def estimated_bits(indices: Tensor) -> float:
    """Bits of indices (C, h, w) at one level."""
    size = indices.abs()
    own = size.mean((1, 2), keepdim=True)
    sent = own[:, 0, 0] > 0
    mean = torch.tensor(MEAN_COLOURS, device=sent.device)
    bits = sum(entropy(_unpredicted(indices[c])[None]) for c in MEAN_COLOURS)
    sent[mean] = False
    size, own = size[sent], own[sent]
    if not len(size):
        return bits
    root = own.sqrt()
    relative = size / root
    number = torch.arange(len(size), device=size.device)[:, None, None]
    around = known_before(relative.mean(0, keepdim=True)) / root.mean()
    here = (relative.cumsum(0) - relative) / root.cumsum(0)
    trust = number / (number + TRUSTED)
    activity = (1 - trust) * around + trust * here
    scale = own * (STEADY + ACTIVE * activity) + OWN * known_before(size)
    group = torch.round(3 * torch.log2(scale.clamp_min(1e-6))).long()
    magnitude = size.long().clamp_max(LARGEST)
    return bits + entropy(magnitude, group - group.min()) + float((size > 0).sum())


def _unpredicted(plane: Tensor) -> Tensor:
    """What the mean of two neighbours does not predict of a plane (h, w), from 0."""
    padded = F.pad(plane[None], (1, 0, 1, 0))[0]
    rest = (plane - torch.round((padded[:-1, 1:] + padded[1:, :-1]) / 2)).long()
    return rest - rest.min()


def entropy(values: Tensor, group: Tensor | None = None) -> float:
    """Bits of whole numbers >= 0 by the frequencies of each group, and half a word for each frequency."""
    symbols = int(values.max()) + 1
    at = values if group is None else group * symbols + values
    count = torch.bincount(at.flatten()).double()
    count = F.pad(count, (0, -len(count) % symbols)).view(-1, symbols)
    total = count.sum(1, keepdim=True).clamp_min(1)
    part = torch.where(count > 0, count * torch.log2(count.clamp_min(1) / total), 0.0)
    return float(-part.sum() + 6 * (count > 0).sum())


@torch.no_grad()
def evaluate(
    model: TrainModel,
    pictures: Sequence[np.ndarray],
    device: torch.device,
    networks: nn.ModuleDict | None = None,
    only: Sequence[int] | None = None,
) -> Curve:
    """pictures: uint8 (H, W, 3). networks: for LPIPS-Alex. only: levels from 1, rising; default: all."""
    levels = list(only or range(1, model.config.levels + 1))
    found = np.zeros((4, len(pictures), len(levels)))
    for row, picture in enumerate(pictures):
        pixels = torch.from_numpy(np.array(picture)).to(device).permute(2, 0, 1)[None].float()
        height, width = pixels.shape[2:]
        padded = F.pad(pixels, (0, -width % STRIDE, 0, -height % STRIDE), mode="replicate")
        latent = model.analysis(padded - 127.5)
        chance = torch.Generator(device=device).manual_seed(row)
        rows, columns = latent.shape[2:]
        noise = draw_noise(model.config, 1, rows, columns, chance)
        for place, level in enumerate(levels):
            what = quantise(model, latent, torch.tensor([level - 1], device=device))
            found[0, row, place] = estimated_bits(what.indices[0]) / (height * width)
            decoded = rounded(what.decoded(model.mse), height, width)
            found[1, row, place] = psnr(decoded, pixels)
            if model.perceptual is not None:
                decoded = rounded(what.decoded(model.perceptual, noise), height, width)
                found[2, row, place] = psnr(decoded, pixels)
            if networks is not None:
                look = networks["alex"]
                assert isinstance(look, LpipsLoss)
                found[3, row, place] = look(decoded - 127.5, pixels - 127.5).item()
    bpp, mse, perceptual, lpips = (values.mean(0).tolist() for values in found)
    return Curve(
        levels,
        bpp,
        mse,
        None if model.perceptual is None else perceptual,
        None if networks is None else lpips,
    )


def psnr(a: Tensor, b: Tensor) -> float:
    """Decibels of two pictures of 0..255."""
    return 10 * math.log10(255**2 / max((a - b).square().mean().item(), 1e-9))


def rounded(decoded: Tensor, height: int, width: int) -> Tensor:
    """What a decoder gives, as the whole grey levels of a picture of that size."""
    return (decoded + 127.5).round().clamp(0, 255)[:, :, :height, :width]


def validation_pictures(folder: Path, most: int = 8) -> list[np.ndarray]:
    """Some pictures of a folder, evenly chosen."""
    paths = find_pictures(folder)
    return [read_rgb(p) for p in paths[:: max(1, -(-len(paths) // most))]][:most]


def table(curve: Curve) -> str:
    """A few levels of a curve as lines of a table."""
    chosen = [i for i, level in enumerate(curve.levels) if level in SHOWN]
    rows = {
        "level": [f"{curve.levels[i]}" for i in chosen],
        "estimated bpp": [f"{curve.bpp[i]:.4f}" for i in chosen],
        "PSNR, MSE decoder": [f"{curve.psnr[i]:.2f}" for i in chosen],
    }
    if curve.perceptual_psnr is not None:
        rows["PSNR, perceptual"] = [f"{curve.perceptual_psnr[i]:.2f}" for i in chosen]
    if curve.lpips is not None:
        rows["LPIPS-Alex"] = [f"{curve.lpips[i]:.4f}" for i in chosen]
    rates = " / ".join(f"{v:.2f}" for v in curve.at(curve.psnr))
    lines = [f"  {name:18}" + "".join(f"{v:>9}" for v in row) for name, row in rows.items()]
    wanted = " / ".join(f"{r:.2f}" for r in RATES)
    return "\n".join([*lines, f"  PSNR at {wanted} bpp: {rates}"])
