"""Frequency tables from what the walk really meets: the last step from trained to codable.

The walk that codes is the walk that counts: a `Coder` that only tallies runs over training pictures,
so every class gets the frequencies of the decisions that fall into it, whatever the network's logits
say.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from ..codec.entropy.tables import TOTAL, FrequencyTable
from ..codec.inference.integer_network import INNER, SIGN, ZERO, ClassRange
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
        seen = np.bincount(known, minlength=2)
        self.counts[id(table)] = self.counts.get(id(table), np.zeros(2, np.int64)) + seen
        return known


def expected_ones(kind: ClassRange, rising: bool) -> NDArray[np.float64]:
    """Probability of symbol 1 that the middle of each class stands for."""
    logit = (np.arange(kind.count) - kind.offset + 0.5) / 4
    return 1 / (1 + np.exp(-logit if rising else logit))


def plain_arrays() -> dict[str, NDArray[np.int64]]:
    """Tables straight from the logits, no blocks: what a model starts with."""
    ones = {
        "zero": expected_ones(ZERO, False),
        "sign": expected_ones(SIGN, True),
        "inner": expected_ones(INNER, False),
        "more": expected_ones(INNER, False),
    }
    return {k: frequencies(v) for k, v in ones.items()} | {
        "block": np.ones(ZERO.count, np.int64),
        "flag": np.ones(ZERO.count, np.int64),
        "first": np.zeros((ZERO.count, 64), np.int64),
    }


def frequencies(ones: NDArray[np.float64]) -> NDArray[np.int64]:
    """Whole frequencies of symbol 1."""
    return np.clip(np.round(ones * TOTAL), LEAST, TOTAL - LEAST).astype(np.int64)


def fit(
    table: StepSizes, classes: ContextClasses, goals: Iterable[Indices], prior: float = 16.0
) -> dict[str, NDArray[np.int64]]:
    """The arrays of `CodingTables.from_arrays`, fitted to indices of training pictures.

    prior: how many decisions a class's own logit counts for.
    """
    plain = plain_arrays()
    tables = CodingTables.from_arrays(plain)
    tally, layers = Tally(), LayerCoder(table, tables, classes)
    for goal in goals:
        indices = at_depths(goal, table, table.start)
        for level in range(1, table.levels + 1):
            indices = layers.layer(level, indices, tally, goal)
    kinds = {
        "zero": tuple(t.single for t in tables.zero),
        "sign": tables.sign,
        "inner": tables.inner,
        "more": tables.more,
    }
    fitted = {}
    for name, own in kinds.items():
        counts = np.stack([tally.counts.get(id(t), np.zeros(2, np.int64)) for t in own])
        guess = plain[name] / TOTAL
        fitted[name] = frequencies((counts[:, 1] + prior * guess) / (counts.sum(1) + prior))
    return fitted | block_arrays(fitted["zero"])
