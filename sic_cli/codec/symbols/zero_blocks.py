"""Near-certain zeros, coded in blocks (coding_tables.py; FORMAT.md, section 6.3).

A picture has thousands of runs of them, most with a few symbols. So the coder is called in the order of
the file and nothing else happens there: where blocks lie and what fills them is computed for all classes
of a pass at once, before the calls when encoding and behind them when decoding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .class_runs import ABSENT, PIECE, Coder, Lane, Stream, Symbols, by_class, runs, taken
from .coding_tables import BlockTables

Places = NDArray[np.intp]


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
    layout = BlockLayout.of([(start, end, tables[index].size) for index, start, end in found])
    flags, firsts, rest = Lane(coder), Lane(coder), Lane(coder)
    if known is not None:
        flags.known, firsts.known, rest.known = layout.split(stream)
    for index, start, end in found:
        table = tables[index]
        if table.flag is None or table.first is None:
            for piece in range(start, end, PIECE):
                run = stream[piece : min(end, piece + PIECE)]
                symbols = None if known is None else run.astype(np.int32)
                run[:] = coder.code(table.single, len(run), symbols)
            continue
        whole, tail = divmod(end - start, table.size)
        busy = int(np.count_nonzero(flags.code(table.flag, whole)))
        before = int(np.add.reduce(firsts.code(table.first, busy)))
        rest.code(table.single, busy * (table.size - 1) - before + tail)
    if known is not None:
        return np.flatnonzero(known.view(np.bool_))
    layout.fill(stream, flags.all(), firsts.all(), rest.all())
    left = np.zeros(len(classes), np.bool_)
    left[order[np.flatnonzero(stream.view(np.bool_))]] = True
    return np.flatnonzero(left)


@dataclass(frozen=True, slots=True)
class BlockLayout:
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
    def of(cls, classes: list[tuple[int, int, int]]) -> BlockLayout:
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
        ones = np.append(np.flatnonzero(stream.view(np.bool_)), len(stream))
        place = ones[np.searchsorted(ones, self.begin)] - self.begin
        hit = np.flatnonzero(place < self.size)
        first = place[hit]
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
