"""The same range coder in plain Python integers: slow, short, and byte for byte the same.

State: an interval `[lower, lower + size)` of 64 bits behind the words already fixed. A symbol with
cumulative frequency `left` and frequency `weight` narrows it to the part
`[left, left + weight) * (size >> 24)`; when `size` falls below 2**32, one word moves out.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...errors import CorruptError
from .tables import PRECISION, TOTAL, FrequencyTable

WORD = 32
FULL = (1 << 64) - 1


def _edges(table: FrequencyTable) -> list[int]:
    edges = table.cache.get("plain")
    if edges is None:
        edges = [0, *np.cumsum(table.weights).tolist()]
        table.cache["plain"] = edges
    return edges  # type: ignore[no-any-return]


def close_interval(lower: int, size: int, length: int) -> bytes:
    """The shortest byte string whose value, padded with zeros to `length` bytes, lies in
    `[lower, lower + size)`."""
    for zeros in range(min(8, length), -1, -1):  # an interval is never wider than 2**64
        unit = 1 << (8 * zeros)
        value = -(-lower // unit) * unit
        if value < lower + size:
            return value.to_bytes(length, "big").rstrip(b"\0")
    raise AssertionError("an interval holds at least one value")


class PlainEncoder:
    """See `entropy.Encoder`."""

    def __init__(self) -> None:
        self._words: list[int] = []
        self._lower, self._size = 0, FULL

    def _carry(self) -> None:
        self._lower &= FULL
        place = len(self._words) - 1
        while self._words[place] == (1 << WORD) - 1:
            self._words[place] = 0
            place -= 1
        self._words[place] += 1

    def encode(self, table: FrequencyTable, symbols: NDArray[np.int32]) -> None:
        edges = _edges(table)
        for symbol in symbols.tolist():
            scale = self._size >> PRECISION
            self._lower += scale * edges[symbol]
            self._size = scale * (edges[symbol + 1] - edges[symbol])
            if self._lower > FULL:
                self._carry()
            if self._size < 1 << WORD:
                self._words.append(self._lower >> WORD)
                self._lower = self._lower << WORD & FULL
                self._size <<= WORD

    def finish(self) -> bytes:
        prefix = np.array(self._words, dtype=">u4").tobytes()
        return close_interval(
            (int.from_bytes(prefix, "big") << 64) + self._lower, self._size, len(prefix) + 8
        )


class PlainDecoder:
    """See `entropy.Decoder`."""

    def __init__(self, payload: bytes) -> None:
        padded = payload + bytes(-len(payload) % 4)
        self._words = np.frombuffer(padded, dtype=">u4").tolist()
        self._next = 2
        self._offset = self._word(0) << WORD | self._word(1)
        self._size = FULL

    def _word(self, index: int) -> int:
        return self._words[index] if index < len(self._words) else 0

    def decode(self, table: FrequencyTable, count: int) -> NDArray[np.int32]:
        edges = np.array(_edges(table))
        out = np.empty(count, np.int32)
        for place in range(count):
            scale = self._size >> PRECISION
            quantile = self._offset // scale
            if quantile >= TOTAL:
                raise CorruptError("payload does not decode: it leaves the coder's interval")
            symbol = int(np.searchsorted(edges, quantile, side="right")) - 1
            self._offset -= scale * int(edges[symbol])
            self._size = scale * int(edges[symbol + 1] - edges[symbol])
            if self._size < 1 << WORD:
                self._offset = (self._offset << WORD | self._word(self._next)) & FULL
                self._size <<= WORD
                self._next += 1
            out[place] = symbol
        return out
