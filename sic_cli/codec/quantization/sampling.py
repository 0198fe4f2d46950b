"""Samples of the synset: places inside the intervals, drawn from integers.

The draw for a latent depends on (seed, channel, row, column) alone, through a counter-based
generator (SplitMix64's finaliser, Steele and others 2014), so that the same seed names the same sample on every machine and for any order or tile in which it is computed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .dead_zone import Indices
from .step_sizes import StepSizes

GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def mixed(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of SplitMix64: every input bit moves every output bit."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def random_words(shape: tuple[int, int, int], seed: int, top: int = 0) -> NDArray[np.uint32]:
    """uint32 (C, h, w), uniform, by (seed, channel, row, column); rows begin at `top`."""
    channel, row, column = (np.arange(n, dtype=np.uint64) for n in shape)
    row += np.uint64(top)
    with np.errstate(over="ignore"):
        key = mixed(np.array([seed + 1], np.uint64) * GOLDEN)
        key = mixed(key + channel[:, None, None] * GOLDEN)
        key = mixed(key + row[None, :, None] * GOLDEN)
        key = mixed(key + column[None, None, :] * GOLDEN)
    return (key >> np.uint64(32)).astype(np.uint32)


def sample(
    indices: Indices,
    table: StepSizes,
    level: int,
    dead_zone_scale: NDArray[np.float32],
    seed: int,
    top: int = 0,
) -> NDArray[np.float32]:
    """float32 (C, h, w): one sample of the synset. top: row at which the indices begin.

    dead_zone_scale: (C,) mean magnitude of latents inside the dead zone, in units of its half width. In the dead zone a
    Laplace variable of that mean, cut at the interval's edge; in the others the place is uniform.
    """
    width = np.where(np.isinf(table.step_sizes(level)), 0, table.step_sizes(level)).astype(
        np.float32
    )
    word = random_words(indices.shape, seed, top)
    side = np.where(word & np.uint32(1), 1.0, -1.0)
    uniform = (word >> np.uint32(1)).astype(np.float64) / 2.0**31
    scale = np.maximum(dead_zone_scale.astype(np.float64), 1e-3)[:, None, None]
    inside = np.minimum(-scale * np.log1p(-uniform * (1 - np.exp(-1 / scale))), 1 - 1e-6)
    place = np.where(indices == 0, side * inside, np.sign(indices) * (np.abs(indices) + uniform))
    made = (place * width[:, None, None]).astype(np.float32)
    edge = ((np.abs(indices).astype(np.int32) + 1) * width[:, None, None]).astype(np.float32)
    most = np.nextafter(edge, np.float32(0))  # rounding may reach the next interval, and must not
    return np.clip(made, -most, most)
