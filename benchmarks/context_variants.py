"""The networks that `context.py` compares: the context network with one thing changed at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sic_cli.codec.inference.config import ModelConfig
from sic_cli.codec.inference.integer_network import (
    ACTIVATION_MAX,
    LOGIT_ONE,
    WEIGHT_SHIFT,
    ContextWeights,
)
from sic_cli.codec.networks import context
from sic_cli.codec.networks.codec_model import CodecModel
from sic_cli.codec.networks.context import ContextNet, features
from sic_cli.codec.quantization.step_sizes import build
from sic_cli.training.initialise import laplace
from sic_cli.training.loss import dead_zone_indices

SIDE = 16
"""Channels of the hyper-latent. Those that do not earn their bits become constant."""
HIDDEN = 64


@dataclass(frozen=True, slots=True)
class Variant:
    """One thing that is trained.

    whole: in whole numbers; side: channels of the hyper-latent, 0: none; sees: the indices decoded so
    far; learns: False: biases of each pass and channel, nothing else; stale: beyond level 1 the blocks
    run at every second pass only, and the next one adds what they said; kernel: 1: indices of the same
    position alone.
    """

    config: ModelConfig
    whole: bool = True
    side: int = 0
    sees: bool = True
    learns: bool = True
    stale: bool = False
    kernel: int = 3
    seed: int = 0


def variants(base: ModelConfig) -> dict[str, Variant]:
    """By name, the important ones first."""
    plain = Variant(base)

    def shaped(**changes: object) -> Variant:
        return Variant(replace(base, **changes))  # type: ignore[arg-type]

    return {
        "base": plain,
        "hyper": replace(plain, side=SIDE),
        "hyper-only": replace(plain, side=2 * SIDE, sees=False),
        "static": Variant(replace(base, context_blocks=0), sees=False, learns=False),
        "no-groups": shaped(groups=(), lead=0),
        "float": replace(plain, whole=False),
        "width-48": shaped(context_width=48),
        "width-96": shaped(context_width=96),
        "depth-1": shaped(context_blocks=1),
        "depth-3": shaped(context_blocks=3),
        "width-32": shaped(context_width=32),
        "stale": replace(plain, stale=True),
        "base-again": replace(plain, seed=1),
        "no-lead": shaped(lead=0),
        "one-group": shaped(groups=base.groups[1:2], lead=0),
        "one-position": replace(plain, kernel=1),
    }


class HyperLatent(nn.Module):
    """Sees the finest indices; its whole numbers, one set for 4x4 positions, cost bits and are added to
    the entry. Works in floats."""

    def __init__(self, channels: int, count: int, wide: int) -> None:
        super().__init__()
        self.down = nn.Sequential(
            *(nn.Conv2d(2 * channels, HIDDEN, 1), nn.ReLU()),
            *(nn.Conv2d(HIDDEN, HIDDEN, 5, 2, 2), nn.ReLU(), nn.Conv2d(HIDDEN, count, 5, 2, 2)),
        )
        self.up = nn.Sequential(
            *(nn.Conv2d(count, HIDDEN, 3, 1, 1), nn.ReLU(), nn.ConvTranspose2d(HIDDEN, wide, 4, 4))
        )
        self.middle, self.spread = (nn.Parameter(torch.zeros(count, 1, 1)) for _ in range(2))

    def forward(self, finest: Tensor) -> tuple[Tensor, Tensor]:
        """Features of the finest indices (B, 2 C, h, w) -> what is added to the entry (B, wide, h, w),
        bits (B,). In training noise stands for rounding where bits are counted."""
        real = 4 * self.down(finest / 16)
        sent = real + (torch.round(real) - real).detach()
        counted = sent
        if torch.is_grad_enabled():
            counted = real + torch.rand_like(real) - 0.5
        place, scale = counted - self.middle, torch.exp(-self.spread)
        share = torch.sigmoid((place + 0.5) * scale) - torch.sigmoid((place - 0.5) * scale)
        bits = -torch.log2(share.clamp_min(1e-6)).sum((1, 2, 3))
        told = self.up(sent)[:, :, : finest.shape[2], : finest.shape[3]]
        return 16 * told, bits


class Net(ContextNet):
    """The context network of a variant; that of "base" gives what ContextNet gives.

    `look` must be called with the latent before bits are counted.
    """

    def __init__(self, variant: Variant, passes: int) -> None:
        config = variant.config
        super().__init__(config, passes)
        self.variant = variant
        if variant.kernel == 1:
            self.mid = nn.ParameterList(m.detach()[:, :, 1:2, 1:2] * 3 for m in self.mid)
        self.side = None
        if variant.side:
            self.side = HyperLatent(config.channels, variant.side, config.context_width)
        self.told = torch.zeros(())
        self.before: Callable[[Tensor], Tensor] | None = None

    def look(self, model: CodecModel, latent: Tensor) -> Tensor:
        """Bits (B,) of the hyper-latent, which is kept for the passes that follow."""
        bits = torch.zeros(len(latent))

        def seen(coding_pass: Tensor) -> Tensor:
            depth = model.pass_depths[coding_pass]
            return features(
                dead_zone_indices(latent, model.step_sizes(depth)), depth, model.reach, model.logs
            )

        self.before = seen
        if self.side is not None:
            last = torch.full((len(latent),), len(model.pass_depths) - 1)
            self.told, bits = self.side(seen(last))
        return bits

    def weights(self) -> ContextWeights[Tensor]:
        if self.variant.whole:
            return super().weights()
        one = 2.0**WEIGHT_SHIFT
        return ContextWeights(
            self.entry * one,
            self.entry_bias * LOGIT_ONE,
            tuple(p * one for p in self.mid),
            tuple(p * LOGIT_ONE for p in self.mid_bias),
            tuple(p * one for p in self.back),
            self.exit * one,
            self.exit_bias * LOGIT_ONE,
        )

    def rescale(self, x: Tensor) -> Tensor:
        return context.rescale(x) if self.variant.whole else x * 2.0**-WEIGHT_SHIFT

    def hold(self, x: Tensor) -> Tensor:
        return x.clamp(0, ACTIVATION_MAX) if self.variant.whole else x.relu()

    def forward(self, seen: Tensor, coding_pass: Tensor) -> Tensor:
        weights = self.weights()
        if not self.variant.learns:
            return self.exit_bias[coding_pass][:, :, None, None].expand(-1, -1, *seen.shape[2:])
        x = self.entered(weights, seen, coding_pass)
        if self.variant.stale:
            assert self.before is not None
            then = torch.where(late(coding_pass, self.variant.config), coding_pass - 1, coding_pass)
            old = self.entered(weights, self.before(then), then)
            x = x + self.refined_channels(weights, old, then) - old
        else:
            x = self.refined_channels(weights, x, coding_pass)
        return context.logits(weights, self.hold(x), coding_pass) / LOGIT_ONE

    def entered(self, weights: ContextWeights[Tensor], seen: Tensor, coding_pass: Tensor) -> Tensor:
        """The first activations."""
        x = weights.entry_bias[coding_pass][:, :, None, None]
        if self.variant.sees:
            x = F.conv2d(seen, weights.entry) + x
        return self.rescale(x) + self.told

    def refined_channels(
        self, weights: ContextWeights[Tensor], x: Tensor, coding_pass: Tensor
    ) -> Tensor:
        """`context.trunk` behind its entry."""
        around = self.variant.kernel // 2
        for mid, bias, back in zip(weights.mid, weights.mid_bias, weights.back, strict=True):
            h = F.conv2d(self.hold(x), mid, padding=around) + bias[coding_pass][:, :, None, None]
            x = x + self.rescale(F.conv2d(self.hold(self.rescale(h)), back))
        return x


def late(coding_pass: Tensor, config: ModelConfig) -> Tensor:
    """At which passes "stale" does not run its blocks: every second one behind the first of level 2."""
    first = max(len(config.groups), config.lead) + 1
    return (coding_pass > first) & ((coding_pass - first) % 2 == 1)


def fresh(start: CodecModel, variant: Variant) -> CodecModel:
    """The indices of a release, a context network that knows the spread of latents and nothing else."""
    config = variant.config
    depths = start.depths.to(torch.int8).numpy()
    model = CodecModel(config, build(start.unit.numpy(), depths, config.groups, config.lead))
    model.reach.copy_(start.reach)
    model.logs.copy_(start.logs)
    torch.manual_seed(variant.seed)
    model.context = Net(variant, len(model.pass_level))
    with torch.no_grad():
        spread = (start.analysis.scale - 1) / 0.1
        model.context.exit_bias.copy_(laplace(model, spread))
    return model


def products(model: CodecModel) -> float:
    """Products per position and pass, on the mean over the passes, as the coder does them: entry and exit
    for the channels that the pass before and the pass refine. Those of the hyper-latent are not counted."""
    net, wide = model.context, model.config.context_width
    assert isinstance(net, Net)
    if not net.variant.learns:
        return 0.0
    passes = torch.arange(len(model.pass_level))
    working = 1 - net.variant.stale * float(late(passes, model.config).float().mean())
    refined = (model.pass_depths[1:] > model.pass_depths[:-1]).float().sum(1)
    entry = 2 * float(refined[:-1].sum()) / len(refined) * net.variant.sees
    ends = (entry + 3 * float(refined.mean())) * wide
    return ends + working * len(net.mid) * wide * wide * (net.variant.kernel**2 + 1)
