"""The encoder's context classes, computed before the layer coder asks for them.

An encoder knows all indices, so no pass of the context network has to wait for the one before. Several run
side by side, each on one thread, while the layer coder codes what is there. The numbers are those that it
would have asked for: the same call on the same integers.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from .engine import Engine
from .inference.parallel import finished, pool_of, single_threaded_blas, threads
from .quantization.dead_zone import Indices, at_depths
from .symbols.layer_coder import LayerCoder

LARGE = 1 << 15
"""Positions beyond which passes are not computed ahead: 8 megapixels. Each would hold its own sums, and one
pass alone has enough bands for many threads."""
MOST = 4
"""Passes computed side by side, at most."""


@contextmanager
def layer_coder_ahead(machine: Engine, target: Indices, level: int) -> Iterator[LayerCoder]:
    """A layer coder up to `level`, whose passes are to be asked for in their order. target: indices at the
    last level."""
    count, context = min(MOST, threads()), machine.context_runner
    if count == 1 or target[0].size > LARGE:
        yield machine.layer_coder
        return
    table = machine.table
    passes = sum(one.level <= level for one in table.passes)

    # `single_threaded_blas` holds here too: its switch is the process's, and no thread may set it back for another
    with single_threaded_blas():
        sums = context.first_layer(at_depths(target, table, table.start), table.start)
        coming: dict[int, Future[NDArray[np.uint8]]] = {}
        begun = 0

        def begin(number: int) -> None:
            nonlocal sums, begun
            if number:  # each pass has its own sums: the one before may still be at work
                before = table.passes[number - 1]
                indices = at_depths(target, table, before.after, before.channels)
                sums = sums.copy()
                context.update(sums, indices, number - 1, 1)
            coming[number] = pool_of(count).submit(context.context_classes, sums, number, 1)
            begun += 1

        def classes(indices: Indices, number: int) -> NDArray[np.uint8]:
            while begun < min(passes, number + count + 1):
                begin(begun)
            return coming.pop(number).result()

        with finished(coming.values()):
            yield machine.layer_coder.with_context_classes(classes)
