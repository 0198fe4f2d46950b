"""The integer network of layer 0: what the mean colours decoded so far say of those that come next.

Sampling positions are coded in interleaved passes (FORMAT.md, section 7). For every position of a pass the
network sees sixteen decoded neighbours in each plane and gives a prediction and a scale. All numbers are
whole numbers below 2**24 held in float32, so any order of summation gives the same result.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Places = NDArray[np.intp]

SPACING = 16
"""Positions between two samples of the coarsest grid, in both directions."""
FEATURE_MAX = np.float32(127)
ACTIVATION_MAX = np.float32(255)
CACHED_POSITIONS = 1 << 14
"""Neighbour tables are kept for pictures of up to so many positions; they take 170 bytes for each."""


def _rings(offsets: list[tuple[int, int]]) -> NDArray[np.int64]:
    """Offsets (n, 2) by distance, then row, then column."""
    return np.array(sorted(offsets, key=lambda v: (v[0] ** 2 + v[1] ** 2, v)), np.int64)


ODD = (-3, -1, 1, 3)
DECODED = (
    _rings([(a, b) for a in ODD for b in ODD]),
    _rings(
        [(a, b) for a in range(-3, 4) for b in range(-3, 4) if (a + b) % 2 and abs(a) + abs(b) <= 3]
    ),
)
"""Row and column offsets of the sixteen decoded neighbours, in units of the pass: of a diagonal pass, whose
positions lie in the middle of four decoded ones, and of a direct pass, between two pairs of them."""
SAME_PASS = (
    np.array([(0, -2), (0, 2), (-2, 0), (2, 0)], np.int64),
    np.array([(-1, -1), (-1, 1), (1, -1), (1, 1)], np.int64),
)
"""Offsets of the nearest positions of the same pass: known in the planes that were coded before."""


@dataclass(frozen=True, slots=True)
class InterleavedPass:
    """One pass over a grid. diagonal: its positions are the centres of decoded squares, else the middles of
    their sides; unit: positions from a sample to its nearest decoded neighbour along an axis."""

    diagonal: bool
    unit: int

    @property
    def kind(self) -> int:
        return 0 if self.diagonal else 1


def interleaved_passes() -> tuple[InterleavedPass, ...]:
    """Behind the coarsest grid: each pair of passes halves the spacing."""
    units = [SPACING >> i for i in range(1, SPACING.bit_length())]
    return tuple(InterleavedPass(diagonal, unit) for unit in units for diagonal in (True, False))


PASSES = interleaved_passes()


@dataclass(frozen=True, slots=True)
class Neighbourhood:
    """Flat places of a pass's positions (n,), of their decoded neighbours (n, 16) and of the nearest ones
    of the same pass (n, 4)."""

    own: Places
    decoded: Places
    same: Places


def coarsest(height: int, width: int) -> Places:
    """Flat places of the coarsest grid, in raster order."""
    return _product(np.arange(0, height, SPACING), np.arange(0, width, SPACING), width)


def neighbourhood(height: int, width: int, one: InterleavedPass) -> Neighbourhood:
    """Where a pass lies in a picture of height x width positions."""
    if height * width <= CACHED_POSITIONS:
        return _cached(height, width, one)
    return _neighbourhood(height, width, one)


def _product(rows: Places, columns: Places, width: int) -> Places:
    places: Places = (rows[:, None] * width + columns).reshape(-1)
    return places


def _neighbourhood(height: int, width: int, one: InterleavedPass) -> Neighbourhood:
    step = 2 * one.unit

    def grid(top: int, left: int) -> tuple[Places, Places]:
        y, x = np.meshgrid(
            np.arange(top, height, step), np.arange(left, width, step), indexing="ij"
        )
        return y.reshape(-1), x.reshape(-1)

    if one.diagonal:
        rows, columns = grid(one.unit, one.unit)
    else:
        (r1, c1), (r2, c2) = grid(0, one.unit), grid(one.unit, 0)
        rows, columns = np.concatenate([r1, r2]), np.concatenate([c1, c2])

    def brought(offsets: NDArray[np.int64]) -> tuple[Places, Places]:
        y = _inside(rows[:, None] + offsets[:, 0] * one.unit, height, step)
        x = _inside(columns[:, None] + offsets[:, 1] * one.unit, width, step)
        return y, x

    def at(offsets: NDArray[np.int64]) -> Places:
        y, x = brought(offsets)
        if (
            min(height, width) <= one.unit
        ):  # a picture so thin has no rows or columns of the other kind
            others = brought(offsets[:, ::-1])
            itself = rows[:, None], columns[:, None]
            for other in (others, itself):
                outside = (y >= height) | (x >= width)
                y, x = (np.where(outside, new, old) for new, old in zip(other, (y, x), strict=True))
        return y * width + x

    return Neighbourhood(rows * width + columns, at(DECODED[one.kind]), at(SAME_PASS[one.kind]))


_cached = lru_cache(128)(_neighbourhood)


def _inside(at: Places, count: int, step: int) -> Places:
    """Coordinates below 0 are mirrored about 0; those beyond the end move back by whole steps, and are
    mirrored again if that took them below 0, which may leave them outside of a thin picture."""
    at = np.abs(at)
    back = np.maximum(0, -((count - 1 - at) // step))
    inside: Places = np.abs(at - back * step)
    return inside


@dataclass(frozen=True, slots=True)
class Layers:
    """Three layers of one plane and one kind of pass, whole numbers in float32: weights (in, out), biases
    (spacings, out), both already divided by 128 where a rounded division follows."""

    first: Array
    first_bias: Array
    second: Array
    second_bias: Array
    out: Array
    out_bias: Array

    def __call__(self, x: Array, spacing: int) -> Array:
        """Features (n, in) -> (n, 2): correction and scale, in units of 1/2048."""
        h = _active(x @ self.first, self.first_bias[spacing])
        h = _active(h @ self.second, self.second_bias[spacing])
        h = h @ self.out
        h += self.out_bias[spacing]
        return h


def _active(x: Array, bias: Array) -> Array:
    """Rounded, held in 0..255."""
    x += bias
    np.floor(x, out=x)
    return np.clip(x, 0, ACTIVATION_MAX, out=x)


def differences(values: Array, base: Array) -> Array:
    """Quarters of a quantisation step, held in -127..127. values: sixteenths."""
    out = values - base
    out *= np.float32(0.25)
    np.floor(out, out=out)
    return np.clip(out, -FEATURE_MAX, FEATURE_MAX, out=out)
