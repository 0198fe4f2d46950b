"""Entropy coding: integers to payload bytes and back.

Two coders write the same bytes: `range_coder` (the constriction library) and `plain_coder` (Python
integers; the oracle of the tests, and what runs where constriction has no wheel).
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .tables import FrequencyTable

Symbols = NDArray[np.int32]


class Encoder(Protocol):
    """Takes symbols, gives a payload."""

    def encode(self, table: FrequencyTable, symbols: Symbols) -> None: ...
    def finish(self) -> bytes: ...


class Decoder(Protocol):
    """Takes a payload, gives the symbols back if asked with the same tables and counts."""

    def decode(self, table: FrequencyTable, count: int) -> Symbols: ...


def coder_name() -> str:
    """`constriction` or `plain`: which coder runs here."""
    try:
        import constriction  # noqa: F401
    except ImportError:
        return "plain"
    return "constriction"


def new_encoder(name: str | None = None) -> Encoder:
    """An empty encoder of the given coder, or of the fastest one here."""
    if (name or coder_name()) == "constriction":
        from .range_coder import RangeEncoder

        return RangeEncoder()
    from .plain_coder import PlainEncoder

    return PlainEncoder()


def new_decoder(payload: bytes, name: str | None = None) -> Decoder:
    """A decoder at the beginning of a payload."""
    if (name or coder_name()) == "constriction":
        from .range_coder import RangeDecoder

        return RangeDecoder(payload)
    from .plain_coder import PlainDecoder

    return PlainDecoder(payload)
