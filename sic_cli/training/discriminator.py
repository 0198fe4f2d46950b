"""Two discriminators for stage `gan`: each says, place by place, whether a picture is an original.

`heads` looks at the frozen features of AlexNet and SqueezeNet that LPIPS computes anyway (Sauer and others,
"Projected GANs Converge Faster", NeurIPS 2021), `patches` at pixels, beside what the MSE decoder shows.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from .lpips_loss import Features

SEEN = (("squeeze", 1), ("squeeze", 2), ("squeeze", 4), ("squeeze", 6), ("alex", 1), ("alex", 3))
"""Feature maps that have a head: strides 4, 8, 16, 16 of SqueezeNet, 8 and 16 of AlexNet."""
WIDTH = 64
LATENTS = 48
"""Latents that a head sees: those of the lowest channels, which hold what a place looks like."""
SLOPE = 0.2
PATCHES = (96, 160, 224)
PIXEL_SCALE = 64.0


@dataclass(frozen=True, slots=True)
class View:
    """What a discriminator may look at, of `shift`ed pictures (B, 3, H, W): the picture, its features by kind of
    network, the MSE decoder's picture (None unless it is asked for), dequantised latents (B, C, h, w) in units of
    their scale, levels (B,)."""

    pixels: Tensor
    features: dict[str, Features]
    plain: Tensor | None
    latent: Tensor
    level: Tensor

    def detached(self) -> View:
        """The same without gradients."""
        features = {k: [one.detach() for one in maps] for k, maps in self.features.items()}
        return View(self.pixels.detach(), features, self.plain, self.latent, self.level)


class Discriminator(nn.Module):
    """Logits (B, 1, h, w), one map or more: above 0 where a picture looks like an original."""

    needs_plain = False
    """Whether it looks at the MSE decoder's picture."""

    def forward(self, view: View) -> list[Tensor]:
        raise NotImplementedError


def _conv(inputs: int, outputs: int, side: int = 1, stride: int = 1) -> nn.Module:
    return spectral_norm(nn.Conv2d(inputs, outputs, side, stride, side // 2))


class Head(nn.Module):
    """Judges one feature map."""

    def __init__(self, inputs: int, levels: int, latents: int) -> None:
        super().__init__()
        self.gain = inputs**0.5  # features have unit length; so each has about unit size
        self.entry = _conv(inputs, WIDTH)
        self.level = nn.Embedding(levels, WIDTH)
        nn.init.zeros_(self.level.weight)
        self.latent = _conv(latents, WIDTH)
        self.middle = _conv(WIDTH, WIDTH, 3)
        self.exit = _conv(WIDTH, 1)

    def forward(self, features: Tensor, latent: Tensor, level: Tensor) -> Tensor:
        there = F.interpolate(self.latent(latent), size=features.shape[2:], mode="nearest")
        h = self.entry(features * self.gain) + there + self.level(level)[:, :, None, None]
        h = F.leaky_relu(self.middle(F.leaky_relu(h, SLOPE)), SLOPE)
        out: Tensor = self.exit(h)
        return out


class Heads(Discriminator):
    """widths: channels of the feature maps of each kind of network, as `LpipsLoss.widths` gives them."""

    def __init__(self, levels: int, channels: int, widths: dict[str, list[int]]) -> None:
        super().__init__()
        self.latents = min(LATENTS, channels)
        self.heads = nn.ModuleList(
            Head(widths[kind][index], levels, self.latents) for kind, index in SEEN
        )

    def forward(self, view: View) -> list[Tensor]:
        latent = view.latent[:, : self.latents].clamp(-8, 8)
        return [
            head(view.features[kind][index], latent, view.level)
            for head, (kind, index) in zip(self.heads, SEEN, strict=True)
        ]


class Patches(Discriminator):
    """The picture beside the MSE decoder's at stride 4, judged at strides 8 and 16."""

    needs_plain = True

    def __init__(self, levels: int) -> None:
        super().__init__()
        first, second, third = PATCHES
        self.entry = _conv(6 * 16, first, 3)
        self.level = nn.Embedding(levels, first)
        nn.init.zeros_(self.level.weight)
        self.second = _conv(first, second, 3, 2)
        self.third = _conv(second, third, 3, 2)
        self.exits = nn.ModuleList((_conv(second, 1), _conv(third, 1)))

    def forward(self, view: View) -> list[Tensor]:
        assert view.plain is not None
        both = torch.cat([view.pixels, view.plain], 1) / PIXEL_SCALE
        rows, columns = (side // 4 * 4 for side in both.shape[2:])
        h = self.entry(F.pixel_unshuffle(both[:, :, :rows, :columns], 4))
        h = F.leaky_relu(h + self.level(view.level)[:, :, None, None], SLOPE)
        eighth = F.leaky_relu(self.second(h), SLOPE)
        sixteenth = F.leaky_relu(self.third(eighth), SLOPE)
        return [leave(x) for leave, x in zip(self.exits, (eighth, sixteenth), strict=True)]


def judge_loss(real: list[Tensor], made: list[Tensor]) -> Tensor:
    """What a discriminator minimises: a hinge at 1 on either side, all maps counting alike."""
    parts = [
        F.relu(1 - r.float()).mean() + F.relu(1 + m.float()).mean()
        for r, m in zip(real, made, strict=True)
    ]
    return torch.stack(parts).mean()


def logistic_loss(real: list[Tensor], made: list[Tensor]) -> Tensor:
    """The same with the logistic loss."""
    parts = [
        F.softplus(-r.float()).mean() + F.softplus(m.float()).mean()
        for r, m in zip(real, made, strict=True)
    ]
    return torch.stack(parts).mean()


def told_right(real: list[Tensor], made: list[Tensor]) -> Tensor:
    """(maps,): share of places that are judged as what they are, for each map of logits; 0.5 is chance."""
    parts = [
        ((r > 0).float().mean() + (m < 0).float().mean()) / 2
        for r, m in zip(real, made, strict=True)
    ]
    return torch.stack(parts)
