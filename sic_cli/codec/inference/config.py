"""The numbers that fix a model's shape. They travel in the card of the weights, as plain TOML."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from ...errors import ModelError

STRIDE = 16
"""Pixels per latent position in each direction."""
PATCH = 3 * STRIDE * STRIDE
"""Values in the patch of pixels that one latent position stands for."""


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """Sizes of the networks and range of the step sizes.

    channels: latent channels; levels: levels in a file; width, half_width: of the stages at strides 16 and 8;
    blocks: residual blocks in each stage; head_width, head_features: the head at stride 4 behind the
    synthesis; noise: noise maps of the perceptual decoder at strides 16, 8 and 4; context_width,
    context_hidden: the integer context network; widest, finest: step sizes of levels 1 and K (in pixel units
    of an orthonormal transform).
    """

    channels: int = 256
    levels: int = 16
    width: int = 192
    half_width: int = 96
    blocks: int = 3
    head_width: int = 48
    head_features: int = 16
    noise: tuple[int, int, int] = (8, 4, 4)
    context_width: int = 64
    context_hidden: int = 64
    widest: float = 192.0
    finest: float = 8.0

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as they stand in a card."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ModelConfig:
        """The inverse of `to_dict`. Raises ModelError for a name that this version does not know."""
        known = {f.name for f in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise ModelError(f"model configuration has unknown entries: {', '.join(unknown)}")
        plain: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in values.items()
        }
        return cls(**plain)
