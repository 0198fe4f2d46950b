"""The range coder of the `constriction` library, driven by exact integer tables.

The library takes probabilities as floats. Given `weight - 1` for each symbol it finds the scale to be
exactly 1, so that its inner table is our integer table and no rounding happens anywhere. Payloads end
with the fewest bytes that still lie in the coder's last interval (`close_interval`).

The library decodes damaged words without complaint and may panic: checksums are the container's
business, and counts come from sizes that the caller has checked.
"""

from __future__ import annotations

import constriction
import numpy as np
from numpy.typing import NDArray

from ...errors import CorruptError, SicError
from .plain_coder import close_interval
from .tables import FrequencyTable

BATCH = 1 << 16
"""Symbols per library call: each call keeps Python from handling Ctrl-C."""


PASSING = (KeyboardInterrupt, SystemExit, GeneratorExit, MemoryError)
"""What the coders let through. Whatever else the library raises becomes an error of ours; its panics are
not even an Exception."""


def _model(table: FrequencyTable) -> object:
    model = table.cache.get("constriction")
    if model is None:
        weights = (table.weights - 1).astype(np.float32)
        model = constriction.stream.model.Categorical(weights, perfect=False)
        table.cache["constriction"] = model
    return model


class RangeEncoder:
    """See `entropy.Encoder`. One payload, then a new one: the library's `clear` leaves state behind."""

    def __init__(self) -> None:
        self._coder = constriction.stream.queue.RangeEncoder()

    def encode(self, table: FrequencyTable, symbols: NDArray[np.int32]) -> None:
        try:
            model = _model(table)
            for start in range(0, len(symbols), BATCH):
                self._coder.encode(np.ascontiguousarray(symbols[start : start + BATCH]), model)
        except PASSING:
            raise
        except BaseException as fault:
            raise SicError(f"symbols do not encode: {fault}") from None

    def finish(self) -> bytes:
        count, (lower, size) = self._coder.pos()
        words = self._coder.get_compressed()
        sealed = np.concatenate([words, np.zeros(count + 2, np.uint32)])[: count + 2]
        prefix = sealed[:count].astype(">u4").tobytes()
        point = int(sealed[count]) << 32 | int(sealed[count + 1])
        if point < lower:  # the seal carried into the words before it
            lower -= 1 << 64
        keep = max(0, len(prefix) - 4096)  # a carry or a run of zeros does not reach further back
        tail = int.from_bytes(prefix[keep:], "big") << 64
        closed = close_interval(tail + lower, size, len(prefix) - keep + 8)
        return (prefix[:keep] + closed).rstrip(b"\0")


class RangeDecoder:
    """See `entropy.Decoder`."""

    def __init__(self, payload: bytes) -> None:
        padded = payload + bytes(-len(payload) % 4)
        words = np.frombuffer(padded, dtype=">u4").astype(np.uint32)
        self._coder = constriction.stream.queue.RangeDecoder(words)

    def decode(self, table: FrequencyTable, count: int) -> NDArray[np.int32]:
        try:
            model = _model(table)
            if count <= BATCH:
                return self._coder.decode(model, count)  # type: ignore[no-any-return]
            counts = (min(BATCH, count - start) for start in range(0, count, BATCH))
            return np.concatenate([self._coder.decode(model, n) for n in counts])
        except PASSING:
            raise
        except BaseException as fault:
            raise CorruptError(f"payload does not decode: {fault}") from None
