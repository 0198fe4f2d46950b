"""How good a model is while it trains: ideal code lengths and PSNR of whole pictures, all levels."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..codec.inference.config import STRIDE
from ..codec.networks.codec_model import CodecModel
from .checkpoint import TrainingProgress
from .data import find_pictures, read_rgb
from .loss import layer_bits, quantise
from .lpips_loss import LpipsLoss

RATES = (0.15, 0.30, 0.45, 0.70)


@dataclass(frozen=True, slots=True)
class Curve:
    """Means over pictures at each level: bpp, psnr, and lpips or None, of one length.

    Of a model with two decoders, psnr is the MSE decoder's and lpips the perceptual one's."""

    bpp: list[float]
    psnr: list[float]
    lpips: list[float] | None = None

    def at(self, values: Sequence[float], rates: Sequence[float] = RATES) -> list[float]:
        """One of the three at some rates, interpolated in log bpp."""
        logs = [math.log(max(b, 1e-6)) for b in self.bpp]
        return [float(np.interp(math.log(r), logs, values)) for r in rates]


@torch.no_grad()
def evaluate(
    model: CodecModel,
    pictures: Sequence[np.ndarray],
    device: torch.device,
    lpips_loss: LpipsLoss | None = None,
    only: Sequence[int] | None = None,
) -> Curve:
    """pictures: uint8 (H, W, 3). only: levels from 1, rising; default: all."""
    levels = list(only or range(1, model.config.levels + 1))
    bits = np.zeros((len(pictures), levels[-1]))
    psnr, lpips = (np.zeros((len(pictures), len(levels))) for _ in range(2))
    for row, picture in enumerate(pictures):
        pixels = torch.from_numpy(np.array(picture)).to(device).permute(2, 0, 1)[None].float()
        height, width = pixels.shape[2:]
        padded = F.pad(pixels, (0, -width % STRIDE, 0, -height % STRIDE), mode="replicate")
        latent = model.analysis(padded - 127.5)
        for coding_pass, belongs in enumerate(model.pass_level):
            if belongs > levels[-1]:
                break
            cost = layer_bits(model, latent, torch.tensor([coding_pass], device=device)).item()
            bits[row, belongs - 1] += cost / (height * width)
        for place, level in enumerate(levels):
            which = torch.tensor([level - 1], device=device)
            what = quantise(model, latent, which)
            decoded = what.decoded(model)
            mse = (rounded(decoded, height, width) - pixels).square().mean().item()
            psnr[row, place] = 10 * math.log10(255**2 / max(mse, 1e-9))
            if lpips_loss is not None:
                if model.perceptual_synthesis is not None:
                    decoded = what.decoded(model, by=model.perceptual_synthesis)
                look = rounded(decoded, height, width) - 127.5
                lpips[row, place] = lpips_loss(look, pixels - 127.5).item()
    upto = bits.cumsum(1)[:, np.array(levels) - 1]
    means = [a.mean(0).tolist() for a in (upto, psnr, lpips)]
    return Curve(means[0], means[1], means[2] if lpips_loss is not None else None)


def rounded(decoded: Tensor, height: int, width: int) -> Tensor:
    """What a decoder gives, as the whole grey levels of a picture of that size."""
    return (decoded + 127.5).round().clamp(0, 255)[:, :, :height, :width]


def validation_pictures(folder: Path) -> list[np.ndarray]:
    """Eight pictures of a folder, evenly chosen."""
    paths = find_pictures(folder)
    return [read_rgb(p) for p in paths[:: max(1, len(paths) // 8)]][:8]


def report(
    out: Path,
    model: CodecModel,
    average: dict[str, Tensor],
    valid: list[np.ndarray],
    device: torch.device,
    progress: TrainingProgress,
    hours: float,
    recent: list[Tensor],
    lpips_loss: LpipsLoss | None = None,
) -> None:
    """Evaluate the averaged parameters and append one line to the log."""
    rest = {k: v for k, v in model.state_dict().items() if k not in average}
    same = copy.deepcopy(model)
    same.load_state_dict(average | rest)
    curve = evaluate(same, valid, device, lpips_loss)
    line = {
        "hours": round(hours, 4),
        "steps": progress.steps,
        "crops": progress.crops,
        "loss": round(float(torch.stack(recent).mean()), 4),
        "psnr_at": [round(v, 3) for v in curve.at(curve.psnr)],
        "bpp": [round(v, 4) for v in curve.bpp],
        "psnr": [round(v, 3) for v in curve.psnr],
    }
    if curve.lpips is not None:
        line |= {"lpips_at": [round(v, 4) for v in curve.at(curve.lpips)]}
    with open(out / "training.jsonl", "a") as file:
        file.write(json.dumps(line) + "\n")
