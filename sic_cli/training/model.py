"""What is trained together: analysis, two decoders behind it, and where inside an interval a latent is put back.

The context network is trained behind finished transforms (context.py), and is no part of this.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..codec.inference.config import ModelConfig
from ..codec.networks.transforms import Analysis, Noise, Synthesis
from ..codec.quantization.step_sizes import NOT_SENT

GUARD = 0.9
"""Part of the dead zone inside which a latent gets no gradient."""
OFFSET = 0.46
"""Reconstruction offset of a new model: below the middle, since small latents are more frequent."""
NOISE_STRIDES = (16, 8, 4)


class TrainModel(nn.Module):
    """unit: float32 (C,), depths: (K, C), as in `StepSizes`. centre: reconstruction offsets (K, C)."""

    unit: Tensor
    depths: Tensor

    def __init__(
        self,
        config: ModelConfig,
        unit: NDArray[np.floating],
        depths: NDArray[np.integer],
        perceptual: bool = False,
    ) -> None:
        super().__init__()
        self.config = config
        self.analysis = Analysis(config)
        self.mse = Synthesis(config)
        self.perceptual = Synthesis(config, perceptual=True) if perceptual else None
        self.centre = nn.Parameter(torch.full(depths.shape, OFFSET))
        self.register_buffer("unit", torch.from_numpy(np.asarray(unit, np.float32)).clone())
        self.register_buffer("depths", torch.from_numpy(np.asarray(depths, np.int8)).clone())

    def grown(self) -> Synthesis:
        """A perceptual decoder that begins as the MSE decoder; its noise begins with the gains of a new one."""
        decoder = Synthesis(self.config, perceptual=True)
        decoder.load_state_dict({**decoder.state_dict(), **self.mse.state_dict()})
        return decoder.to(self.unit.device)

    def step_sizes(self, level: Tensor) -> Tensor:
        """Step sizes (B, C) at levels (B,) from 0; infinite for a channel that is not sent."""
        depth = self.depths[level].float()
        return torch.where(depth == NOT_SENT, torch.inf, self.unit * torch.exp2(-depth))


@dataclass(frozen=True, slots=True)
class QuantisedLatent:
    """What of a latent (B, C, h, w) is sent at levels (B,): its indices (B, C, h, w) at steps (B, C), infinite
    where nothing is sent. guard: 1 where a latent gets a gradient, else 0. value: dequantised, its gradient
    that of the latent."""

    latent: Tensor
    level: Tensor
    step: Tensor
    indices: Tensor
    guard: Tensor
    value: Tensor

    def decoded(self, decoder: Synthesis, noise: Noise | None = None) -> Tensor:
        """Pixels float32 (B, 3, H, W) in about [-127.5, 127.5]."""
        made: Tensor = decoder(self.value, self.step, self.level, noise)
        return made.float()


def quantise(model: TrainModel, latent: Tensor, level: Tensor) -> QuantisedLatent:
    """What is sent at `level` (B,), from 0."""
    known, step = latent.detach(), model.step_sizes(level)
    wide = step[:, :, None, None]
    indices = known.sign() * torch.floor(known.abs() / wide)
    guard = (known.abs() >= GUARD * wide).float()
    place = indices.sign() * (indices.abs() + model.centre[level][:, :, None, None])
    finite = torch.where(torch.isinf(wide), 0.0, wide)
    value = place * finite + guard * (latent - known)
    return QuantisedLatent(latent, level, step, indices, guard, value)


def draw_noise(
    config: ModelConfig, count: int, rows: int, columns: int, chance: torch.Generator
) -> Noise:
    """Standard normal maps for `count` latents of rows x columns positions."""
    one, two, three = (
        torch.randn(
            (count, maps, rows * 16 // stride, columns * 16 // stride),
            generator=chance,
            device=chance.device,
        )
        for maps, stride in zip(config.noise, NOISE_STRIDES, strict=True)
    )
    return one, two, three
