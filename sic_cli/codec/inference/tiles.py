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
"""Latent positions per strip of the analysis, and of what a GPU is asked to paint: 8 megapixels, 700 MB of a
GPU's memory inside the synthesis."""
PAINTED_LATENTS = 1 << 16
"""Positions that the synthesis looks at together on a CPU: 5 kB each, for its head works in strips of its
own. Large, because every strip computes the rows anew that it shares with the next."""
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


def strips(rows: int, across: int, halo: int, seen: int = 0) -> Iterator[Strip]:
    """Cut latent rows of `across` positions. halo: rows of overlap on each side; seen: how many positions
    a strip may look at, its overlap included (0: STRIP_LATENTS of its own)."""
    side = max(1, min(across, WIDE))
    height = seen // side - 2 * halo if seen else STRIP_LATENTS // side
    return overlapping_strips(rows, max(2 * halo, height), halo)


def columns(across: int, halo: int) -> Iterator[Strip]:
    """Cut the `across` positions of latent rows, where they are more than WIDE."""
    return overlapping_strips(across, max(2 * halo, WIDE), halo)


def overlapping_strips(count: int, size: int, halo: int) -> Iterator[Strip]:
    """Cut so many rows into strips of `size` rows of their own."""
    if count <= size + halo:
        size = count
    for top in range(0, count, max(1, size)):
        bottom = min(count, top + size)
        yield Strip(top, bottom, max(0, top - halo), min(count, bottom + halo))


def scaled(rows: slice, unit: int) -> slice:
    """The same rows where each is `unit` rows high."""
    return slice(rows.start * unit, rows.stop * unit)
