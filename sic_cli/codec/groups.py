"""Symbols of one kind, class by class (FORMAT.md, section 6.3).

Both directions run the same lines on a *stream*: one byte for each symbol, in the order of the file. When
encoding the stream holds the symbols and is only read, when decoding it is filled. What could need a
64-bit number for each symbol goes in pieces, so that a large picture takes bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..entropy.tables import FrequencyTable

Symbols = NDArray[np.int32]
Stream = NDArray[np.uint8]
Order = NDArray[np.integer[Any]]
ABSENT = 255
"""Class of a place that has no symbol in this group."""
PIECE = 1 << 20
"""Symbols sorted, moved or handed to a coder at once."""
EVERY = np.arange(ABSENT + 1, dtype=np.uint8)
"""All classes."""


class Coder(Protocol):
    """What a walk does with symbols. `known` is None when decoding."""

    def code(self, table: FrequencyTable, count: int, known: Symbols | None) -> Symbols: ...


def singles(
    coder: Coder, tables: Sequence[FrequencyTable], classes: Stream, known: Stream | None
) -> Stream:
    """The symbols of all places, coded one by one. classes: by place; known: the symbols when encoding."""
    order, starts = by_class(classes)
    stream = np.empty(len(order), np.uint8) if known is None else taken(known, order)
    for index, start, end in runs(starts):
        code(coder, tables[index], stream[start:end], known is not None)
    if known is not None:
        return known
    out = np.empty_like(stream)
    for piece in _pieces(len(order)):
        out[order[piece]] = stream[piece]
    return out


def by_class(classes: Stream) -> tuple[Order, NDArray[np.intp]]:
    """The places in the order of their symbols, and where in it each class 0..255 begins."""
    if len(classes) <= PIECE:
        order = np.argsort(classes, kind="stable")
        return order, np.searchsorted(classes[order], EVERY)
    pieces = _pieces(len(classes))
    counts = np.stack([np.bincount(classes[piece], minlength=len(EVERY)) for piece in pieces])
    starts = np.cumsum(counts.sum(0)) - counts.sum(0)
    places, here = np.empty(len(classes), np.uint32), starts.copy()
    for piece, own in zip(pieces, counts, strict=True):
        part = np.argsort(classes[piece], kind="stable") + piece.start
        for index, run in enumerate(np.split(part, np.cumsum(own)[:-1])):
            places[here[index] : here[index] + len(run)] = run
        here += own
    return places, starts


def runs(starts: NDArray[np.intp]) -> list[tuple[int, int, int]]:
    """The classes that occur, and where in the stream each begins and ends."""
    edges = starts.tolist()
    return [(k, *edges[k : k + 2]) for k in range(ABSENT) if edges[k] < edges[k + 1]]


def taken(values: Stream, order: Order) -> Stream:
    """`values[order]`."""
    out = np.empty(len(order), np.uint8)
    for piece in _pieces(len(order)):
        out[piece] = values[order[piece]]
    return out


def code(coder: Coder, table: FrequencyTable, stream: Stream, known: bool) -> None:
    """Code a part of a stream with one table."""
    for start in range(0, len(stream), PIECE):
        part = stream[start : start + PIECE]
        if known:
            coder.code(table, len(part), part.astype(np.int32))
        else:
            part[:] = coder.code(table, len(part), None)


def _pieces(count: int) -> list[slice]:
    return [slice(start, min(count, start + PIECE)) for start in range(0, count, PIECE)]
