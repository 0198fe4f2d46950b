"""Frequency tables from what the layer coder really meets: the last step from trained to codable.

The layer coder that codes is the one that counts: a `Coder` that only tallies runs over training pictures,
so every class gets the frequencies of the decisions that fall into it, whatever the network's logits say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from ..codec.entropy.tables import TOTAL, FrequencyTable
from ..codec.inference.integer_network import REFINEMENT, SIGN, SIGNIFICANCE, ClassRange
from ..codec.quantization.dead_zone import Indices, at_depths
from ..codec.quantization.step_sizes import StepSizes
from ..codec.symbols.class_runs import Symbols
from ..codec.symbols.coding_tables import CodingTables, block_arrays
from ..codec.symbols.layer_coder import ContextClasses, LayerCoder

LEAST = 8
"""Smallest frequency: 21 bits, whatever was never met in training."""


class Tally:
    """A `Coder` that counts symbols by table."""

    def __init__(self) -> None:
        self.counts: dict[int, NDArray[np.int64]] = {}

    def code(self, table: FrequencyTable, count: int, known: Symbols | None) -> Symbols:
        assert known is not None
        size = len(table.weights)
        seen = np.bincount(known, minlength=size)
        self.counts[id(table)] = self.of(table) + seen
        return known

    def of(self, table: FrequencyTable) -> NDArray[np.int64]:
        """int64 (symbols,): how often each symbol of a table was met."""
        return self.counts.get(id(table), np.zeros(len(table.weights), np.int64))


def expected_ones(kind: ClassRange, rising: bool) -> NDArray[np.float64]:
    """Probability of symbol 1 that the middle of each class stands for."""
    logit = (np.arange(kind.count) - kind.offset + 0.5) / 4
    return 1 / (1 + np.exp(-logit if rising else logit))


def plain_arrays() -> dict[str, NDArray[np.int64]]:
    """Tables straight from the logits, no blocks: what a model starts with."""
    ones = {
        "significance": expected_ones(SIGNIFICANCE, False),
        "sign": expected_ones(SIGN, True),
        "refinement": expected_ones(REFINEMENT, False),
        "escape": expected_ones(REFINEMENT, False),
    }
    return {k: frequencies(v) for k, v in ones.items()} | {
        "block": np.ones(SIGNIFICANCE.count, np.int64),
        "flag": np.ones(SIGNIFICANCE.count, np.int64),
        "first": np.zeros((SIGNIFICANCE.count, 64), np.int64),
    }


def frequencies(ones: NDArray[np.float64]) -> NDArray[np.int64]:
    """Whole frequencies of symbol 1."""
    return np.clip(np.round(ones * TOTAL), LEAST, TOTAL - LEAST).astype(np.int64)


def fit(
    table: StepSizes,
    incremental: Callable[[], ContextClasses],
    pictures: Iterable[Indices],
    prior: float = 16.0,
) -> dict[str, NDArray[np.int64]]:
    """The arrays of `CodingTables.from_arrays`, fitted to training pictures.

    incremental: `ContextRunner.incremental`; pictures: their indices at the last level; prior: how many
    decisions a class's own logit counts for.
    """
    plain = plain_arrays()
    tables = CodingTables.from_arrays(plain)
    tally = Tally()
    for target in pictures:
        layer_coder = LayerCoder(table, tables, incremental())
        indices = at_depths(target, table, table.start)
        for level in range(1, table.levels + 1):
            indices = layer_coder.layer(level, indices, tally, target)
    kinds = {
        "significance": tuple(t.single for t in tables.significance),
        "sign": tables.sign,
        "refinement": tables.refinement,
        "escape": tables.escape,
    }
    fitted = {}
    for name, own in kinds.items():
        counts = np.stack([tally.of(t) for t in own])
        guess = plain[name] / TOTAL
        fitted[name] = frequencies((counts[:, 1] + prior * guess) / (counts.sum(1) + prior))
    return fitted | block_arrays(fitted["significance"])
