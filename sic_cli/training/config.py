"""What a training run is configured by: everything that a resumed run must find unchanged.

The three stages and their losses: docs/training.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Stage = Literal["mse", "both", "gan"]
STAGES: tuple[Stage, ...] = get_args(Stage)
Judge = Literal["heads", "patches"]
JUDGES: tuple[Judge, ...] = get_args(Judge)


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """stage: "mse" trains analysis and MSE decoder, "both" the perceptual decoder too, "gan" the perceptual
    decoder alone, against a discriminator.

    batch: crops per process and step; crop: their side in pixels. lr: of Adam, muon_lr: of Muon; encoder_lr,
    linear_lr: factors for the analysis and for linear maps. warmup: steps; decay: last part of a run with an
    end, in which the rates fall. ema: of the moving average. clip: largest norm of a gradient.
    average_every: steps between two averages of the weights of several processes.

    favour: the first level is drawn e^favour times as often as the last. even: a crop counts by log(even + its
    share of the level's running mean), 0: by its share. only_level: train for this level alone, 0: for all.
    price: factor of the rate in the cost of a level. blocking, lpips_alex, lpips_squeeze, statistics: weights of
    the other losses.

    discriminator: which one; adversarial: norm of its gradient at the pixels, as a share of that of all other
    losses ("heads"), or weight of its loss ("patches"); alone: crops that it learns from before the decoder
    follows ("heads"), or over which its weight rises ("patches"); discriminator_lr: of its Adam.
    """

    stage: Stage = "mse"
    batch: int = 8
    crop: int = 256
    lr: float = 1e-3
    muon_lr: float = 2e-3
    encoder_lr: float = 0.4
    linear_lr: float = 0.15
    warmup: int = 50
    decay: float = 0.4
    ema: float = 0.999
    clip: float = 1.0
    average_every: int = 8
    favour: float = 1.0
    even: float = 0.25
    only_level: int = 0
    price: float = 1.8
    blocking: float = 0.02
    lpips_alex: float = 2.0
    lpips_squeeze: float = 0.5
    statistics: float = 0.1
    discriminator: Judge = "heads"
    adversarial: float = 0.4
    alone: int = 8000
    discriminator_lr: float = 5e-4
    seed: int = 0

    @property
    def perceptual(self) -> bool:
        """Whether the perceptual decoder learns."""
        return self.stage != "mse"


DEFAULTS: dict[Stage, TrainConfig] = {
    "mse": TrainConfig(),
    "both": TrainConfig("both", lr=5e-4, muon_lr=1e-3, warmup=200, decay=0.33, price=3.0),
    "gan": TrainConfig("gan", lr=3e-4, muon_lr=6e-4, warmup=200, decay=0.5),
}
"""Rates and prices of each stage."""
