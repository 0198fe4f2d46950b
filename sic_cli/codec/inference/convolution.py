"""3x3 convolutions as products of matrices, a few rows of a picture at a time.

Pictures are float32 (rows, across, channels). Three neighbours side by side are copied together, so that
one product covers a row of the kernel; blocks are small enough that all of it stays in a core's cache,
and whoever asks goes on with a block while it is there.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

BLOCK = 1 << 18
"""Numbers that are copied together: one megabyte."""

_OWN = threading.local()


def scratch(name: str, *shape: int) -> Array:
    """Memory of this thread, with anything in it: the same for every call with this name."""
    count = int(np.prod(shape))
    held: Array | None = getattr(_OWN, name, None)
    if held is None or held.size < count:
        held = np.empty(count, np.float32)
        setattr(_OWN, name, held)
    return held[:count].reshape(shape)


def blocks(rows: slice, numbers: int, most: int = BLOCK) -> Iterator[slice]:
    """Rows in blocks of one and more, of at most `most` numbers. numbers: in one row."""
    step = max(1, most // max(1, numbers))
    for top in range(rows.start, rows.stop, step):
        yield slice(top, min(rows.stop, top + step))


def kernel(weight: NDArray[np.floating]) -> Array:
    """Weights (out, in, 3, 3) as `convolved` wants them: (3, 3 in, out)."""
    outputs, inputs = weight.shape[:2]
    rows = weight.transpose(2, 3, 1, 0).reshape(3, 3 * inputs, outputs)
    return np.ascontiguousarray(rows, np.float32)


def convolved(
    x: Array, by: Array, rows: slice, *, edge: bool = False, most: float | None = None
) -> Iterator[tuple[slice, Array]]:
    """A convolution of x (h, w, in) for some rows, block by block.

    by: from `kernel`. edge: beyond the picture its edge is repeated, else there are zeros. most: numbers
    of x are held in 0..most.

    -> rows, and what they become, (rows x w, out): memory of this thread that the next block takes.
    """
    height, across, inputs = x.shape
    outputs = by.shape[2]
    for block in blocks(rows, across * 3 * inputs):
        top, end = block.start, block.stop
        taps = scratch("taps", end - top + 2, across, 3, inputs)
        first, last = max(0, top - 1), min(height, end + 1)
        here = taps[first - top + 1 : last - top + 1]
        if most is None:
            here[:, :, 1] = x[first:last]
        else:
            np.clip(x[first:last], 0, most, out=here[:, :, 1])
        here[:, 1:, 0] = here[:, :-1, 1]
        here[:, :-1, 2] = here[:, 1:, 1]
        here[:, 0, 0] = here[:, 0, 1] if edge else 0
        here[:, -1, 2] = here[:, -1, 1] if edge else 0
        if first == top:
            taps[0] = taps[1] if edge else 0
        if last == end:
            taps[-1] = taps[-2] if edge else 0
        count = (end - top) * across
        flat = taps.reshape(-1, 3 * inputs)
        total, part = scratch("total", count, outputs), scratch("part", count, outputs)
        np.matmul(flat[:count], by[0], out=total)
        for row in (1, 2):
            np.matmul(flat[row * across : row * across + count], by[row], out=part)
            total += part
        yield block, total
