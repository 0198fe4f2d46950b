"""The step-size table: how finely every channel is cut at every level.

A channel `c` at bit-plane depth `d` has the step size `unit[c] * 2**-d`. The quantiser has a dead zone:
the interval of index 0 is two steps wide, every other one a step. So one bit plane more splits the dead
zone into three intervals and every other interval into two. The intervals of a finer level lie whole inside
those of a coarser one, which is what makes every prefix of a file decodable. Depths are integers:
everything behind the encoder's quantisation is shifts.

A *coding pass* codes the channels that it refines by one bit plane, with one run of the context network.
Level 1 takes several passes, so that strong channels become context for weak ones; each further level takes
one pass for every bit plane that its fastest channel gains.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

NOT_SENT = -1
"""Depth of a channel that is not part of a level."""


@dataclass(frozen=True, slots=True)
class StepSizes:
    """Step sizes by level and channel, and the coding passes that lead through them.

    unit: float32 (C,), width of depth 0.
    depths: int8 (K, C), depth of every channel at levels 1..K, never falling with the level.
    pass_depths: int8 (S + 1, C), depths before pass 0 and after each pass.
    pass_level: (S,) level (1..K) to which each pass belongs, never falling.
    """

    unit: NDArray[np.float32]
    depths: NDArray[np.int8]
    pass_depths: NDArray[np.int8]
    pass_level: tuple[int, ...]

    @property
    def levels(self) -> int:
        return len(self.depths)

    @property
    def channels(self) -> int:
        return len(self.unit)

    def step_sizes(self, level: int) -> NDArray[np.float32]:
        """float32 (C,) step sizes at `level` (1..K); infinity where a channel is not sent."""
        depth = self.depths[level - 1].astype(np.int32)
        width = np.ldexp(self.unit, -depth).astype(np.float32)
        return np.where(depth == NOT_SENT, np.float32(np.inf), width)

    def passes_of(self, level: int) -> range:
        """The coding passes of `level`."""
        inside = [i for i, k in enumerate(self.pass_level) if k == level]
        return range(inside[0], inside[-1] + 1) if inside else range(0)


def build(
    unit: NDArray[np.float32],
    depths: NDArray[np.int8],
    groups: tuple[int, ...] = (),
    lead: int = 0,
) -> StepSizes:
    """A step-size table from widths alone.

    groups: channel numbers at which level 1 is divided; the parts are sent one pass after another.
    lead: how many bit planes coarser the first part starts (the second one less, and so on).
    Raises ValueError if a channel would become coarser with the level.
    """
    depths = np.asarray(depths, dtype=np.int8)
    if (np.diff(depths.astype(np.int32), axis=0) < 0).any():
        raise ValueError("cells may only become finer with the level")
    channels = len(unit)
    now = np.full(channels, NOT_SENT, dtype=np.int32)
    passes, pass_level = [now.copy()], []
    edges = (0, *groups, channels)
    parts = [np.arange(a, b) for a, b in pairwise(edges)]
    first = depths[0].astype(np.int32)
    for turn in range(max(len(parts), lead + 1)):
        for place, part in enumerate(parts):
            if place <= turn:
                coarser = max(0, lead - turn)
                reached = np.maximum(first[part] - coarser, 0)
                now[part] = np.where(first[part] == NOT_SENT, NOT_SENT, reached)
        passes.append(now.copy())
        pass_level.append(1)
    for level in range(2, len(depths) + 1):
        wanted = depths[level - 1].astype(np.int32)
        while (now != wanted).any():
            now = np.where(now == NOT_SENT, wanted, np.minimum(now + 1, wanted))
            passes.append(now.copy())
            pass_level.append(level)
    return StepSizes(
        np.asarray(unit, dtype=np.float32),
        depths,
        np.stack(passes).astype(np.int8),
        tuple(pass_level),
    )


def staggered(
    channels: int,
    levels: int,
    widest: float,
    finest: float,
    finer: NDArray[np.int8],
    groups: tuple[int, ...],
    lead: int,
) -> StepSizes:
    """Widths from `widest` to `finest`, the channels' offsets spread by the golden ratio.

    At every level the widths lie evenly within a factor of two, and each level refines about the
    same number of channels. `finer` (C,) holds extra bit planes for channels that the eye minds more.
    """
    offset = (np.arange(channels) * 0.6180339887498949) % 1.0
    target = np.linspace(np.log2(widest), np.log2(finest), levels)[:, None]
    highest = int(np.ceil(np.log2(widest))) + 1 + lead
    depths = np.floor(offset[None] - target).astype(np.int32) + highest + finer[None]
    unit = np.exp2(offset + highest).astype(np.float32)
    return build(unit, depths.astype(np.int8), groups, lead)


def partition(channels: int, levels: int, width: float) -> StepSizes:
    """The cut of the SIC paper: every level sends `channels / levels` more channels at one width."""
    share = np.arange(channels) * levels // channels
    sent = share[None] < np.arange(1, levels + 1)[:, None]
    depths = np.where(sent, 0, NOT_SENT).astype(np.int8)
    return build(np.full(channels, width, dtype=np.float32), depths)
