"""Noise maps of the perceptual decoder, from a counter: the same on every machine (FORMAT.md, section 6.6).

A value depends on the seed, the map and the position alone, so a band, a strip or a crop sees the noise of the
whole picture. It is a sum of eight bytes of a 64-bit hash, centred and scaled: mean 0, variance 1, and whole
numbers up to one last multiplication.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .convolution import Array
from .tiles import Strip, scaled

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
SCALE = np.float32((12 / (8 * (256**2 - 1))) ** 0.5)
"""One over the standard deviation of a sum of eight uniform bytes."""
CENTRE = np.int32(8 * 255 // 2)
STRIDES = (16, 8, 4)
LOW = np.uint64(0x00FF00FF00FF00FF)
LANES = np.uint64(0x0001000100010001)
"""A product with it adds the four 16-bit lanes of a word into the highest one."""


Words = NDArray[np.uint64]


def mixed(x: Words) -> Words:
    """The finaliser of splitmix64 (Steele, Lea and Flood 2014), modulo 2**64."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def times_golden(x: Words) -> Words:
    """A multiple of 2**64 over the golden ratio, modulo 2**64."""
    out: Words = np.multiply(x, GOLDEN, dtype=np.uint64)
    return out


@dataclass(frozen=True, slots=True)
class NoiseMaps:
    """float32 (h, w, maps), (2 h, 2 w, maps), (4 h, 4 w, maps) for h x w latent positions."""

    stride16: Array
    stride8: Array
    stride4: Array


def noise_maps(seed: int, counts: tuple[int, int, int], rows: slice, columns: slice) -> NoiseMaps:
    """The maps of some latent rows and columns. seed: 0..2**32 - 1; counts: maps at strides 16, 8 and 4."""
    made = []
    for stride, count in zip(STRIDES, counts, strict=True):
        side = 16 // stride
        down, right = (slice(s.start * side, s.stop * side) for s in (rows, columns))
        made.append(noise(seed, stride, count, down, right))
    return NoiseMaps(*made)


def noise(seed: int, stride: int, count: int, rows: slice, columns: slice) -> Array:
    """float32 (rows, columns, count): maps of one stride, at positions of that stride."""
    with np.errstate(over="ignore"):
        key = mixed(times_golden(np.array([seed + 1], np.uint64)))
        number = np.arange(64 * stride, 64 * stride + count, dtype=np.uint64)
        maps = mixed(key + times_golden(number))
        down = times_golden(np.arange(rows.start, rows.stop, dtype=np.uint64))
        right = times_golden(np.arange(columns.start, columns.stop, dtype=np.uint64))
        by_row = mixed(maps[None] + down[:, None])
        words = mixed(by_row[:, None] + right[None, :, None])
    pairs = (words & LOW) + ((words >> np.uint64(8)) & LOW)
    total = ((pairs * LANES) >> np.uint64(48)).astype(np.int32)
    total -= CENTRE
    made: Array = total.astype(np.float32)
    made *= SCALE
    return made


def columns_of(maps: NoiseMaps, column: Strip) -> NoiseMaps:
    """Some columns of maps that begin at column 0."""
    parts = (maps.stride16, maps.stride8, maps.stride4)
    some = (m[:, scaled(column.seen, s)] for m, s in zip(parts, (1, 2, 4), strict=True))
    return NoiseMaps(*(np.ascontiguousarray(part) for part in some))
