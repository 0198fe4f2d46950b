"""The encoder's classes, computed before the walk asks for them.

An encoder knows all indices, so no step of the context network has to wait for the one before. Several run
side by side, each on one thread, while the walk codes what is there. The numbers are those that the walk
would have asked for: the same call on the same integers.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from .engine import Engine
from .inference.parallel import alone, finished, pool_of, threads
from .quantization.dead_zone import Indices, at_depths
from .symbols.layer_coder import Walk

LARGE = 1 << 15
"""Positions beyond which steps are not computed ahead: 8 megapixels. Each would hold its own indices, and
one step alone has enough bands for many threads."""
MOST = 4
"""Steps computed side by side, at most."""


@contextmanager
def walk_ahead(machine: Engine, goal: Indices, level: int) -> Iterator[Walk]:
    """A walk to `level`, whose steps are to be asked for in their order. goal: indices at the last level."""
    count, runner = min(MOST, threads()), machine.runner
    if count == 1 or goal[0].size > LARGE:
        yield machine.walk.with_classes(runner.follow())
        return
    table = machine.table
    steps = sum(k <= level for k in table.step_level)

    # `alone` holds here too: its switch is the process's, and no thread may set it back for another
    with alone():
        sums = runner.begin(*goal.shape[1:])
        coming: dict[int, Future[NDArray[np.uint8]]] = {}
        begun = 0

        def begin(step: int) -> None:
            nonlocal sums, begun
            if step:  # each step has its own sums: the one before may still be at work
                refined = runner.refined(step - 1)
                indices = at_depths(goal, table, table.steps[step], refined)
                sums = runner.carry(sums.copy(), indices, step - 1, 1)
            coming[step] = pool_of(count).submit(runner.leave, sums, step, runner.refined(step), 1)
            begun += 1

        def classes(indices: Indices, step: int, channels: NDArray[np.intp]) -> NDArray[np.uint8]:
            while begun < min(steps, step + count + 1):
                begin(begun)
            return coming.pop(step).result()

        with finished(coming.values()):
            yield machine.walk.with_classes(classes)
