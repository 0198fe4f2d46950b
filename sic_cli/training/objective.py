"""What training minimises: all terms of a step, weighted as the configuration says.

Per sample one level is drawn; `J = distortion + slope * rate`, each level divided by its own running
mean, so that no level drowns another. LPIPS and statistics stand beside it, divided likewise. Of two
decoders the MSE decoder pays for J, the perceptual one for the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..codec.networks.codec_model import CodecModel
from ..codec.networks.transforms import Synthesis
from .config import TrainConfig
from .loss import QuantisedLatent, blocking_loss, layer_bits, mse, quantise, slope, stand_in_rate
from .lpips_loss import LpipsLoss
from .texture import statistics

TERMS = 4
"""Rows of the running means: distortion and rate, LPIPS, statistics, the perceptual decoder's distortion."""
LEARNING = ("joint", "both")
"""Stages in which the encoder learns."""


@dataclass(slots=True)
class Objective:
    """norms: running means (TERMS, K), 0 where there is none yet; sampler: draws places in intervals."""

    model: CodecModel
    config: TrainConfig
    norms: Tensor
    lpips_loss: LpipsLoss | None
    sampler: torch.Generator

    def __call__(self, pixels: Tensor, chance: np.random.Generator) -> Tensor:
        """The loss of a batch: float (B, 3, H, W) in [-127.5, 127.5]."""
        model, config = self.model, self.config
        level, passes = self.choose_levels(len(pixels), chance)
        level, passes = level.to(pixels.device), passes.to(pixels.device)
        with torch.set_grad_enabled(torch.is_grad_enabled() and config.stage in LEARNING):
            latent = model.analysis(pixels)
        loss = torch.zeros((), device=pixels.device)
        if config.stage != "context":
            loss = self.at_levels(latent, level, pixels, chance)
        area = pixels.shape[2] * pixels.shape[3]
        for i in range(passes.shape[1]):
            bits = layer_bits(model, latent.detach(), passes[:, i]) / area
            loss = loss + config.bits_weight * bits.mean()
        return loss

    def at_levels(
        self, latent: Tensor, level: Tensor, pixels: Tensor, chance: np.random.Generator
    ) -> Tensor:
        """What is paid for pictures: at the drawn levels, and at the finest if `full` says so."""
        model, config = self.model, self.config
        shift = (0, 0)
        if self.lpips_loss is not None:
            dy, dx = (int(v) for v in chance.integers(0, 4, 2))
            shift = (dy, dx)
        loss = self.pictures(quantise(model, latent, level), pixels, shift, config.samples)
        if config.full:
            finest = torch.full_like(level, model.config.levels - 1)
            loss = loss + config.full * self.pictures(
                quantise(model, latent, finest), pixels, shift, config.samples
            )
        return loss

    def choose_levels(self, count: int, chance: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Levels (count,) from 0, and coding passes (count, n) that are paid for: the
        last one of each level and any other up to the highest level."""
        config, last = self.config, last_passes(self.model)
        levels = len(last)
        levels_drawn = torch.from_numpy(draw_levels(chance, levels, count, config.favour))
        if config.only_level:
            levels_drawn = torch.full_like(levels_drawn, config.only_level - 1)
        highest = config.only_level or levels
        other = torch.from_numpy(chance.integers(0, int(last[highest - 1]) + 1, count))
        passes = torch.stack([last[levels_drawn], other], 1)
        return levels_drawn, passes[:, :0] if config.stage == "decoder" else passes

    def pictures(
        self, what: QuantisedLatent, original: Tensor, shift: tuple[int, int], samples: int
    ) -> Tensor:
        """The loss of what is shown at some levels, expected over `samples` samples of the intervals.

        Of two decoders the MSE decoder pays for squared errors and rate; the perceptual one for looks, and
        for squared errors beside them. All of it reaches the encoder.
        """
        config, model, second = self.config, self.model, self.model.perceptual_synthesis
        made = self.decode_samples(what, model.synthesis, samples)
        cost = expected(lambda one: self.distortion(what, one, original), made)
        if config.stage not in ("decoder", "decoding"):
            area = original.shape[2] * original.shape[3]
            rate = stand_in_rate(model, what.latent, what.guard) / area
            cost = cost + config.rate_weight * slope(model, what.level) * rate
        loss = self.squared(0, what.level, cost)
        if second is None:
            return loss + self.looks(what.level, made, original, shift)
        loss = loss + self.edges(made, original)
        made = self.decode_samples(what, second, samples)
        cost = expected(lambda one: mse(one, original), made)
        other = self.squared(3, what.level, cost) + self.looks(what.level, made, original, shift)
        return loss + config.perceptual_decoder * other

    def decode_samples(
        self, what: QuantisedLatent, decoder: Synthesis, samples: int
    ) -> list[Tensor]:
        """What a decoder makes of the centres of the intervals or, if `samples` > 1, of random samples."""
        sampler = self.sampler if samples > 1 else None
        return [what.decoded(self.model, sampler, decoder) for _ in range(samples)]

    def squared(self, term: int, level: Tensor, cost: Tensor) -> Tensor:
        """Mean of a cost in grey levels squared, each level divided by its running mean."""
        share = self.divided(term, level, cost)
        if self.config.even:
            share = torch.log(self.config.even + share)
        return share.mean()

    def edges(self, made: list[Tensor], original: Tensor) -> Tensor:
        """What steps over the edges of patches cost."""
        if not self.config.blocking:
            return torch.zeros((), device=original.device)
        found = expected(lambda one: blocking_loss(one - original, original), made)
        return self.config.blocking * found.mean()

    def looks(
        self, level: Tensor, made: list[Tensor], original: Tensor, shift: tuple[int, int]
    ) -> Tensor:
        """What a decoder pays for beside squared errors."""
        config, loss = self.config, torch.zeros((), device=original.device)
        loss = loss + self.edges(made, original)
        if self.lpips_loss is not None:
            look, (dy, dx) = self.lpips_loss, shift
            distance = expected(lambda one: look.shifted(one, original, dy, dx), made)
            loss = loss + config.lpips * self.divided(1, level, distance).mean()
        if config.statistics:
            distance = expected(lambda one: statistics(one, original), made)
            loss = loss + config.statistics * self.divided(2, level, distance).mean()
        return loss

    def distortion(self, what: QuantisedLatent, made: Tensor, original: Tensor) -> Tensor:
        """(B,) in grey levels squared."""
        cost = mse(made, original)
        if self.config.consistency:  # a latent has the scale of an orthonormal transform of pixels
            again = self.model.analysis(made) - what.latent.detach()
            cost = cost + self.config.consistency * again.square().sum((1, 2, 3)) / made[0].numel()
        return cost

    def divided(self, term: int, level: Tensor, value: Tensor) -> Tensor:
        """A term by its running mean at each level."""
        follow(self.norms[term], level, value.detach())
        return value / self.norms[term][level]


def expected(distance: Callable[[Tensor], Tensor], made: list[Tensor]) -> Tensor:
    """Mean over several pictures of the same thing."""
    return torch.stack([distance(one) for one in made]).mean(0)


def last_passes(model: CodecModel) -> Tensor:
    """int64 (K,): the last coding pass of each level."""
    passes = model.pass_level
    first = [passes[::-1].index(k + 1) for k in range(model.config.levels)]
    return len(passes) - 1 - torch.tensor(first)


def known_norms(known: list[float], levels: int) -> Tensor:
    """Running means (TERMS, K) of a checkpoint; 0 for terms that it does not know."""
    return torch.tensor((known + [0.0] * TERMS * levels)[: TERMS * levels]).view(TERMS, levels)


def draw_levels(
    chance: np.random.Generator, levels: int, count: int, favour: float = 0.0
) -> NDArray[np.int64]:
    """`count` levels from 0, spread evenly over their shares: the first has e^favour times the last's."""
    share = np.exp(-favour * np.arange(levels) / max(1, levels - 1))
    edges = np.cumsum(share) / share.sum()
    levels_drawn = np.searchsorted(
        edges, (np.arange(count) + chance.random(count)) / count, side="right"
    )
    return chance.permutation(np.minimum(levels_drawn, levels - 1))


def follow(norms: Tensor, level: Tensor, value: Tensor) -> None:
    """Running mean of a loss by level; its first value counts in full."""
    total = torch.zeros_like(norms).index_add_(0, level, value)
    count = torch.zeros_like(norms).index_add_(0, level, torch.ones_like(value))
    mean = total / count.clamp_min(1)
    moved = torch.where(norms == 0, mean, norms.lerp(mean, 0.02))
    norms.copy_(torch.where(count > 0, moved, norms))
