"""Latents to indices at the finest level, and from there to any coarser level by shifts alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .passes import CodingPass, gather
from .step_sizes import NOT_SENT, StepSizes

Indices = NDArray[np.signedinteger[Any]]
"""(C, h, w), the index of the interval that each latent lies in; 0 where not sent."""

ESCAPE_MAX = 256
"""Largest index of a channel's first cut; latents beyond it saturate (FORMAT.md, 6.3)."""


ALL = slice(None)
TOGETHER = 1 << 20
"""Indices that are worked on together, so that no copies of a whole large picture are made."""


def shifted(indices: Indices, shift: Indices) -> Indices:
    """Indices `shift` (C,) bit planes coarser."""
    coarser: Indices = np.sign(indices) * (
        np.abs(indices) >> shift[:, None, None].astype(indices.dtype)
    )
    return coarser


def quantise(latent: NDArray[np.float32], table: StepSizes) -> Indices:
    """Indices of a latent (C, h, w) at the last level, in 16 bits where they fit. The only place where
    floats decide an interval, beside the encoder's search."""
    most, width = largest(table), table.step_sizes(table.levels)
    indices: Indices = np.empty(latent.shape, np.int16)
    for channel, values in enumerate(latent):
        magnitude = np.minimum(np.abs(values) / width[channel], most[channel])
        if indices.dtype == np.int16 and magnitude.max(initial=0) >= 2**15:
            indices = indices.astype(np.int32)
        indices[channel] = np.copysign(magnitude, values)
    return indices


def largest(table: StepSizes) -> NDArray[np.int32]:
    """(C,) largest index at the last level."""
    depth = table.depths[-1].astype(np.int32)
    reached = np.stack([table.start, *(one.after for one in table.passes)])
    first = np.array([column[column != NOT_SENT][:1].sum() for column in reached.T], np.int32)
    shift = np.where(depth != NOT_SENT, depth - first, 0)
    most: NDArray[np.int32] = ((ESCAPE_MAX + 1) << shift) - 1
    return most


def at_depths(
    indices: Indices,
    table: StepSizes,
    depths: NDArray[np.int8],
    channels: NDArray[np.intp] | slice = ALL,
) -> Indices:
    """Indices of the last level, coarsened to `depths` (C,), of some channels; 0 where not sent."""
    parts = [part for _, part in _coarsened(indices, table, depths, channels)]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def nonzero_behind(
    indices: Indices, table: StepSizes, one: CodingPass
) -> tuple[NDArray[np.intp], Indices]:
    """Where indices of the last level are not 0 behind a pass, as flat places of (channel, position of the
    pass) in rising order, and what they are there."""
    places, values = [], []
    size = 0
    for first, part in _coarsened(indices, table, one.after, one.channels):
        coded = gather(part, one.lattices)
        size = coded.shape[1]
        here = np.flatnonzero(coded)
        places.append(here + first * size)
        values.append(coded.reshape(-1)[here])
    return np.concatenate(places), np.concatenate(values)


def _coarsened(
    indices: Indices,
    table: StepSizes,
    depths: NDArray[np.int8],
    channels: NDArray[np.intp] | slice,
) -> Iterator[tuple[int, Indices]]:
    """Some channels at a time: the number of the first, and their indices at `depths`."""
    chosen = np.arange(len(indices))[channels]
    wanted = depths[chosen].astype(indices.dtype)
    sent = wanted != NOT_SENT
    shift = np.where(sent, table.depths[-1][chosen].astype(indices.dtype) - wanted, 0)
    count = max(1, TOGETHER // max(1, indices[0].size))
    for first in range(0, max(1, len(chosen)), count):
        some = slice(first, first + count)
        part = shifted(indices[chosen[some]], shift[some])
        part *= sent[some, None, None]
        yield first, part


def reconstruct(
    indices: Indices, table: StepSizes, level: int, reconstruction_offset: NDArray[np.float32]
) -> NDArray[np.float32]:
    """float32 (C, h, w): where in its interval each latent is put. reconstruction_offset: (C,) place inside an interval."""
    width = np.where(np.isinf(table.step_sizes(level)), 0, table.step_sizes(level)).astype(
        np.float32
    )
    value: NDArray[np.float32] = np.abs(indices).astype(np.float32)
    value += reconstruction_offset[:, None, None]
    value *= np.sign(indices)
    value *= width[:, None, None]
    return value
