"""The layer coder: the order of symbols, and which table codes which (FORMAT.md, section 6).

Encoder and decoder call the same function; they differ only in the `Coder` they bring. The encoder's
knows the symbols and writes them, the decoder's reads them; both return them.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..entropy import Decoder, Encoder
from ..entropy.tables import FrequencyTable
from ..quantization.dead_zone import ESCAPE_MAX, Indices, nonzero_at
from ..quantization.step_sizes import NOT_SENT, StepSizes
from .class_runs import ABSENT, Coder, Symbols, singles
from .coding_tables import CodingTables
from .zero_blocks import leaving

ContextClasses = Callable[[Indices, int, NDArray[np.intp]], NDArray[np.uint8]]
"""Indices, pass and refined channels -> classes (3, channels, h, w): `ContextRunner.context_classes`."""
LARGE = 1 << 14
"""One pass more may take such an interval beyond 16 bits."""


class Writing:
    """Codes known symbols into an encoder."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder

    def code(self, table: FrequencyTable, count: int, known: Symbols | None) -> Symbols:
        assert known is not None
        self._encoder.encode(table, known)
        return known


class Reading:
    """Takes symbols out of a decoder."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder

    def code(self, table: FrequencyTable, count: int, known: Symbols | None) -> Symbols:
        return self._decoder.decode(table, count)


class LayerCoder:
    """Takes indices from level to level. Holds no state but the weights' numbers."""

    def __init__(self, table: StepSizes, tables: CodingTables, classes: ContextClasses) -> None:
        self._table, self._tables, self._classes = table, tables, classes

    def with_context_classes(self, classes: ContextClasses) -> LayerCoder:
        """The same layer coder, which asks another for its context classes."""
        return LayerCoder(self._table, self._tables, classes)

    def layer(
        self, level: int, indices: Indices, coder: Coder, target_indices: Indices | None = None
    ) -> Indices:
        """Indices at `level` from those at `level - 1`, which stay as they are when decoding.

        target_indices: indices at the last level if they are known (encoding), else None.
        """
        finer = indices.copy() if target_indices is None else indices
        for coding_pass in self._table.passes_of(level):
            finer = widen_dtype(finer)
            self._code_pass(coding_pass, finer, coder, target_indices)
        return finer

    def _code_pass(
        self, coding_pass: int, indices: Indices, coder: Coder, target_indices: Indices | None
    ) -> None:
        """One pass of the step-size table, in place.

        Symbols stand in the flat order of (refined channel, row, column). A pass holds a few bytes for
        each, and larger numbers only for the places whose interval is not 0.
        """
        before, after = (
            self._table.pass_depths[coding_pass],
            self._table.pass_depths[coding_pass + 1],
        )
        channels = np.flatnonzero(after > before)
        significance, sign, refinement = (
            kind.reshape(-1) for kind in self._classes(indices, coding_pass, channels)
        )
        own = indices[channels].reshape(-1)
        split = np.flatnonzero(own != 0)
        was = own[split]
        significance[split] = ABSENT
        known = fresh = halved = None
        if target_indices is not None:  # what is not 0 becomes alive now, or has been and is split
            places, child = nonzero_at(target_indices, self._table, after, channels)
            before_it = own[places] != 0
            fresh, halved = child[~before_it], child[before_it]
            known = np.zeros(len(own), np.uint8)
            known[places[~before_it]] = 1
        alive = leaving(coder, self._tables.significance, significance, known)
        signs = None if fresh is None else (fresh > 0).view(np.uint8)
        positive = singles(coder, self._tables.sign, sign[alive], signs)
        halves = None if halved is None else (halved & 1).astype(np.uint8)
        outer = singles(coder, self._tables.refinement, refinement[split], halves)

        half = outer.astype(indices.dtype)
        own[split] = 2 * was + np.where(was > 0, half, -half)
        number = np.ones(len(alive), indices.dtype)
        unsent = before[channels] == NOT_SENT
        if unsent.any():
            first = np.flatnonzero(unsent[alive // indices[0].size])
            size = None if fresh is None else np.abs(fresh[first])
            number[first] = self._escaped(refinement[alive[first]], size, coder)
        own[alive] = np.where(positive, number, -number)
        indices[channels] = own.reshape(len(channels), *indices.shape[1:])

    def _escaped(
        self, classes: NDArray[np.uint8], known: Indices | None, coder: Coder
    ) -> NDArray[np.int16]:
        """Indices of a first cut: "larger still?" until no, or FIRST_CUT_MAX."""
        number = np.ones(len(classes), np.int16)
        still = np.arange(len(classes))
        for size in range(1, ESCAPE_MAX):
            if not len(still):
                break
            symbols = None if known is None else (known[still] > size).view(np.uint8)
            larger = singles(coder, self._tables.escape, classes[still], symbols)
            still = still[larger != 0]
            number[still] += 1
        return number


def widen_dtype(indices: Indices) -> Indices:
    """The same indices, in 32 bits if they are held in 16 that one more pass could leave."""
    if (
        indices.dtype == np.int16
        and not -LARGE < indices.min(initial=0) <= indices.max(initial=0) < LARGE
    ):
        return indices.astype(np.int32)
    return indices


def digest(table: StepSizes, level: int, indices: Indices, start: int) -> int:
    """CRC-32 over the indices of the channels that `level` refined, continued from the layer before."""
    before = table.depths[level - 2] if level > 1 else np.full(table.channels, NOT_SENT, np.int8)
    changed = np.flatnonzero(table.depths[level - 1] > before)
    return zlib.crc32(np.ascontiguousarray(indices[changed], dtype="<i4").data, start)
