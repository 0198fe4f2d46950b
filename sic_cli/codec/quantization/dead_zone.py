"""Latents to cells at the finest level, and from there to any coarser level by shifts alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .step_sizes import NOT_SENT, LevelTable

Cells = NDArray[np.signedinteger[Any]]
"""(C, h, w), the number of the cell that each latent lies in; 0 where not sent."""

FIRST_CUT_MAX = 256
"""Largest cell number of a channel's first cut; latents beyond it saturate (FORMAT.md, 6.3)."""


ALL = slice(None)
TOGETHER = 1 << 20
"""Cells that are worked on together, so that no copies of a whole large picture are made."""


def shifted(cells: Cells, shift: Cells) -> Cells:
    """Cells `shift` (C,) octaves coarser."""
    coarser: Cells = np.sign(cells) * (np.abs(cells) >> shift[:, None, None].astype(cells.dtype))
    return coarser


def finest(latent: NDArray[np.float32], table: LevelTable) -> Cells:
    """Cells of a latent (C, h, w) at the last level, in 16 bits where they fit. The only place where
    floats decide a cell, beside the encoder's search."""
    most, width = largest(table), table.width(table.levels)
    cells: Cells = np.empty(latent.shape, np.int16)
    for channel, values in enumerate(latent):
        magnitude = np.minimum(np.abs(values) / width[channel], most[channel])
        if cells.dtype == np.int16 and magnitude.max(initial=0) >= 2**15:
            cells = cells.astype(np.int32)
        cells[channel] = np.copysign(magnitude, values)
    return cells


def largest(table: LevelTable) -> NDArray[np.int32]:
    """(C,) largest number of a cell at the last level."""
    octave = table.octaves[-1].astype(np.int32)
    first = np.array([column[column != NOT_SENT][:1].sum() for column in table.steps.T], np.int32)
    shift = np.where(octave != NOT_SENT, octave - first, 0)
    most: NDArray[np.int32] = ((FIRST_CUT_MAX + 1) << shift) - 1
    return most


def at_octaves(
    cells: Cells,
    table: LevelTable,
    octaves: NDArray[np.int8],
    channels: NDArray[np.intp] | slice = ALL,
) -> Cells:
    """Cells of the last level, coarsened to `octaves` (C,), of some channels; 0 where not sent."""
    parts = [part for _, part in _coarsened(cells, table, octaves, channels)]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def nonzero_at(
    cells: Cells, table: LevelTable, octaves: NDArray[np.int8], channels: NDArray[np.intp]
) -> tuple[NDArray[np.intp], Cells]:
    """Where what `at_octaves` gives is not 0, as flat places in rising order, and what it is there."""
    places, values = [], []
    for first, part in _coarsened(cells, table, octaves, channels):
        here = np.flatnonzero(part)
        places.append(here + first * cells[0].size)
        values.append(part.reshape(-1)[here])
    return np.concatenate(places), np.concatenate(values)


def _coarsened(
    cells: Cells,
    table: LevelTable,
    octaves: NDArray[np.int8],
    channels: NDArray[np.intp] | slice,
) -> Iterator[tuple[int, Cells]]:
    """Some channels at a time: the number of the first, and their cells at `octaves`."""
    chosen = np.arange(len(cells))[channels]
    wanted = octaves[chosen].astype(cells.dtype)
    sent = wanted != NOT_SENT
    shift = np.where(sent, table.octaves[-1][chosen].astype(cells.dtype) - wanted, 0)
    count = max(1, TOGETHER // max(1, cells[0].size))
    for first in range(0, max(1, len(chosen)), count):
        some = slice(first, first + count)
        part = shifted(cells[chosen[some]], shift[some])
        part *= sent[some, None, None]
        yield first, part


def middle(
    cells: Cells, table: LevelTable, level: int, centre: NDArray[np.float32]
) -> NDArray[np.float32]:
    """float32 (C, h, w): where `mean` details put each latent. centre: (C,) place inside a cell."""
    width = np.where(np.isinf(table.width(level)), 0, table.width(level)).astype(np.float32)
    value: NDArray[np.float32] = np.abs(cells).astype(np.float32)
    value += centre[:, None, None]
    value *= np.sign(cells)
    value *= width[:, None, None]
    return value
