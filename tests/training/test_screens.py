"""Rendered crops: made anew from the same generator, of the asked size, and not empty."""

from __future__ import annotations

import random

import numpy as np

from sic_cli.training.data import Crops, night
from sic_cli.training.screens import screen


def test_the_same_generator_draws_the_same_screens() -> None:
    first, second = random.Random(7), random.Random(7)
    for _ in range(5):
        assert np.array_equal(screen(first, 64), screen(second, 64))


def test_screens_have_the_asked_size_and_most_have_edges() -> None:
    rng = random.Random(1)
    drawn = [screen(rng, 96) for _ in range(20)]
    assert all(one.shape == (96, 96, 3) and one.dtype == np.uint8 for one in drawn)
    sharp = [np.abs(np.diff(one.astype(int), axis=1)).max() > 60 for one in drawn]
    assert sum(sharp) > 15


def test_a_night_is_dark() -> None:
    white = np.full((32, 32, 3), 255, np.uint8)
    dark = night(random.Random(2), white)
    assert dark.shape == white.shape and dark.dtype == np.uint8
    assert dark.mean() < 200


def test_screens_are_among_the_crops() -> None:
    crops = Crops([np.full((64, 64, 3), 128, np.uint8)], 64, seed=3)
    lively = sum(int(crops.one().std() > 12) for _ in range(200))
    assert 2 <= lively <= 40  # of the plain picture nothing is lively, even at night
