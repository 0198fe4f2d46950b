"""The frequency tables of the weights, one for each class of each kind of decision.

Near-certain decisions are coded in blocks: one flag says whether a whole block stays in the dead zone; if
not, the place of the first latent that leaves, then the rest one by one. The tables of flag and
place follow from the class's own probability, so this costs no bits; it saves symbols.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..entropy.tables import TOTAL, FrequencyTable, binary, whole_weights

BLOCKS = (1, 8, 16, 32, 64)
"""Block sizes that a class may have; 1: coded one by one."""


@dataclass(frozen=True, slots=True)
class BlockTables:
    """single: one decision; flag, first: see the module's head; None where size is 1."""

    size: int
    single: FrequencyTable
    flag: FrequencyTable | None = None
    first: FrequencyTable | None = None


@dataclass(frozen=True, slots=True)
class CodingTables:
    """zero: by class; symbol 1: leaves the dead zone. sign: symbol 1: positive. inner: symbol 1: outer
    half. more: symbol 1: the first cut's index is larger still."""

    zero: tuple[BlockTables, ...]
    sign: tuple[FrequencyTable, ...]
    inner: tuple[FrequencyTable, ...]
    more: tuple[FrequencyTable, ...]

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[np.int64]]) -> CodingTables:
        """From what a weights file holds: `zero`, `sign`, `inner`, `more` (frequencies of symbol 1
        by class), `block` (sizes), `flag` (frequencies of symbol 1), `first` (rows of 64)."""
        zero = []
        for ones, size, flag, first in zip(
            arrays["zero"], arrays["block"], arrays["flag"], arrays["first"], strict=True
        ):
            if size == 1:
                zero.append(BlockTables(1, binary(int(ones))))
            else:
                place = FrequencyTable(first[:size].astype(np.int64))
                zero.append(BlockTables(int(size), binary(int(ones)), binary(int(flag)), place))
        rest = (tuple(binary(int(v)) for v in arrays[k]) for k in ("sign", "inner", "more"))
        return cls(tuple(zero), *rest)


def block_arrays(zero: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
    """`block`, `flag` and `first` for given frequencies of leaving; used when tables are fitted."""
    count, longest = len(zero), max(BLOCKS)
    block = np.ones(count, np.int64)
    flag = np.ones(count, np.int64)
    first = np.zeros((count, longest), np.int64)
    for index, ones in enumerate(zero):
        leave = int(ones) / TOTAL
        size = max((b for b in BLOCKS if (1 - leave) ** b >= 0.6), default=1)
        block[index] = size
        if size > 1:
            stay_all = (1 - leave) ** size
            flag[index] = min(TOTAL - 1, max(1, round((1 - stay_all) * TOTAL)))
            first[index, :size] = whole_weights((1 - leave) ** np.arange(size, dtype=np.float64))
    return {"block": block, "flag": flag, "first": first}
