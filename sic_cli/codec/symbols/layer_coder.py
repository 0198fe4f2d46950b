"""The layer coder: the order of symbols, and which frequency table codes which (FORMAT.md, section 6).

Encoder and decoder call the same function; they differ only in the `Coder` that they bring. The encoder's is
given the symbols and writes them, the decoder's reads them; both return them.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..quantization.dead_zone import ESCAPE_MAX, Indices, nonzero_behind
from ..quantization.passes import gather, scatter
from ..quantization.step_sizes import NOT_SENT, StepSizes
from .class_runs import ABSENT, Coder, Reading, Writing, singles
from .coding_tables import CodingTables
from .zero_blocks import leaving

__all__ = ["LayerCoder", "Reading", "Writing", "digest", "widen_dtype"]
ContextClasses = Callable[[Indices, int], NDArray[np.uint8]]
"""Indices before a pass and its number -> classes (3, channels, positions): `IncrementalContext`."""
LARGE = 1 << 14
"""One bit plane more may take such an index beyond 16 bits."""


class LayerCoder:
    """Takes indices from level to level. Holds no state but the model's numbers."""

    def __init__(
        self, steps: StepSizes, tables: CodingTables, context_classes: ContextClasses
    ) -> None:
        self._steps, self._tables, self._context_classes = steps, tables, context_classes

    def with_context_classes(self, context_classes: ContextClasses) -> LayerCoder:
        """The same coder, asking another for its classes."""
        return LayerCoder(self._steps, self._tables, context_classes)

    def layer(
        self, level: int, indices: Indices, coder: Coder, target: Indices | None = None
    ) -> Indices:
        """Indices (C, h, w) at `level` from those at `level - 1`, which stay as they are when decoding.

        target: indices at the last level if they are known (encoding), else None.
        """
        finer = indices.copy() if target is None else indices
        for number in self._steps.passes_of(level):
            finer = widen_dtype(finer)
            self._pass(number, finer, coder, target)
        return finer

    def _pass(self, number: int, indices: Indices, coder: Coder, target: Indices | None) -> None:
        """One coding pass, in place. Symbols stand in the order of (channel, position of the pass)."""
        one = self._steps.passes[number]
        classes = self._context_classes(indices, number)
        significance, sign, refinement = (kind.reshape(-1) for kind in classes)
        planes = indices[one.channels]
        own = gather(planes, one.lattices)
        shape, own = own.shape, own.reshape(-1)
        split = np.flatnonzero(own)
        was = own[split]
        significance[split] = ABSENT
        known = fresh = halved = None
        if target is not None:
            places, child = nonzero_behind(target, self._steps, one)
            before_it = own[places] != 0
            fresh, halved = child[~before_it], child[before_it]
            known = np.zeros(len(own), np.uint8)
            known[places[~before_it]] = 1
        new = leaving(coder, self._tables.significance, significance, known)
        symbols = None if fresh is None else (fresh > 0).view(np.uint8)
        positive = singles(coder, self._tables.sign, sign[new], symbols)
        symbols = None if halved is None else (halved & 1).astype(np.uint8)
        outer = singles(coder, self._tables.refinement, refinement[split], symbols)

        half = outer.astype(own.dtype)
        own[split] = 2 * was + np.where(was > 0, half, -half)
        magnitude = np.ones(len(new), own.dtype)
        first = one.before[one.channels] == NOT_SENT
        if first.any():
            begun = np.flatnonzero(first[new // shape[1]])
            size = None if fresh is None else np.abs(fresh[begun])
            magnitude[begun] = self._escape(refinement[new[begun]], size, coder)
        own[new] = np.where(positive, magnitude, -magnitude)
        scatter(own.reshape(shape), planes, one.lattices)
        indices[one.channels] = planes

    def _escape(
        self, classes: NDArray[np.uint8], known: Indices | None, coder: Coder
    ) -> NDArray[np.int16]:
        """Magnitudes of a channel's first indices: "larger still?" until no, or ESCAPE_MAX."""
        magnitude = np.ones(len(classes), np.int16)
        still = np.arange(len(classes))
        for size in range(1, ESCAPE_MAX):
            if not len(still):
                break
            symbols = None if known is None else (known[still] > size).view(np.uint8)
            larger = singles(coder, self._tables.escape, classes[still], symbols)
            still = still[larger != 0]
            magnitude[still] += 1
        return magnitude


def widen_dtype(indices: Indices) -> Indices:
    """The same indices, in 32 bits if they are held in 16 that one more bit plane could leave."""
    if (
        indices.dtype == np.int16
        and not -LARGE < indices.min(initial=0) <= indices.max(initial=0) < LARGE
    ):
        return indices.astype(np.int32)
    return indices


def digest(steps: StepSizes, level: int, indices: Indices, start: int) -> int:
    """CRC-32 over the indices of the channels that `level` took further, continued from the layer before."""
    changed = steps.refined_by(level)
    return zlib.crc32(np.ascontiguousarray(indices[changed], dtype="<i4").data, start)
