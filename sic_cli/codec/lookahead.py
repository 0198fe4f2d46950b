"""The encoder's classes, computed before the layer coder asks for them.

An encoder knows all indices, so no pass of the context network has to wait for the one before. Several run
side by side, each on one thread, while the layer coder codes what is there. The numbers are those that the layer coder
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
"""Positions beyond which passes are not computed ahead: 8 megapixels. Each would hold its own indices, and
one pass alone has enough bands for many threads."""
MOST = 4
"""Passes computed side by side, at most."""


@contextmanager
def layer_coder_ahead(machine: Engine, target_indices: Indices, level: int) -> Iterator[LayerCoder]:
    """A layer coder to `level`, whose passes are to be asked for in their order. target_indices: indices at the last level."""
    count, context_runner = min(MOST, threads()), machine.context_runner
    if count == 1 or target_indices[0].size > LARGE:
        yield machine.layer_coder.with_context_classes(context_runner.incremental())
        return
    table = machine.table
    passes = sum(k <= level for k in table.pass_level)

    # `single_threaded_blas` holds here too: its switch is the process's, and no thread may set it back for another
    with single_threaded_blas():
        sums = context_runner.empty_sums(*target_indices.shape[1:])
        coming: dict[int, Future[NDArray[np.uint8]]] = {}
        begun = 0

        def begin(coding_pass: int) -> None:
            nonlocal sums, begun
            if coding_pass:  # each pass has its own sums: the one before may still be at work
                changed = context_runner.refined_channels(coding_pass - 1)
                indices = at_depths(target_indices, table, table.pass_depths[coding_pass], changed)
                sums = context_runner.update(sums.copy(), indices, coding_pass - 1, 1)
            coming[coding_pass] = pool_of(count).submit(
                context_runner.classes_from_sums,
                sums,
                coding_pass,
                context_runner.refined_channels(coding_pass),
                1,
            )
            begun += 1

        def classes(
            indices: Indices, coding_pass: int, channels: NDArray[np.intp]
        ) -> NDArray[np.uint8]:
            while begun < min(passes, coding_pass + count + 1):
                begin(begun)
            return coming.pop(coding_pass).result()

        with finished(coming.values()):
            yield machine.layer_coder.with_context_classes(classes)
