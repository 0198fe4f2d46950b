"""The walk: the order of symbols, and which table codes which (FORMAT.md, section 6).

Encoder and decoder call the same function; they differ only in the `Coder` they bring. The encoder's
is told the symbols and writes them, the decoder's reads them; both return them.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..cells.levels import NOT_SENT, LevelTable
from ..cells.quantise import FIRST_CUT_MAX, Cells, at_octaves
from ..entropy import Decoder, Encoder
from ..entropy.tables import FrequencyTable
from .coding_tables import BlockTables, CodingTables

Symbols = NDArray[np.int32]
Classes = Callable[[Cells, int, NDArray[np.intp]], NDArray[np.uint8]]
"""Cells, step and refined channels -> classes (3, channels, h, w): `ContextRunner.classes`."""


class Coder(Protocol):
    """What a walk does with symbols. `known` is None when decoding."""

    def code(self, table: FrequencyTable, count: int, known: Symbols | None) -> Symbols: ...


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


class Walk:
    """Takes cells from level to level. Holds no state but the release's numbers."""

    def __init__(self, table: LevelTable, tables: CodingTables, classes: Classes) -> None:
        self._table, self._tables, self._classes = table, tables, classes

    def layer(self, level: int, cells: Cells, coder: Coder, goal: Cells | None = None) -> Cells:
        """Cells at `level` from those at `level - 1`.

        goal: cells at the last level if they are known (encoding), else None.
        """
        for step in self._table.steps_of(level):
            cells = self._step(step, cells, coder, goal)
        return cells

    def _step(self, step: int, cells: Cells, coder: Coder, goal: Cells | None) -> Cells:
        before, after = self._table.steps[step], self._table.steps[step + 1]
        channels = np.flatnonzero(after > before)
        zero, sign, inner = self._classes(cells, step, channels)
        parent = cells[channels]
        child = None if goal is None else at_octaves(goal, self._table, after)[channels]
        made = np.zeros_like(parent)

        leaving = parent == 0
        left = self._group(
            zero[leaving],
            None if child is None else (child[leaving] != 0).astype(np.int32),
            lambda index, count, known: _blocks(coder, self._tables.zero[index], count, known),
        )
        alive = leaving.copy()
        alive[leaving] = left.astype(bool)
        positive = self._group(
            sign[alive],
            None if child is None else (child[alive] > 0).astype(np.int32),
            lambda index, count, known: coder.code(self._tables.sign[index], count, known),
        )
        made[alive] = 2 * positive - 1

        split = ~leaving
        outer = self._group(
            inner[split],
            None if child is None else (np.abs(child[split]) & 1).astype(np.int32),
            lambda index, count, known: coder.code(self._tables.inner[index], count, known),
        )
        was = parent[split]
        made[split] = np.sign(was) * (2 * np.abs(was) + outer)

        first = before[channels] == NOT_SENT
        if first.any():
            open_ = alive & first[:, None, None]
            self._first_cut(inner, open_, made, child, coder)
        cells = cells.copy()
        cells[channels] = made
        return cells

    def _first_cut(
        self,
        inner: NDArray[np.uint8],
        open_: NDArray[np.bool_],
        made: Cells,
        child: Cells | None,
        coder: Coder,
    ) -> None:
        """Count up the cell numbers of a first cut: "larger still?" until no, or FIRST_CUT_MAX."""
        where = np.flatnonzero(open_)
        classes, numbers = inner.reshape(-1)[where], made.reshape(-1)
        known: Symbols | None = None
        if child is not None:
            known = np.abs(child.reshape(-1)[where]).astype(np.int32)
        for size in range(1, FIRST_CUT_MAX):
            if not len(where):
                break
            larger = self._group(
                classes,
                None if known is None else (known > size).astype(np.int32),
                lambda index, count, told: coder.code(self._tables.more[index], count, told),
            ).astype(bool)
            where, classes = where[larger], classes[larger]
            if known is not None:
                known = known[larger]
            numbers[where] += np.sign(numbers[where])

    @staticmethod
    def _group(
        classes: NDArray[np.uint8],
        known: Symbols | None,
        code: Callable[[int, int, Symbols | None], Symbols],
    ) -> Symbols:
        """Code symbols class by class, in the order in which they stand within a class."""
        order = np.argsort(classes, kind="stable")
        counts = np.bincount(classes, minlength=1)
        out = np.empty(len(classes), np.int32)
        start = 0
        for index in np.flatnonzero(counts):
            part = order[start : start + counts[index]]
            out[part] = code(int(index), len(part), None if known is None else known[part])
            start += len(part)
        return out


def _blocks(coder: Coder, tables: BlockTables, count: int, known: Symbols | None) -> Symbols:
    """Code near-certain zeros in blocks (coding_tables.py)."""
    size, whole = tables.size, count // tables.size
    if tables.flag is None or tables.first is None:
        return coder.code(tables.single, count, known)
    rows: Symbols | None = None
    if known is not None:
        rows = known[: whole * size].reshape(whole, size)
    any_leaves = None if rows is None else np.asarray(rows.any(1)).astype(np.int32)
    flags = coder.code(tables.flag, whole, any_leaves)
    hit = np.flatnonzero(flags)
    hits: Symbols | None = None if rows is None else rows[hit].astype(np.int32)
    first = coder.code(
        tables.first, len(hit), None if hits is None else hits.argmax(1).astype(np.int32)
    )
    behind = np.arange(size)[None] > first[:, None]
    rest = coder.code(tables.single, int(behind.sum()), None if hits is None else hits[behind])
    tail = coder.code(
        tables.single, count - whole * size, None if known is None else known[whole * size :]
    )
    lines = (np.arange(size)[None] == first[:, None]).astype(np.int32)
    lines[behind] = rest
    out = np.zeros((whole, size), np.int32)
    out[hit] = lines
    return np.concatenate([out.reshape(-1), tail])


def digest(table: LevelTable, level: int, cells: Cells, start: int) -> int:
    """CRC-32 over the cells of the channels that `level` refined, continued from the layer before."""
    before = table.octaves[level - 2] if level > 1 else np.full(table.channels, NOT_SENT, np.int8)
    changed = np.flatnonzero(table.octaves[level - 1] > before)
    return zlib.crc32(np.ascontiguousarray(cells[changed], dtype="<i4").data, start)
