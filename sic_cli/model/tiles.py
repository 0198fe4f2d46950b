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
"""Latent positions per strip: 8 megapixels, some 700 MB inside the synthesis, which takes 22 kB for each
position that it looks at."""
WIDE = 512
"""Latent positions side by side that are computed at once. Wider pictures, from 8,192 pixels on, are cut
into columns too: strips of them would need as much memory as their rows are long."""


@dataclass(frozen=True, slots=True)
class Strip:
    """Latent rows: `top` to `bottom` are this strip's own, `first` to `last` are what it looks at.
    Columns likewise, where a picture is cut into those."""

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


def strips(rows: int, across: int, halo: int, overlap: bool = False) -> Iterator[Strip]:
    """Cut latent rows of `across` positions. halo: rows of overlap on each side; overlap: whether they
    count among the positions that a strip may have."""
    height = STRIP_LATENTS // max(1, min(across, WIDE)) - (2 * halo if overlap else 0)
    return _cut(rows, max(2 * halo, height), halo)


def columns(across: int, halo: int) -> Iterator[Strip]:
    """Cut the `across` positions of latent rows, where they are more than WIDE."""
    return _cut(across, max(2 * halo, WIDE), halo)


def _cut(count: int, size: int, halo: int) -> Iterator[Strip]:
    if count <= size + halo:
        size = count
    for top in range(0, count, max(1, size)):
        bottom = min(count, top + size)
        yield Strip(top, bottom, max(0, top - halo), min(count, bottom + halo))


def scaled(rows: slice, unit: int) -> slice:
    """The same rows where each is `unit` rows high."""
    return slice(rows.start * unit, rows.stop * unit)
