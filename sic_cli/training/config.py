"""What a training run is configured by: everything that a resumed run must find unchanged, and its budget."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """batch is per process; lr is that of the decoder and context; the encoder learns slower.

    stage: "joint" trains all; "both" trains all with two decoders behind one encoder; "decoder" freezes
    analysis and context; "context" freezes both
    transforms; "decoding" the analysis alone. decay: last part of a final run, in which the rate
    falls. favour: the first level is drawn e^favour times as often as the last. even: if above 0, a
    crop counts by log(even + its share of the level's mean), so that decibels count and not squared
    errors, of which busy crops have most. only_level: train for this level alone, 0: for all.

    Weights beside the squared error: lpips, of LPIPS; statistics, of the energy
    of fine structure (texture.py); blocking, of the error's steps over the edges of the patches in flat
    places, so that no blocks show, which statistics do not look at.

    rate_weight: factor of the rate in the cost of a level. perceptual_decoder: weight of all that the second decoder of
    stage "both" pays, against the first one's cost.

    The paper's terms, each off by default. samples: if above 1, the decoder sees so many random samples
    of the indices instead of their centres, and all losses are means over them. full: weight of the
    finest level, at which every sample then pays as well. consistency: weight of the distance between
    a latent and that of its decoded picture.
    """

    stage: str = "joint"
    batch: int = 4
    crop: int = 256
    lr: float = 1e-3
    muon_lr: float = 2e-3
    encoder_lr: float = 0.25
    linear_lr: float = 0.15
    warmup: int = 200
    decay: float = 0.3
    ema: float = 0.999
    clip: float = 1.0
    bits_weight: float = 4.0
    lpips: float = 0.0
    favour: float = 0.0
    even: float = 0.0
    blocking: float = 0.0
    statistics: float = 0.0
    rate_weight: float = 1.0
    perceptual_decoder: float = 0.25
    only_level: int = 0
    samples: int = 1
    full: float = 0.0
    consistency: float = 0.0
    seed: int = 0
