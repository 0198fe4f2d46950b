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
    """significance: by class; symbol 1: leaves the dead zone. sign: symbol 1: positive. refinement: symbol 1:
    outer half. escape: symbol 1: the magnitude of a channel's first index is larger still."""

    significance: tuple[BlockTables, ...]
    sign: tuple[FrequencyTable, ...]
    refinement: tuple[FrequencyTable, ...]
    escape: tuple[FrequencyTable, ...]

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[np.int64]]) -> CodingTables:
        """From what a weights file holds: `significance`, `sign`, `refinement`, `escape` (frequencies of
        symbol 1 by class), `block` (sizes), `flag` (frequencies of symbol 1), `first` (rows of 64)."""
        significance = []
        for ones, size, flag, first in zip(
            arrays["significance"], arrays["block"], arrays["flag"], arrays["first"], strict=True
        ):
            if size == 1:
                significance.append(BlockTables(1, binary(int(ones))))
            else:
                place = FrequencyTable(first[:size].astype(np.int64))
                significance.append(
                    BlockTables(int(size), binary(int(ones)), binary(int(flag)), place)
                )
        rest = (tuple(binary(int(v)) for v in arrays[k]) for k in ("sign", "refinement", "escape"))
        return cls(tuple(significance), *rest)


def block_arrays(significance: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
    """`block`, `flag` and `first` for given frequencies of leaving; used when tables are fitted."""
    count, longest = len(significance), max(BLOCKS)
    block = np.ones(count, np.int64)
    flag = np.ones(count, np.int64)
    first = np.zeros((count, longest), np.int64)
    for index, ones in enumerate(significance):
        leave = int(ones) / TOTAL
        size = max((b for b in BLOCKS if (1 - leave) ** b >= 0.6), default=1)
        block[index] = size
        if size > 1:
            stay_all = (1 - leave) ** size
            flag[index] = min(TOTAL - 1, max(1, round((1 - stay_all) * TOTAL)))
            first[index, :size] = whole_weights((1 - leave) ** np.arange(size, dtype=np.float64))
    return {"block": block, "flag": flag, "first": first}
