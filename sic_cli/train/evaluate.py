"""How good a model is while it trains: ideal code lengths and PSNR of whole pictures, all levels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from ..model.codec_model import CodecModel
from ..model.config import STRIDE
from .loss import cut, layer_bits

RATES = (0.15, 0.30, 0.45, 0.70)


@dataclass(frozen=True, slots=True)
class Curve:
    """Means over pictures at each level: bpp (K,), psnr (K,)."""

    bpp: list[float]
    psnr: list[float]

    def at(self, rates: Sequence[float] = RATES) -> list[float]:
        """PSNR at some rates, interpolated in log bpp."""
        logs = [math.log(max(b, 1e-6)) for b in self.bpp]
        return [float(np.interp(math.log(r), logs, self.psnr)) for r in rates]


@torch.no_grad()
def evaluate(model: CodecModel, pictures: Sequence[np.ndarray], device: torch.device) -> Curve:
    """pictures: uint8 (H, W, 3)."""
    levels, steps = model.config.levels, len(model.step_level)
    bits, psnr = np.zeros((len(pictures), levels)), np.zeros((len(pictures), levels))
    for row, picture in enumerate(pictures):
        pixels = torch.from_numpy(np.array(picture)).to(device).permute(2, 0, 1)[None].float()
        height, width = pixels.shape[2:]
        padded = F.pad(pixels, (0, -width % STRIDE, 0, -height % STRIDE), mode="replicate")
        latent = model.analysis(padded - 127.5)
        for step in range(steps):
            cost = layer_bits(model, latent, torch.tensor([step], device=device)).item()
            bits[row, model.step_level[step] - 1] += cost / (height * width)
        for level in range(levels):
            which = torch.tensor([level], device=device)
            cell_width = model.width(model.octaves[which])
            cells = cut(latent, cell_width)
            finite = torch.where(torch.isinf(cell_width), 0.0, cell_width)[:, :, None, None]
            value = cells.sign() * (cells.abs() + model.centre[which][:, :, None, None]) * finite
            decoded = model.synthesis(value, cell_width, which) + 127.5
            decoded = decoded.round().clamp(0, 255)[:, :, :height, :width]
            mse = (decoded - pixels).square().mean().item()
            psnr[row, level] = 10 * math.log10(255**2 / max(mse, 1e-9))
    return Curve(bits.cumsum(1).mean(0).tolist(), psnr.mean(0).tolist())
