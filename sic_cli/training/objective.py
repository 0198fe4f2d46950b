"""What training minimises: all terms of a step, weighted as the configuration says.

Per crop one level is drawn. The MSE decoder pays for `distortion + price * slope * rate`, the perceptual one for
squared error and looks. Each term is divided by its own running mean at the level, so that no level drowns
another. `backward` leaves gradients in the parameters; only the optimisers' step follows.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .config import TrainConfig
from .discriminator import Discriminator, View, judge_loss, logistic_loss, told_right
from .loss import blocking_loss, mse, slope, stand_in_rate
from .lpips_loss import SHIFTS, Features, LpipsLoss
from .model import QuantisedLatent, TrainModel, draw_noise, quantise
from .precision import computing
from .texture import statistics

TERMS = 5
"""Rows of the running means: MSE decoder's distortion and rate, perceptual decoder's squared error, LPIPS-Alex,
LPIPS-Squeeze, texture statistics."""
RATE, SQUARED, ALEX, SQUEEZE, TEXTURE = range(TERMS)
MOMENTUM = 0.02
"""Share of a new value in a running mean."""

Losses = dict[str, Tensor]
"""Means of a batch, to be shown."""


@dataclass(frozen=True, slots=True)
class Chance:
    """Everything random in a step: levels and shifts, and noise maps."""

    numbers: np.random.Generator
    noise: torch.Generator


@dataclass(slots=True)
class Objective:
    """norms: running means (TERMS, K), 0 where there is none yet. networks: `LpipsLoss` by kind; None in stage
    mse. discriminator: in stage gan. precision: of the networks, as `precision.choose` names it; losses are
    computed in float32."""

    model: TrainModel
    config: TrainConfig
    norms: Tensor
    networks: nn.ModuleDict | None = None
    discriminator: Discriminator | None = None
    precision: str = "float32"
    seen: Losses = field(default_factory=dict)

    def backward(self, pixels: Tensor, chance: Chance, crops: int = 0) -> Losses:
        """Gradients for a batch: float (B, 3, H, W) in [-127.5, 127.5]. crops: seen since the run began."""
        levels = draw_levels(
            chance.numbers, self.model.config.levels, len(pixels), self.config.favour
        )
        if self.config.only_level:
            levels[:] = self.config.only_level - 1
        level = torch.from_numpy(levels).to(pixels.device)
        shift = tuple(int(v) for v in chance.numbers.integers(0, SHIFTS, 2))
        self.seen = {}
        if self.config.stage == "gan":
            self._adversarial_step(pixels, level, shift, chance, crops)
            return self.seen
        what = self._quantised(pixels, level)
        loss = self.mse_loss(what, pixels)
        if self.config.stage == "both":
            made = self._perceptual_picture(what, chance)
            features = self._features(made, pixels, shift)
            loss = loss + self.perceptual_loss(what.level, made, pixels, *features)
        self.seen["loss"] = loss.detach()
        loss.backward()  # type: ignore[no-untyped-call]
        return self.seen

    def mse_loss(self, what: QuantisedLatent, original: Tensor) -> Tensor:
        """What the MSE decoder and the analysis pay."""
        model, config = self.model, self.config
        with self._computing():
            made = what.decoded(model.mse)
        area = original.shape[2] * original.shape[3]
        error, rate = mse(made, original), stand_in_rate(model, what) / area
        cost = error + config.price * slope(model.config, what.level) * rate
        self._show("squared", error)
        self._show("rate", rate)
        blocking = config.blocking * blocking_loss(made - original, original).mean()
        return self._even(RATE, what.level, cost) + blocking

    def perceptual_loss(
        self,
        level: Tensor,
        made: Tensor,
        original: Tensor,
        own: dict[str, Features],
        true: dict[str, Features],
    ) -> Tensor:
        """What the perceptual decoder pays, without the discriminator. own, true: features of both pictures."""
        config, error = self.config, mse(made, original)
        self._show("perceptual squared", error)
        loss = self._even(SQUARED, level, error)
        loss = loss + config.blocking * blocking_loss(made - original, original).mean()
        texture = statistics(made, original)
        self._show("texture", texture)
        loss = loss + config.statistics * self._divided(TEXTURE, level, texture).mean()
        for kind, term, weight in (
            ("alex", ALEX, config.lpips_alex),
            ("squeeze", SQUEEZE, config.lpips_squeeze),
        ):
            distance = self._network(kind).distance(own[kind], true[kind])
            self._show(f"lpips-{kind}", distance)
            loss = loss + weight * self._divided(term, level, distance).mean()
        return loss

    def _adversarial_step(
        self, original: Tensor, level: Tensor, shift: tuple[int, ...], chance: Chance, crops: int
    ) -> None:
        """A step of the perceptual decoder and of the discriminator, everything else frozen."""
        model, config, discriminator = self.model, self.config, self.discriminator
        assert discriminator is not None
        alone = config.discriminator == "heads" and crops < config.alone
        with torch.no_grad():
            what, plain = self._quantised(original, level), None
            if discriminator.needs_plain:
                with self._computing():
                    plain = what.decoded(model.mse)
        with torch.set_grad_enabled(not alone):
            made = self._perceptual_picture(what, chance)
        shown = made.detach().requires_grad_(not alone)  # pixels, where the gradients meet
        own, true = self._features(shown, original, shift)
        dy, dx = shift
        latent = what.value / model.mse.scale[None, :, None, None]
        plain = None if plain is None else plain[:, :, dy:, dx:]
        fake = View(shown[:, :, dy:, dx:], own, plain, latent, level)
        real = View(original[:, :, dy:, dx:], true, plain, latent, level)
        hinged = config.discriminator == "heads"
        with self._computing():
            judged_real, judged_made = discriminator(real), discriminator(fake.detached())
        cost = (judge_loss if hinged else logistic_loss)(judged_real, judged_made)
        cost.backward()  # type: ignore[no-untyped-call]
        self.seen["judge"] = cost.detach()
        right = told_right(judged_real, judged_made)
        self.seen |= {f"right {i}": share.detach() for i, share in enumerate(right)}
        if alone:
            return
        rest = self.perceptual_loss(level, shown, original, own, true)
        (gradient,) = torch.autograd.grad(rest, shown, retain_graph=True)
        with self._computing():
            logits = discriminator(fake)
        if hinged:
            fooled = -torch.stack([one.float().mean() for one in logits]).mean()
        else:
            risen = min(1.0, crops / max(1, config.alone))
            parts = [nn.functional.softplus(-one.float()).mean() for one in logits]
            fooled = config.adversarial * risen * torch.stack(parts).mean()
        (pulled,) = torch.autograd.grad(fooled, shown)
        share = pulled.norm() / gradient.norm().clamp_min(1e-12)
        if hinged:
            pulled = pulled * (config.adversarial / share.clamp_min(1e-12))
        self.seen |= {"loss": rest.detach(), "fooled": fooled.detach(), "share": share}
        made.backward(gradient + pulled)  # type: ignore[no-untyped-call]

    def _computing(self) -> AbstractContextManager[None]:
        return computing(self.norms.device, self.precision)

    def _quantised(self, pixels: Tensor, level: Tensor) -> QuantisedLatent:
        with self._computing():
            latent = self.model.analysis(pixels).float()
        return quantise(self.model, latent, level)

    def _perceptual_picture(self, what: QuantisedLatent, chance: Chance) -> Tensor:
        """What the perceptual decoder makes, with new noise."""
        decoder = self.model.perceptual
        assert decoder is not None
        count, _, rows, columns = what.latent.shape
        noise = draw_noise(self.model.config, count, rows, columns, chance.noise)
        with self._computing():
            return what.decoded(decoder, noise)

    def _features(
        self, made: Tensor, original: Tensor, shift: tuple[int, ...]
    ) -> tuple[dict[str, Features], dict[str, Features]]:
        """Features by kind, of a decoded picture and of its original."""
        dy, dx = shift
        with self._computing():
            own = {k: self._network(k).features(made[:, :, dy:, dx:]) for k in ("alex", "squeeze")}
        with torch.no_grad(), self._computing():
            true = {k: self._network(k).features(original[:, :, dy:, dx:]) for k in own}
        return own, true

    def _network(self, kind: str) -> LpipsLoss:
        assert self.networks is not None
        network = self.networks[kind]
        assert isinstance(network, LpipsLoss)
        return network

    def _even(self, term: int, level: Tensor, cost: Tensor) -> Tensor:
        """Mean of a cost in grey levels squared: decibels count, so that easy crops are not lost among busy
        ones."""
        share = self._divided(term, level, cost)
        return torch.log(self.config.even + share).mean() if self.config.even else share.mean()

    def _divided(self, term: int, level: Tensor, value: Tensor) -> Tensor:
        """A term by its running mean at each level."""
        follow(self.norms[term], level, value.detach())
        out: Tensor = value / self.norms[term][level].clamp_min(1e-12)
        return out

    def _show(self, name: str, value: Tensor) -> None:
        self.seen[name] = value.detach().mean()


def draw_levels(
    chance: np.random.Generator, levels: int, count: int, favour: float = 0.0
) -> NDArray[np.int64]:
    """`count` levels from 0, spread evenly over their shares: the first has e^favour times the last's."""
    share = np.exp(-favour * np.arange(levels) / max(1, levels - 1))
    edges = np.cumsum(share) / share.sum()
    drawn = np.searchsorted(edges, (np.arange(count) + chance.random(count)) / count, side="right")
    return chance.permutation(np.minimum(drawn, levels - 1))


def follow(norms: Tensor, level: Tensor, value: Tensor) -> None:
    """Running mean of a loss by level; its first value counts in full."""
    total = torch.zeros_like(norms).index_add_(0, level, value)
    count = torch.zeros_like(norms).index_add_(0, level, torch.ones_like(value))
    mean = total / count.clamp_min(1)
    moved = torch.where(norms == 0, mean, norms.lerp(mean, MOMENTUM))
    norms.copy_(torch.where(count > 0, moved, norms))
