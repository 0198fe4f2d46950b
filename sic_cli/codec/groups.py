"""Symbols of one kind, coded class by class (FORMAT.md, section 6.3).

Both directions run the same lines on a *stream*: one byte for each symbol. When encoding the stream
holds the symbols and is only read, when decoding it is filled. Everything goes in pieces, so that a
large picture takes bytes and not the 64-bit numbers of a sort.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..entropy.tables import FrequencyTable
from .coding_tables import BlockTables

Symbols = NDArray[np.int32]
Stream = NDArray[np.uint8]
ABSENT = 255
"""Class of a place that has no symbol in this group."""
PIECE = 1 << 20
"""Symbols sorted, or handed to a coder, at once."""


class Coder(Protocol):
    """What a walk does with symbols. `known` is None when decoding."""

    def code(self, table: FrequencyTable, count: int, known: Symbols | None) -> Symbols: ...


def group(
    classes: NDArray[np.uint8],
    known: Stream | None,
    code: Callable[[int, Stream, bool], None],
) -> Stream:
    """The symbols of all places, 0 at those that are ABSENT.

    classes: by place; known: the symbols when encoding; code: codes a class's part of the stream.
    """
    stream = np.zeros(len(classes), np.uint8)
    if known is not None:
        for piece, order, runs in _sorted(classes):
            ours = known[piece][order]
            for there, here in runs:
                stream[there] = ours[here]
    counts = _counts(classes).sum(0)
    start = 0
    for index in np.flatnonzero(counts[:ABSENT]).tolist():
        end = start + int(counts[index])
        code(index, stream[start:end], known is not None)
        start = end
    if known is not None:
        return known
    out = np.empty_like(stream)
    for piece, order, runs in _sorted(classes):
        sorted_ = np.zeros(len(order), np.uint8)
        for there, here in runs:
            sorted_[here] = stream[there]
        out[piece][order] = sorted_
    return out


def _counts(classes: NDArray[np.uint8]) -> NDArray[np.int64]:
    """How often each class occurs, by piece: (pieces, 256)."""
    pieces = (classes[a : a + PIECE] for a in range(0, max(1, len(classes)), PIECE))
    return np.stack([np.bincount(piece, minlength=ABSENT + 1) for piece in pieces])


def _sorted(
    classes: NDArray[np.uint8],
) -> Iterator[tuple[slice, NDArray[np.intp], list[tuple[slice, slice]]]]:
    """By piece: which places it is, their order by class, and (where in the stream, where in that
    order) each class's run lies."""
    counts = _counts(classes)
    total = counts.sum(0)
    there = np.cumsum(total) - total
    for row, own in enumerate(counts):
        piece = slice(row * PIECE, (row + 1) * PIECE)
        order = np.argsort(classes[piece], kind="stable")
        if len(counts) == 1:
            whole = slice(0, len(order))
            yield piece, order, [(whole, whole)]
            return
        here = np.cumsum(own) - own
        yield (
            piece,
            order,
            [
                (slice(there[k], there[k] + own[k]), slice(here[k], here[k] + own[k]))
                for k in np.flatnonzero(own)
            ],
        )
        there += own


def singles(coder: Coder, table: FrequencyTable, stream: Stream, known: bool) -> None:
    """Code symbols one by one with one table."""
    for start in range(0, len(stream), PIECE):
        part = stream[start : start + PIECE]
        if known:
            coder.code(table, len(part), part.astype(np.int32))
        else:
            part[:] = coder.code(table, len(part), None)


def blocks(coder: Coder, tables: BlockTables, stream: Stream, known: bool) -> None:
    """Code near-certain zeros in blocks (coding_tables.py)."""
    if tables.flag is None or tables.first is None:
        return singles(coder, tables.single, stream, known)
    size = tables.size
    whole = len(stream) // size
    lines = stream[: whole * size].reshape(whole, size)
    flags: Stream = np.asarray(lines.any(1), np.uint8) if known else np.empty(whole, np.uint8)
    singles(coder, tables.flag, flags, known)
    hit = np.flatnonzero(flags)
    if len(hit):
        busy = lines[hit]
        first: Stream = (
            np.asarray(busy.argmax(1), np.uint8) if known else np.empty(len(hit), np.uint8)
        )
        singles(coder, tables.first, first, known)
        behind = np.arange(size, dtype=np.uint8) > first[:, None]
        rest: Stream = busy[behind] if known else np.empty(int(behind.sum()), np.uint8)
        singles(coder, tables.single, rest, known)
        if not known:
            busy[np.arange(len(hit)), first] = 1
            busy[behind] = rest
            lines[hit] = busy
    singles(coder, tables.single, stream[whole * size :], known)
