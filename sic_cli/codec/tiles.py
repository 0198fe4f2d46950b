"""Big pictures in strips of rows, with enough overlap that the seams are not there.

A network of n convolutions of 3x3 sees n rows beyond its own; strips that carry that many rows of
their neighbours (`halo`) give in their middle what the whole picture would give. Only the pixels'
networks run in strips: the context network always sees the whole layer, so that no symbol depends on
how a machine cuts its work.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

STRIP_LATENTS = 32_768
"""Latent positions per strip: 8 megapixels, some 600 MB inside the synthesis."""


def in_strips(
    part: Callable[[NDArray[Any]], NDArray[Any]],
    whole: NDArray[Any],
    *,
    axis: int,
    unit: int,
    halo: int,
    out_axis: int,
    out_unit: int,
) -> NDArray[Any]:
    """Apply `part` to strips of `whole` along its row axis, and join what comes out.

    axis, unit: the row axis of the input and its rows per latent row; out_axis, out_unit: the same
    for the output; halo: latent rows of overlap on each side.
    """
    rows = whole.shape[axis] // unit
    across = whole.size // (whole.shape[axis] * whole.shape[0 if axis == 1 else 2]) // unit
    height = max(2 * halo, STRIP_LATENTS // max(1, across))
    if rows <= height + halo:
        return part(whole)
    joined = []
    for top in range(0, rows, height):
        bottom = min(rows, top + height)
        first, last = max(0, top - halo), min(rows, bottom + halo)
        out = part(np.take(whole, range(first * unit, last * unit), axis=axis))
        keep = range((top - first) * out_unit, (bottom - first) * out_unit)
        joined.append(np.take(out, keep, axis=out_axis))
    return np.concatenate(joined, axis=out_axis)
