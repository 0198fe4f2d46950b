"""What encoding and decoding may be asked for; checked by those who take it from users."""

from __future__ import annotations

from dataclasses import dataclass

from ..picture.choices import Choices
from .rate_control import QualityTarget

EFFORTS = range(1, 10)
"""How long an encoder may search: `codec.rdo.search.PLANS` says what for."""


@dataclass(frozen=True, slots=True)
class EncodeOptions(Choices):
    """How a picture is read, and: level: the highest level written; target_size (bytes), target_bpp: ceilings on the whole file.
    quality (1..100), targets, best_effort, measure: see pipeline/rate_control.py; level and ceilings cap the search.
    realism: of the decoder that these measure with. effort: 1 to 9, how long better indices are searched
    for. model:
    name, folder, or None for the newest weights."""

    level: int | None = None
    target_size: int | None = None
    target_bpp: float | None = None
    model: str | None = None
    device: str = "auto"
    quality: int | None = None
    targets: tuple[QualityTarget, ...] = ()
    best_effort: bool = False
    measure: bool = False
    realism: float = 1.0
    effort: int = 1


@dataclass(frozen=True, slots=True)
class DecodeOptions:
    """level: None for the highest whole one. details: "mean", or "sample" for another picture that
    the file allows, by `seed` (None: 1). realism: 0 (smallest error) to 1 (most natural). strict: refuse cut and
    damaged files. background: under transparency, for formats without. metadata: "all", "icc" or
    "none". output_quality: of JPEG, WebP and AVIF, 1 to 100; png_compression: 0 to 9; None: sic's
    own. preview: layer 0 alone, a sixteenth of the size times `scale` (1, 2 or 4); level, realism and seed
    then say nothing."""

    level: int | None = None
    details: str = "mean"
    seed: int | None = None
    strict: bool = False
    device: str = "auto"
    realism: float = 1.0
    background: str = "white"
    metadata: str = "all"
    strip_gps: bool = False
    output_quality: int | None = None
    png_compression: int | None = None
    preview: bool = False
    scale: int = 1

    @property
    def noise_seed(self) -> int:
        """Seed of the decoder's noise: 0 unless another sample is asked for."""
        return 0 if self.details == "mean" else 1 if self.seed is None else self.seed
