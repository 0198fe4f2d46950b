"""Pictures cut into bands of rows, so that a convolution uses several cores and gives the same floats.

Told to use two threads, torch halves the sums of 1x1 convolutions and so adds them in another order.
Here the cut depends on the picture's size alone: every band is computed by one thread, side by side or
one after another, and the number of threads changes no bit. Outside of `cut_in_bands`, in training and
on a GPU, there is one band and nothing is cut.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import torch
from torch import Tensor

Work = Callable[[int], Tensor]
"""The number of a band -> what is made of it."""

BAND_ROWS = 16
"""A band has at least so many rows: each computes up to two rows too many in every 3x3 convolution."""
MOST = 16
"""Bands, at most; a power of two, as most numbers of cores are."""
SMALL = 1024
"""Smaller pictures, in positions, are not cut."""

_RUN: ContextVar[Callable[[Work, int], list[Tensor]] | None] = ContextVar("_RUN", default=None)


@contextmanager
def side_by_side(threads: int) -> Iterator[ThreadPoolExecutor]:
    """So many threads, each of which torch uses as one; the caller's own is one as well."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(threads, "sic", torch.set_num_threads, (1,)) as pool:
            yield pool
    finally:
        torch.set_num_threads(before)


@contextmanager
def cut_in_bands(threads: int) -> Iterator[None]:
    """Inside, pictures are cut, and so many bands are computed at a time."""

    def quietly(work: Work, index: int) -> Tensor:
        with torch.inference_mode():
            return work(index)

    with side_by_side(threads) as pool:

        def run(work: Work, count: int) -> list[Tensor]:
            if threads == 1:
                return [work(index) for index in range(count)]
            return list(pool.map(quietly, [work] * count, range(count)))

        token = _RUN.set(run)
        try:
            yield
        finally:
            _RUN.reset(token)


@dataclass(frozen=True, slots=True)
class Bands:
    """A picture (1, C, h, w), from top to bottom."""

    parts: tuple[Tensor, ...]

    @classmethod
    def of(cls, x: Tensor) -> Bands:
        """x: (B, C, h, w); cut if `cut_in_bands` says so."""
        rows, across = x.shape[-2:]
        count = 1
        if _RUN.get():
            while count < MOST and rows >= 2 * count * BAND_ROWS and rows * across >= SMALL:
                count *= 2
        return cls(x.tensor_split(count, 2))

    def made(self, work: Work) -> Bands:
        """What `work` makes of each band."""
        run, count = _RUN.get(), len(self.parts)
        return Bands(tuple(run(work, count) if run and count > 1 else map(work, range(count))))

    def convolved(self, layer: Callable[[Tensor], Tensor], index: int) -> Tensor:
        """Rows of one band of `layer(whole)`. layer: a convolution of 3x3 with padding 1."""
        above, below = index > 0, index + 1 < len(self.parts)
        seen = [self.parts[index]]
        if above:
            seen.insert(0, self.parts[index - 1][:, :, -1:])
        if below:
            seen.append(self.parts[index + 1][:, :, :1])
        out = layer(torch.cat(seen, 2) if len(seen) > 1 else seen[0])
        return out[:, :, int(above) : out.shape[2] - int(below)]

    def joined(self) -> Tensor:
        """(B, C, h, w)."""
        return torch.cat(self.parts, 2) if len(self.parts) > 1 else self.parts[0]
