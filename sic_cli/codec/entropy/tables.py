"""Frequency tables: whole numbers that sum to 2**24, the only probabilities that the format knows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

PRECISION = 24
TOTAL = 1 << PRECISION


@dataclass(frozen=True, slots=True)
class FrequencyTable:
    """Frequencies of the symbols 0..n-1.

    weights: int64 (n,), each >= 1, sum 2**24, n >= 2. Raises ValueError otherwise.
    cache: whatever a coder derives from the weights once.
    """

    weights: NDArray[np.int64]
    cache: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        w = self.weights
        if w.ndim != 1 or len(w) < 2 or int(w.min()) < 1 or int(w.sum()) != TOTAL:
            raise ValueError("a frequency table needs two or more entries >= 1 that sum to 2**24")


def binary(ones: int) -> FrequencyTable:
    """Symbol 1 has frequency `ones`, symbol 0 the rest."""
    return FrequencyTable(np.array([TOTAL - ones, ones], dtype=np.int64))


def whole_weights(probabilities: NDArray[np.float64]) -> NDArray[np.int64]:
    """Round probabilities to a valid table; used when tables are fitted, never when coding."""
    share = np.asarray(probabilities, dtype=np.float64)
    share = share / share.sum()
    weights: NDArray[np.int64] = np.maximum(
        1, np.floor(share * (TOTAL - len(share))).astype(np.int64)
    )
    weights[int(np.argmax(weights))] += TOTAL - int(weights.sum())
    return weights
