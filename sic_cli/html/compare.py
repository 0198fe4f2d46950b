"""The pages that look at pictures: several against one, and all levels of a .sic file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..metrics.names import METRICS, Metric
from .chart import chart
from .images import Images
from .render import Frame, Scene, data_block, render

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Seen:
    """A picture of a page. most: largest difference of a sample from the reference; size: bytes of
    its file; level, stated: of a .sic file, and the PSNR that it states (dB)."""

    path: str
    name: str
    pixels: Pixels
    size: int
    values: dict[str, float | None] = field(default_factory=dict)
    most: int = 0
    level: int = 0
    stated: float = 0.0

    @property
    def bpp(self) -> float:
        height, width = self.pixels.shape[:2]
        return float(self.size * 8 / (width * height))

    @property
    def note(self) -> str:
        """What is said under the picture."""
        height, width = self.pixels.shape[:2]
        text = f"{width}x{height}, {self.size} bytes, {self.bpp:.3f} bpp"
        found = [f"{m.title} {m.formatted(self.values[m.name])}" for m in measured([self])]
        return "; ".join([text, *found])


def measured(seen: Sequence[Seen]) -> list[Metric]:
    """The metrics that any of some pictures has."""
    return [m for m in METRICS.values() if any(m.name in one.values for one in seen)]


def _scene(name: str, seen: Sequence[Seen], images: Images, a: int, b: int) -> Scene:
    frames = tuple(Frame(one.name, one.note, images.pixels(one.pixels)) for one in seen)
    return Scene(name, frames, a, b)


def compare_page(
    reference: Seen,
    candidates: Sequence[Seen],
    missing: Mapping[str, str],
    title: str,
    images: Images,
) -> str:
    """Several pictures of one size against a reference."""
    scene = _scene(reference.name, [reference, *candidates], images, 0, 1)
    return render(
        "compare.html",
        title=title,
        reference=reference,
        candidates=candidates,
        metrics=measured(candidates),
        missing=missing,
        data=data_block([scene], images.sources, ""),
    )


def file_page(
    levels: Sequence[Seen],
    reference: Seen | None,
    facts: str,
    notes: Sequence[str],
    title: str,
    images: Images,
) -> str:
    """Levels of a .sic file; the reference is the original or, without one, the highest level."""
    first = reference or levels[-1]
    scene = _scene(title, [first, *levels], images, 0, len(levels))
    metrics = measured(levels)
    charts = [
        chart(
            m.title,
            [
                (
                    title,
                    [
                        (one.bpp, v, f"{one.name}: {m.formatted(v)}")
                        for one in levels
                        if (v := one.values.get(m.name)) is not None
                    ],
                )
            ],
        )
        for m in metrics
    ]
    return render(
        "file.html",
        title=title,
        facts=facts,
        notes=notes,
        levels=levels,
        metrics=metrics,
        against=first.name,
        charts=[c for c in charts if c],
        data=data_block([scene], images.sources, "Level" if len(levels) > 1 else ""),
    )
