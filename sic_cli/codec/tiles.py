"""Big pictures in strips of rows, with enough overlap that the seams are not there.

A network of n convolutions of 3x3 sees n rows beyond its own; strips that carry that many rows of
their neighbours (`halo`) give in their middle what the whole picture would give. Only the pixels'
networks run in strips: the context network always sees the whole layer, so that no symbol depends on
how a machine cuts its work.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

STRIP_LATENTS = 32_768
"""Latent positions per strip: 8 megapixels, some 600 MB inside the synthesis."""


@dataclass(frozen=True, slots=True)
class Strip:
    """Latent rows: `top` to `bottom` are this strip's own, `first` to `last` are what it looks at."""

    top: int
    bottom: int
    first: int
    last: int

    @property
    def seen(self) -> slice:
        """The rows to feed."""
        return slice(self.first, self.last)

    @property
    def own(self) -> slice:
        """The rows to write."""
        return slice(self.top, self.bottom)

    @property
    def kept(self) -> slice:
        """Its own rows among those that it looked at."""
        return slice(self.top - self.first, self.bottom - self.first)


def strips(rows: int, across: int, halo: int) -> Iterator[Strip]:
    """Cut latent rows of `across` positions. halo: rows of overlap on each side."""
    height = max(2 * halo, STRIP_LATENTS // max(1, across))
    if rows <= height + halo:
        height = rows
    for top in range(0, rows, max(1, height)):
        bottom = min(rows, top + height)
        yield Strip(top, bottom, max(0, top - halo), min(rows, bottom + halo))


def scaled(rows: slice, unit: int) -> slice:
    """The same rows where each is `unit` rows high."""
    return slice(rows.start * unit, rows.stop * unit)
