"""The step-size table: how finely every channel is quantised at every level, and the passes that lead there.

A channel `c` at bit-plane depth `d` has the step size `unit[c] * 2**-d`. The quantiser has a dead zone:
the interval of index 0 is two steps wide, every other one a step. So one bit plane more splits the dead
zone into three intervals and every other interval into two. The intervals of a finer level lie whole inside
those of a coarser one, which is what makes every prefix of a file decodable. Depths are integers:
everything behind the encoder's quantisation is shifts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .passes import PHASES, CodingPass, passes_of

NOT_SENT = -1
"""Depth of a channel that is not part of a level."""
MEAN_COLOURS = (0, 1, 4)
"""Channels of the mean colours (brightness, red - blue, green - magenta): layer 0 sends them."""
MEAN_COLOUR_STEPS = (64.0, 49.113, 44.389)
"""Their step sizes at level 1, constants of the format (in units of an orthonormal transform of pixels)."""
TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True)
class StepSizes:
    """Step sizes by level and channel, and the coding passes.

    unit: float32 (C,), step size at depth 0. depths: int8 (K, C), depth of every channel at levels 1..K,
    never falling with the level. passes: of all layers behind layer 0, in the order of the file.
    """

    unit: NDArray[np.float32]
    depths: NDArray[np.int8]
    passes: tuple[CodingPass, ...]

    @property
    def levels(self) -> int:
        return len(self.depths)

    @property
    def channels(self) -> int:
        return len(self.unit)

    @property
    def start(self) -> NDArray[np.int8]:
        """int8 (C,): depths behind layer 0."""
        return start_of(self.depths)

    def step_sizes(self, level: int) -> NDArray[np.float32]:
        """float32 (C,) step sizes at `level` (1..K); infinity where a channel is not sent."""
        depth = self.depths[level - 1].astype(np.int32)
        step = np.ldexp(self.unit, -depth).astype(np.float32)
        return np.where(depth == NOT_SENT, np.float32(np.inf), step)

    def passes_of(self, level: int) -> range:
        """Numbers of the passes of `level`."""
        inside = [i for i, one in enumerate(self.passes) if one.level == level]
        return range(inside[0], inside[-1] + 1) if inside else range(0)

    def refined_by(self, level: int) -> NDArray[np.intp]:
        """Channels that the layer of `level` (0..K) takes further."""
        if level == 0:
            return np.array(MEAN_COLOURS, np.intp)
        before = self.depths[level - 2] if level > 1 else self.start
        return np.flatnonzero(self.depths[level - 1] > before)


def start_of(depths: NDArray[np.int8]) -> NDArray[np.int8]:
    """int8 (C,): depths behind layer 0, from those of all levels (K, C)."""
    start = np.full(depths.shape[1], NOT_SENT, np.int8)
    start[list(MEAN_COLOURS)] = depths[0, list(MEAN_COLOURS)]
    return start


def step_sizes_of(
    unit: NDArray[np.float32],
    depths: NDArray[np.int8],
    level: NDArray[np.int8],
    group_depths: NDArray[np.int8],
    phases: NDArray[np.int8],
) -> StepSizes:
    """A checked table. level, phases: (G,); group_depths: (G + 1, C), before the first group of passes and
    behind each. Raises ValueError where it does not nest or its passes do not lead through all levels."""
    unit, depths = np.asarray(unit, np.float32), np.asarray(depths, np.int8)
    wide = depths.astype(np.int32)
    if depths.ndim != 2 or len(unit) != depths.shape[1] or len(unit) <= max(MEAN_COLOURS):
        raise ValueError(f"depths are {depths.shape} for {len(unit)} channels")
    if not (np.isfinite(unit).all() and (unit > 0).all()):
        raise ValueError("units must be positive numbers")
    if (wide < NOT_SENT).any() or (wide > 30).any() or (np.diff(wide, axis=0) < 0).any():
        raise ValueError("step sizes do not nest: they may only become finer with the level")
    mean = list(MEAN_COLOURS)
    steps = np.ldexp(unit[mean], -wide[0, mean])
    if not np.allclose(steps, MEAN_COLOUR_STEPS, rtol=TOLERANCE):
        raise ValueError(f"the mean colours' steps at level 1 are {steps}, not {MEAN_COLOUR_STEPS}")
    reached = group_depths.astype(np.int32)
    if reached.shape != (len(level) + 1, len(unit)) or phases.shape != level.shape:
        raise ValueError(f"groups of passes are {reached.shape}, {level.shape}, {phases.shape}")
    if not np.isin(phases, list(PHASES)).all() or (np.diff(level.astype(np.int32)) < 0).any():
        raise ValueError("groups of passes have no known number of phases, or are out of order")
    if (reached[0] != start_of(depths)).any():
        raise ValueError("the passes do not begin behind layer 0")
    moved = np.diff(reached, axis=0)
    fresh = reached[:-1] == NOT_SENT
    if (moved < 0).any() or (moved[~fresh] > 1).any() or not (moved > 0).any(1).all():
        raise ValueError("a group of passes must take channels one bit plane further")
    for k in range(1, len(depths) + 1):
        behind = reached[np.searchsorted(level, k, side="right")]
        if (behind != wide[k - 1]).any():
            raise ValueError(f"the passes do not lead to the step sizes of level {k}")
    if len(level) and level[-1] > len(depths):
        raise ValueError(f"passes of level {level[-1]}, and there are {len(depths)} levels")
    return StepSizes(unit, depths, passes_of(level, group_depths, phases))


def planned(
    depths: NDArray[np.int8], first: Sequence[tuple[int, int]]
) -> tuple[NDArray[np.int8], NDArray[np.int8], NDArray[np.int8]]:
    """Groups of passes for a new model: `level`, `group_depths` and `phases` of `step_sizes_of`.

    first: the groups of level 1, each up to a channel (exclusive) and in so many phases. Every further level
    takes one group in one phase for each bit plane that its fastest channel gains.
    """
    depths = np.asarray(depths, np.int8)
    now = start_of(depths).astype(np.int32)
    level, reached, phases = list[int](), [now.copy()], list[int]()

    def add(number: int, count: int) -> None:
        level.append(number)
        phases.append(count)
        reached.append(now.copy())

    begin = 0
    for end, count in first:
        part = np.arange(begin, min(end, len(now)))
        begin = end
        if (now[part] != depths[0, part]).any():
            now[part] = depths[0, part]
            add(1, count)
    for number, target in enumerate(depths.astype(np.int32), 1):
        while (now != target).any():
            now = np.where(now == NOT_SENT, target, np.minimum(now + 1, target))
            add(number, 1)
    return np.array(level, np.int8), np.array(reached, np.int8), np.array(phases, np.int8)


def staggered(
    channels: int, levels: int, widest: float, finest: float, finer: NDArray[np.int8]
) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    """Unit (C,) and depths (K, C): steps from `widest` to `finest`, the channels' offsets spread by the golden
    ratio.

    At every level the step sizes lie evenly within a factor of two, and each level refines about the same
    number of channels. `finer` (K, C) holds extra bit planes for channels that the eye minds more. The mean
    colours get the units that the format prescribes.
    """
    offset = (np.arange(channels) * 0.6180339887498949) % 1.0
    target = np.linspace(np.log2(widest), np.log2(finest), levels)[:, None]
    highest = int(np.ceil(np.log2(widest))) + 3
    depths = np.floor(offset[None] - target).astype(np.int32) + highest + finer
    unit = np.exp2(offset + highest).astype(np.float32)
    return unit, np.maximum.accumulate(depths, 0).astype(np.int8)
