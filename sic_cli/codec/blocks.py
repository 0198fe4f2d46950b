"""Near-certain zeros, coded in blocks (coding_tables.py; FORMAT.md, section 6.3).

A picture has thousands of runs of them, most with a few symbols. So the coder is called in the order of
the file and nothing else happens there: where blocks lie and what fills them is computed for all classes
of a step at once, before the calls when encoding and behind them when decoding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..entropy.tables import FrequencyTable
from .coding_tables import BlockTables
from .groups import ABSENT, Coder, Stream, Symbols, by_class, code, runs, taken

Places = NDArray[np.intp]
NONE = np.zeros(0, np.int32)


def leaving(
    coder: Coder, tables: Sequence[BlockTables], classes: Stream, known: Stream | None
) -> Places:
    """The places, rising, whose symbol is 1.

    classes: by place, ABSENT where there is no symbol; known: the symbols when encoding.
    """
    order, starts = by_class(classes)
    order = order[: starts[ABSENT]]
    stream = np.zeros(len(order), np.uint8) if known is None else taken(known, order)
    found = runs(starts)
    layout = Layout.of([(start, end, tables[index].size) for index, start, end in found])
    flags, firsts, rest = Lane(coder), Lane(coder), Lane(coder)
    if known is not None:
        flags.known, firsts.known, rest.known = layout.split(stream)
    for index, start, end in found:
        table = tables[index]
        if table.flag is None or table.first is None:
            code(coder, table.single, stream[start:end], known is not None)
            continue
        whole, tail = divmod(end - start, table.size)
        busy = int(np.count_nonzero(flags.code(table.flag, whole)))
        before = int(firsts.code(table.first, busy).sum())
        rest.code(table.single, busy * (table.size - 1) - before + tail)
    if known is not None:
        return np.flatnonzero(known)
    layout.fill(stream, flags.all(), firsts.all(), rest.all())
    left = np.zeros(len(classes), np.bool_)
    left[order[np.flatnonzero(stream)]] = True
    return np.flatnonzero(left)


@dataclass(slots=True)
class Lane:
    """Symbols of one kind, of all classes in a row. known: what they are, when encoding."""

    coder: Coder
    known: Symbols | None = None
    _parts: list[Symbols] = field(default_factory=list)
    _at: int = 0

    def code(self, table: FrequencyTable, count: int) -> Symbols:
        """The next `count`."""
        if not count:
            return NONE
        end = self._at + count
        told = None if self.known is None else self.known[self._at : end]
        self._parts.append(self.coder.code(table, count, told))
        self._at = end
        return self._parts[-1]

    def all(self) -> Symbols:
        """What has been coded."""
        return np.concatenate(self._parts) if self._parts else NONE


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the blocks of all classes lie in a stream.

    begin, size: (blocks,) of each; until: (classes,) blocks up to the end of each class; tail, short:
    (classes,) where the symbols begin that fill no block, and how many these are.
    """

    begin: Places
    size: Places
    until: Places
    tail: Places
    short: Places

    @classmethod
    def of(cls, classes: list[tuple[int, int, int]]) -> Layout:
        """classes: begin and end in the stream, size of a block; those without blocks have 1."""
        table = np.array([row for row in classes if row[2] > 1], np.intp).reshape(-1, 3)
        start, end, size = table.T
        whole = (end - start) // size
        until = np.cumsum(whole)
        each = np.repeat(size, whole)
        begin = np.repeat(start - (until - whole) * size, whole) + np.arange(len(each)) * each
        tail = start + whole * size
        return cls(begin, each, until, tail, end - tail)

    def split(self, stream: Stream) -> tuple[Symbols, Symbols, Symbols]:
        """Flags, places of first ones and the rest, of a stream that is known."""
        ones = np.flatnonzero(stream)
        block = np.searchsorted(self.begin, ones, side="right") - 1
        ones, block = ones[block >= 0], block[block >= 0]
        place = ones - self.begin[block]
        inside = place < self.size[block]
        block, place = block[inside], place[inside]
        new = np.flatnonzero(np.diff(block, prepend=-1))
        hit, first = block[new], place[new]
        flags = np.zeros(len(self.begin), np.int32)
        flags[hit] = 1
        rest = stream[self._rest(hit, first)]
        return flags, first.astype(np.int32), rest.astype(np.int32)

    def fill(self, stream: Stream, flags: Symbols, firsts: Symbols, rest: Symbols) -> None:
        """What `split` took apart."""
        hit = np.flatnonzero(flags)
        stream[self.begin[hit] + firsts] = 1
        stream[self._rest(hit, firsts)] = rest

    def _rest(self, hit: Places, first: Places | Symbols) -> Places:
        """Where the symbols lie that are coded one by one: those behind the first 1 of each block, and
        behind the blocks of each class its tail."""
        behind = np.searchsorted(hit, self.until)
        start = np.insert(self.begin[hit] + first + 1, behind, self.tail)
        count = np.insert(self.size[hit] - first - 1, behind, self.short)
        total = int(count.sum())
        return np.repeat(start - np.cumsum(count) + count, count) + np.arange(total)
