"""Analysis and synthesis: a linear shortcut that starts as a KLT, plus a network beside it.

Both work on patches of 16x16 pixels (stride 16), where convolutions are cheap. Pixels are in
[-127.5, 127.5]; latents have the scale of an orthonormal transform of such pixels.

These are the networks for training and for a GPU; `inference/transforms.py` runs them on a CPU with NumPy.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..inference.config import PATCH, STRIDE, ModelConfig
from ..inference.transforms import PIXEL_SCALE
from .block import Block, zero


class Analysis(nn.Module):
    """Pixels -> latent: `A patch + scale * net(patch)`."""

    scale: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.linear = nn.Parameter(torch.zeros(config.channels, PATCH))
        self.register_buffer("scale", torch.ones(config.channels))
        self.entry = nn.Conv2d(PATCH, config.width, 1)
        self.blocks = nn.ModuleList(Block(config.width, 1) for _ in range(config.blocks))
        self.exit = nn.Conv2d(config.width, config.channels, 1)
        zero(self.exit)

    def forward(self, pixels: Tensor) -> Tensor:
        """pixels: float (B, 3, H, W), sides multiples of 16 -> latent (B, C, H/16, W/16)."""
        only = torch.zeros(len(pixels), dtype=torch.int64, device=pixels.device)
        seen = patches(pixels)
        h = self.entry(seen / PIXEL_SCALE)
        for block in self.blocks:
            h = block(h, only)
        straight = F.conv2d(seen, self.linear[:, :, None, None])
        out: Tensor = straight + self.exit(h) * self.scale[None, :, None, None]
        return out


class Synthesis(nn.Module):
    """Indices at some level -> pixels: `S y + net(y, level)`, then a small head at stride 4.

    The network sees the dequantised latent in units of its usual spread, the same in units of its
    interval (so it knows how sure each value is), and the level.
    """

    scale: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        wide, head = config.width, config.head_width
        self.linear = nn.Parameter(torch.zeros(PATCH, config.channels))
        self.register_buffer("scale", torch.ones(config.channels))
        self.entry = nn.Conv2d(2 * config.channels, wide, 1)
        self.entry_level = nn.Parameter(torch.zeros(config.levels, wide))
        self.blocks = nn.ModuleList(Block(wide, config.levels) for _ in range(config.blocks))
        self.exit = nn.Conv2d(wide, PATCH + 16 * config.head_features, 1)
        self.head_in = nn.Conv2d(
            48 + config.head_features, head, 3, padding=1, padding_mode="replicate"
        )
        self.head_gain = nn.Parameter(torch.ones(config.levels, head))
        self.head_out = nn.Conv2d(head, 48, 3, padding=1, padding_mode="replicate")
        zero(self.head_out)
        with torch.no_grad():
            self.exit.weight[:PATCH].zero_()
            nn.init.zeros_(self.exit.bias) if self.exit.bias is not None else None

    def forward(self, latent: Tensor, width: Tensor, level: Tensor) -> Tensor:
        """latent: float (B, C, h, w), 0 where not sent; width: float (B, C), step sizes (may be
        infinite); level: int64 (B,) from 0 -> pixels float (B, 3, 16 h, 16 w), not clipped.
        """
        relative = (latent / width[:, :, None, None]).clamp(-3, 3)
        seen = torch.cat([latent / self.scale[None, :, None, None], relative], 1)
        h = self.entry(channels_last(seen)) + self.entry_level[level][:, :, None, None]
        for block in self.blocks:
            h = block(h, level)
        out = self.exit(h)
        straight = F.conv2d(latent, self.linear[:, :, None, None])
        pixels = F.pixel_shuffle(straight + out[:, :PATCH] * PIXEL_SCALE, STRIDE)
        features = F.pixel_shuffle(out[:, PATCH:], 4)
        pixels = F.pixel_unshuffle(pixels, 4) / PIXEL_SCALE
        fine = channels_last(torch.cat([pixels, features], 1))
        head = F.relu(self.head_in(fine) * self.head_gain[level][:, :, None, None])
        return F.pixel_shuffle((fine[:, :48] + self.head_out(head)) * PIXEL_SCALE, 4)


def patches(pixels: Tensor) -> Tensor:
    """What `F.pixel_unshuffle(pixels, STRIDE)` gives, channels last in memory and in one movement."""
    count, colours, height, width = pixels.shape
    rows, across = height // STRIDE, width // STRIDE
    parts = pixels.reshape(count, colours, rows, STRIDE, across, STRIDE).permute(0, 2, 4, 1, 3, 5)
    return parts.reshape(count, rows, across, -1).permute(0, 3, 1, 2)


def channels_last(x: Tensor) -> Tensor:
    """The same numbers, those of one position side by side: what 1x1 convolutions like."""
    return x.contiguous(memory_format=torch.channels_last)
