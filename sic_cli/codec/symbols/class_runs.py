"""Symbols of one kind, class by class (FORMAT.md, section 6.3).

Both directions run the same lines: a *lane* hands symbols to the coder in the order of the file, and knows
them when encoding. Sorting and moving go in pieces, so that a large picture takes 4 to 8 bytes for each
symbol of a pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..entropy import Decoder, Encoder
from ..entropy.tables import FrequencyTable

Symbols = NDArray[np.int32]
Stream = NDArray[np.uint8]
Order = NDArray[np.integer[Any]]
ABSENT = 255
"""Class of a place that has no symbol in this group."""
PIECE = 1 << 20
"""Symbols sorted or moved at once."""
EVERY = np.arange(ABSENT + 1, dtype=np.uint8)
"""All classes."""
NONE = np.zeros(0, np.int32)


class Coder(Protocol):
    """What a layer coder does with symbols. `known` is None when decoding."""

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
        symbols = None if self.known is None else self.known[self._at : end]
        coded = self.coder.code(table, count, symbols)
        self._parts.append(coded)
        self._at = end
        return coded

    def all(self) -> Symbols:
        """What has been coded."""
        return np.concatenate(self._parts) if self._parts else NONE


def singles(
    coder: Coder, tables: Sequence[FrequencyTable], classes: Stream, known: Stream | None
) -> Stream:
    """The symbols of all places, coded one by one. classes: by place; known: the symbols when encoding."""
    order, starts = by_class(classes)
    lane = Lane(coder, None if known is None else taken(known, order).astype(np.int32))
    for index, start, end in runs(starts):
        lane.code(tables[index], end - start)
    if known is not None:
        return known
    out = np.empty(len(order), np.uint8)
    out[order] = lane.all()
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


def _pieces(count: int) -> list[slice]:
    return [slice(start, min(count, start + PIECE)) for start in range(0, count, PIECE)]
