"""The schedule of coding passes: which channels go to which bit-plane depth, and at which positions.

A *group* takes some channels one bit plane further, or from "not sent" to their first depth. Its positions
are coded in 1, 2 or 4 *phases*; a pass is one phase of a group. Later phases see the indices of the earlier
ones at the new depth: a neighbour's decision in the same bit plane is worth most where a channel begins.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Lattice = tuple[int, int]
"""First row and first column of every second row and column."""
PHASES: dict[int, tuple[tuple[Lattice, ...], ...]] = {
    1: (((0, 0), (0, 1), (1, 0), (1, 1)),),
    2: (((0, 0), (1, 1)), ((0, 1), (1, 0))),
    4: (((0, 0),), ((1, 1),), ((0, 1),), ((1, 0),)),
}
"""By number of phases: the lattices that each phase codes. One phase takes all positions in raster order."""


@dataclass(frozen=True, slots=True)
class CodingPass:
    """level: layer that it belongs to. before, after: int8 (C,), depths of a position of this phase before
    and behind the pass. channels: those that it takes further. phase of phases."""

    level: int
    before: NDArray[np.int8]
    after: NDArray[np.int8]
    channels: NDArray[np.intp]
    phase: int
    phases: int

    @property
    def lattices(self) -> tuple[Lattice, ...]:
        """Those that it codes; empty where it codes all positions in raster order."""
        return () if self.phases == 1 else PHASES[self.phases][self.phase]

    @property
    def coded(self) -> frozenset[Lattice]:
        """Lattices that earlier phases of the group have coded."""
        earlier = PHASES[self.phases][: self.phase]
        return frozenset(lattice for phase in earlier for lattice in phase)


def passes_of(
    level: NDArray[np.int8], depths: NDArray[np.int8], phases: NDArray[np.int8]
) -> tuple[CodingPass, ...]:
    """All passes in the order of the file. level, phases: (G,); depths: (G + 1, C), before the first group
    and behind each."""
    return tuple(
        CodingPass(int(k), before, after, np.flatnonzero(after > before), phase, int(count))
        for k, before, after, count in zip(level, depths[:-1], depths[1:], phases, strict=True)
        for phase in range(int(count))
    )


def gather(planes: NDArray[Any], lattices: tuple[Lattice, ...]) -> NDArray[Any]:
    """(R, n): values of planes (R, h, w) at a pass's positions, lattice after lattice, each in raster order."""
    if not lattices:
        return planes.reshape(len(planes), -1)
    parts = [planes[:, y::2, x::2].reshape(len(planes), -1) for y, x in lattices]
    return parts[0] if len(parts) == 1 else np.concatenate(parts, 1)


def scatter(values: NDArray[Any], planes: NDArray[Any], lattices: tuple[Lattice, ...]) -> None:
    """What `gather` gave, back into planes (R, h, w)."""
    if not lattices:
        planes[:] = values.reshape(planes.shape)
        return
    start = 0
    for y, x in lattices:
        there = planes[:, y::2, x::2]
        end = start + there[0].size
        there[:] = values[:, start:end].reshape(there.shape)
        start = end
