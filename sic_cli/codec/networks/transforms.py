"""Analysis and synthesis in torch, for training and for a GPU; `inference/transforms.py` runs them with NumPy.

```
pixels -- patches 16x16 --> linear map (starts as a KLT) -----------------------+--> latent (C, H/16, W/16)
pixels -- patches 8x8 --> 1x1, blocks at stride 8 --> 2x2 to depth, 1x1,        |
          blocks at stride 16 --> 1x1 -- times scale[c] ------------------------+

latent, in units of its scale and of its step --> 1x1 + level, blocks at stride 16 --> 1x1, depth to 2x2,
       blocks at stride 8 --> 1x1, depth to 2x2: 48 pixel values and 16 features at stride 4
       + linear map of the latent --> 3x3, gain, ReLU, 3x3, added --> pixels
```
Pixels are in [-127.5, 127.5]; latents have the scale of an orthonormal transform of such pixels. The
perceptual decoder adds noise maps at strides 16, 8 and 4.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..inference.config import PATCH, STRIDE, ModelConfig
from ..inference.transforms import FINE, HALF_STRIDE, HEAD_PIXELS, PIXEL_SCALE
from .block import Block, zero

Noise = tuple[Tensor, Tensor, Tensor]
"""Maps (B, n, h, w), (B, n, 2 h, 2 w), (B, n, 4 h, 4 w) of mean 0 and variance 1."""


class Analysis(nn.Module):
    """Pixels -> latent."""

    scale: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        half, wide = config.half_width, config.width
        self.linear = nn.Parameter(torch.zeros(config.channels, PATCH))
        self.register_buffer("scale", torch.ones(config.channels))
        self.entry = nn.Conv2d(3 * HALF_STRIDE**2, half, 1)
        self.stride8 = nn.ModuleList(Block(half, 1) for _ in range(config.blocks))
        self.down = nn.Conv2d(4 * half, wide, 1)
        self.stride16 = nn.ModuleList(Block(wide, 1) for _ in range(config.blocks))
        self.exit = nn.Conv2d(wide, config.channels, 1)
        zero(self.exit)

    def forward(self, pixels: Tensor) -> Tensor:
        """pixels: float (B, 3, H, W), sides multiples of 16 -> latent (B, C, H/16, W/16)."""
        only = torch.zeros(len(pixels), dtype=torch.int64, device=pixels.device)
        h = self.entry(to_depth(pixels / PIXEL_SCALE, HALF_STRIDE))
        for block in self.stride8:
            h = block(h, only)
        h = self.down(to_depth(h, 2))
        for block in self.stride16:
            h = block(h, only)
        straight = exactly(patches(pixels), self.linear)
        out: Tensor = straight + self.exit(h) * self.scale[None, :, None, None]
        return out


class Synthesis(nn.Module):
    """Dequantised latent at some level -> pixels. perceptual: whether there are noise inputs."""

    scale: Tensor

    def __init__(self, config: ModelConfig, perceptual: bool = False) -> None:
        super().__init__()
        half, wide, head = config.half_width, config.width, config.head_width
        levels, features = config.levels, config.head_features
        self.linear = nn.Parameter(torch.zeros(PATCH, config.channels))
        self.register_buffer("scale", torch.ones(config.channels))
        self.entry = nn.Conv2d(2 * config.channels, wide, 1)
        self.entry_level = nn.Parameter(torch.zeros(levels, wide))
        self.stride16 = nn.ModuleList(Block(wide, levels) for _ in range(config.blocks))
        self.up = nn.Conv2d(wide, 4 * half, 1)
        self.stride8 = nn.ModuleList(Block(half, levels) for _ in range(config.blocks))
        self.exit = nn.Conv2d(half, 4 * (HEAD_PIXELS + features), 1)
        self.head_in = nn.Conv2d(HEAD_PIXELS + features, head, 3)
        self.head_gain = nn.Parameter(torch.ones(levels, head))
        self.head_out = nn.Conv2d(head, HEAD_PIXELS, 3)
        zero(self.head_out)
        self.perceptual = perceptual
        if perceptual:
            for stride, maps, outputs in zip(
                (16, 8, 4), config.noise, (wide, half, features), strict=True
            ):
                self.register_module(f"noise{stride}", nn.Conv2d(maps, outputs, 1, bias=False))
                self.register_parameter(
                    f"noise{stride}_gain", nn.Parameter(torch.full((levels, outputs), 0.2))
                )
        with torch.no_grad():
            self.exit.weight[: 4 * HEAD_PIXELS].zero_()
            if self.exit.bias is not None:
                nn.init.zeros_(self.exit.bias)

    def forward(
        self, latent: Tensor, step: Tensor, level: Tensor, noise: Noise | None = None
    ) -> Tensor:
        """latent: float (B, C, h, w), 0 where not sent; step: float (B, C), step sizes (may be infinite);
        level: int64 (B,) from 0; noise: of a perceptual decoder -> pixels float (B, 3, 16 h, 16 w), not
        clipped."""
        relative = (latent / step[:, :, None, None]).clamp(-3, 3)
        seen = torch.cat([latent / self.scale[None, :, None, None], relative], 1)
        h = self.entry(channels_last(seen)) + self.entry_level[level][:, :, None, None]
        h = self._with_noise(h, 16, level, noise)
        for block in self.stride16:
            h = block(h, level)
        h = self._with_noise(to_space(self.up(h), 2), 8, level, noise)
        for block in self.stride8:
            h = block(h, level)
        out = self.exit(h)
        learned = to_space(out[:, : 4 * HEAD_PIXELS], 2)
        features = self._with_noise(to_space(out[:, 4 * HEAD_PIXELS :], 2), 4, level, noise)
        straight = F.pixel_shuffle(exactly(latent, self.linear), STRIDE)
        drawn = to_depth(straight, FINE) / PIXEL_SCALE + learned
        # zeros around the picture: both convolutions see one position beyond their own
        fine = channels_last(F.pad(torch.cat([drawn, features], 1), (2, 2, 2, 2)))
        head = F.relu(self.head_in(fine) * self.head_gain[level][:, :, None, None])
        return to_space(drawn + self.head_out(head), FINE) * PIXEL_SCALE

    def _with_noise(self, h: Tensor, stride: int, level: Tensor, noise: Noise | None) -> Tensor:
        if noise is None or not self.perceptual:
            return h
        maps = noise[(16, 8, 4).index(stride)]
        made = self.get_submodule(f"noise{stride}")(maps)
        gain: Tensor = self.get_parameter(f"noise{stride}_gain")[level]
        out: Tensor = h + made * gain[:, :, None, None]
        return out


def exactly(x: Tensor, matrix: Tensor) -> Tensor:
    """A linear map of every position, in float32 whatever the networks beside it are computed in: steps are
    finer than bfloat16 tells large latents apart."""
    with torch.autocast(x.device.type, enabled=False):
        return F.conv2d(x, matrix[:, :, None, None])


def to_depth(x: Tensor, side: int) -> Tensor:
    """(B, C, H, W) -> (B, side^2 C, H / side, W / side); channels by row and column inside, C fastest."""
    count, channels, height, width = x.shape
    parts = x.reshape(count, channels, height // side, side, width // side, side)
    parts = parts.permute(0, 3, 5, 1, 2, 4)
    return parts.reshape(count, -1, height // side, width // side)


def to_space(x: Tensor, side: int) -> Tensor:
    """The inverse of `to_depth`."""
    count, channels, height, width = x.shape
    parts = x.reshape(count, side, side, channels // side**2, height, width)
    return parts.permute(0, 3, 4, 1, 5, 2).reshape(count, -1, height * side, width * side)


def patches(pixels: Tensor) -> Tensor:
    """What `F.pixel_unshuffle(pixels, STRIDE)` gives, channels last in memory and in one movement."""
    count, colours, height, width = pixels.shape
    rows, across = height // STRIDE, width // STRIDE
    parts = pixels.reshape(count, colours, rows, STRIDE, across, STRIDE).permute(0, 2, 4, 1, 3, 5)
    return parts.reshape(count, rows, across, -1).permute(0, 3, 1, 2)


def channels_last(x: Tensor) -> Tensor:
    """The same numbers, those of one position side by side: what 1x1 convolutions like."""
    return x.contiguous(memory_format=torch.channels_last)
