"""How many bits the frequency tables say that a picture's indices hold.

Real files are compared with this: the difference is what the range coder's ends and the container cost.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..codec.engine import Engine
from ..codec.entropy.tables import PRECISION, FrequencyTable
from ..codec.preview.constants import mean_colour_coder
from ..codec.quantization.dead_zone import Indices, at_depths
from ..codec.quantization.step_sizes import MEAN_COLOURS
from ..codec.symbols.class_runs import Symbols


class BitCounter:
    """A `Coder` that adds up the information of known symbols. bits: so far."""

    def __init__(self) -> None:
        self.bits = 0.0

    def code(self, table: FrequencyTable, count: int, known: Symbols | None) -> Symbols:
        assert known is not None
        cost = PRECISION - np.log2(table.weights.astype(np.float64))
        self.bits += float(cost[known].sum())
        return known


def code_length(machine: Engine, indices: Indices) -> NDArray[np.float64]:
    """float64 (K + 1,): bits of layers 0..k. indices: (C, h, w) at the last level, as a file has them."""
    table, counter = machine.table, BitCounter()
    now = at_depths(indices, table, table.start)
    height, width = indices.shape[1:]
    mean = now[list(MEAN_COLOURS)].astype(np.int16)
    mean_colour_coder().code(height, width, counter, mean)
    total, layer_coder = [counter.bits], machine.layer_coder
    for level in range(1, table.levels + 1):
        now = layer_coder.layer(level, now, counter, indices)
        total.append(counter.bits)
    return np.array(total)
