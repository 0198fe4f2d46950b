"""Noise maps: by seed, map and position alone, the same numbers for ever, of mean 0 and variance 1."""

from __future__ import annotations

import numpy as np
import pytest

from sic_cli.codec.inference.noise import columns_of, noise, noise_maps
from sic_cli.codec.inference.tiles import Strip

COUNTS = (8, 4, 4)


def test_values_are_those_of_the_format() -> None:
    """Sums of eight bytes less their mean; FORMAT.md, section 6.6, has the first of them."""
    scale = (12 / (8 * (256**2 - 1))) ** 0.5
    sums = noise(0, 16, 2, slice(0, 2), slice(0, 2)).ravel() / scale
    assert np.abs(sums - np.rint(sums)).max() < 1e-3
    assert np.rint(sums).astype(int).tolist() == [-564, 409, -31, -330, -279, 40, 23, 340]
    far = noise(7, 4, 1, slice(70_000, 70_001), slice(9, 11)).ravel() / scale
    assert np.rint(far).astype(int).tolist() == [-230, 301]


@pytest.mark.parametrize("stride", [16, 8, 4])
def test_mean_and_variance(stride: int) -> None:
    made = noise(3, stride, 4, slice(0, 200), slice(0, 200)).astype(np.float64)
    assert abs(made.mean()) < 0.01 and abs(made.var() - 1) < 0.02
    flat = made.reshape(-1, 4)
    assert np.abs(np.corrcoef(flat.T) - np.eye(4)).max() < 0.02
    for axis in (0, 1):  # neighbours have nothing in common
        near = np.roll(made, 1, axis)
        assert abs((made * near).mean()) < 0.02


def test_a_part_has_the_noise_of_the_whole() -> None:
    whole = noise_maps(9, COUNTS, slice(0, 20), slice(0, 30))
    part = noise_maps(9, COUNTS, slice(7, 12), slice(4, 30))
    column = columns_of(noise_maps(9, COUNTS, slice(7, 12), slice(0, 30)), Strip(6, 28, 4, 30))
    for name, side in (("stride16", 1), ("stride8", 2), ("stride4", 4)):
        want = getattr(whole, name)[7 * side : 12 * side, 4 * side :]
        assert np.array_equal(getattr(part, name), want)
        assert np.array_equal(getattr(column, name), want)


def test_seeds_and_maps_differ() -> None:
    one, two = (noise(seed, 8, 4, slice(0, 9), slice(0, 9)) for seed in (0, 1))
    assert not np.array_equal(one, two)
    assert abs((one * two).mean()) < 0.2
    last = noise(2**32 - 1, 8, 4, slice(0, 9), slice(0, 9))
    assert np.isfinite(last).all() and not np.array_equal(last, one)
