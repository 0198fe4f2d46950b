"""The choice of an interval against a search through all indices."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sic_cli.codec.entropy.tables import TOTAL
from sic_cli.codec.quantization.dead_zone import largest
from sic_cli.codec.quantization.step_sizes import NOT_SENT, StepSizes, planned, step_sizes_of
from sic_cli.codec.rdo.choice import Bits, Depths, choose_indices

UNIT = np.array([64, 50], np.float32)
DEPTHS = np.array([[0, NOT_SENT], [1, 0], [1, 2], [3, 2]], np.int8)


def build(depths: np.ndarray) -> StepSizes:
    """A table whose channels 2 and 3 have these depths, beside the mean colours."""
    count = len(depths)
    every = np.zeros((count, 5), np.int8)
    every[:, [0, 1, 4]] = 5, 6, 6
    every[:, 2:4] = depths
    unit = np.array([2048, 3143.2341, *UNIT, 2840.9072], np.float32)
    return step_sizes_of(unit, every, *planned(every, ((5, 1),)))


def of(table: StepSizes, offset: float, weight: np.ndarray, lambda_: np.ndarray) -> Depths:
    """Depths of channels 2 and 3."""
    offsets = np.full((table.levels, table.channels), offset, np.float32)
    whole = Depths.of(table, offsets, weight, lambda_)
    return Depths(*(getattr(whole, f.name)[..., 2:4] for f in fields(Depths)))


TABLE = build(DEPTHS)
MOST = largest(TABLE)[2:4]
WEIGHT = np.array([1, 2, 3, 4.0])
LAMBDA = np.array([50, 40, 30, 20.0])
ONES = {
    "significance": np.array([TOTAL // 20, TOTAL // 3]),
    "sign": np.array([TOTAL // 2, TOTAL * 2 // 3]),
    "refinement": np.array([TOTAL // 4, TOTAL // 2 - 1]),
}


def depths() -> Depths:
    return of(TABLE, 0.4, WEIGHT, LAMBDA)


def test_depths_gather_the_levels_that_share_them() -> None:
    found = depths()
    assert found.depth.T.tolist() == [[0, 1, 3], [0, 2, NOT_SENT]]
    assert found.weight.T.tolist() == [[1, 5, 4], [2, 7, 0]]
    assert found.lambda_.T.tolist() == [[50, 70, 20], [40, 50, 0]]
    assert found.width.T.tolist() == [[64, 32, 8], [50, 12.5, np.inf]]
    assert np.allclose(found.share.sum(0)[:, 0], 1)
    assert found.most.tolist() == MOST.tolist()


def test_bits_are_those_of_the_tables() -> None:
    bits = Bits.of(ONES)
    assert bits.significance[0] == pytest.approx(np.log2(19) + 1, abs=1e-4)
    assert bits.sign_cost[1] == pytest.approx(-0.5, abs=1e-4)  # + is half as dear as -
    assert bits.refinement[0] == pytest.approx(np.log2(3), abs=1e-4)
    assert bits.refinement[1] == pytest.approx(0.07, abs=1e-6)  # never for nothing


def cost(number: int, target_latents: np.ndarray, classes: np.ndarray, channel: int) -> float:
    """What an interval at the last level costs, level by level."""
    bits, total, sign = Bits.of(ONES), 0.0, np.sign(number)
    last = DEPTHS[-1, channel]
    for level in range(4):
        depth = DEPTHS[level, channel]
        if depth == NOT_SENT:
            continue
        place = sorted(set(DEPTHS[:, channel]) - {NOT_SENT}).index(depth)
        index = abs(number) >> int(last - depth)
        width = UNIT[channel] / 2.0**depth
        value = sign * (index + 0.4) * width if index else 0.0
        total += WEIGHT[level] * (value - target_latents[place]) ** 2
        if index:
            zero, plus, inner = classes[:, place]
            spent = (
                bits.significance[zero]
                + sign * bits.sign_cost[plus]
                + (index - 1) * bits.refinement[inner]
            )
            total += LAMBDA[level] * spent
    return total


@given(st.integers(0, 2**32 - 1), st.sampled_from([4.0, 30.0, 200.0]))
def test_hardly_any_interval_costs_less(seed: int, scale: float) -> None:
    """Of all indices, where levels wish about the same; the search itself looks at few."""
    rng = np.random.default_rng(seed)
    middle = rng.normal(0, scale, (1, 2, 1, 3))
    target_latents = (middle + rng.normal(0, 4, (3, 2, 1, 3))).astype(np.float32)
    classes = rng.integers(0, 2, (3, 3, 2, 1, 3)).astype(np.uint8)
    now = np.zeros((2, 1, 3), np.int16)
    found = choose_indices(target_latents, 1, classes, now, depths(), Bits.of(ONES))
    assert found.dtype == now.dtype and not now.any()
    most = MOST
    for channel in range(2):
        for place in range(3):
            here = target_latents[:, channel, 0, place], classes[:, :, channel, 0, place], channel
            got = cost(int(found[channel, 0, place]), *here)
            every = range(-min(200, most[channel]), min(200, most[channel]) + 1)
            least = min(cost(number, *here) for number in every)
            assert got <= cost(0, *here) + 1e-3
            assert got <= least * 1.3 + 1e-3  # it may miss the best by a little


def test_targets_far_away_saturate() -> None:
    target_latents = np.full((3, 2, 1, 1), 1e9, np.float32)
    classes = np.zeros((3, 3, 2, 1, 1), np.uint8)
    for sign in (1, -1):
        for kind in (np.int16, np.int32):
            now = np.zeros((2, 1, 1), kind)
            found = choose_indices(
                2 * sign * target_latents, 2, classes, now, depths(), Bits.of(ONES)
            )
            assert (sign * found[:, 0, 0] == MOST).all()


def test_channels_that_are_never_sent_stay_zero() -> None:
    table, one = build(np.array([[0, NOT_SENT]], np.int8)), np.ones(1)
    target_latents = np.full((1, 2, 1, 1), 500, np.float32)
    classes, now = np.zeros((3, 1, 2, 1, 1), np.uint8), np.zeros((2, 1, 1), np.int16)
    found = choose_indices(
        target_latents,
        1,
        classes,
        now,
        of(table, 0.4, one, one),
        Bits.of(ONES),
    )
    assert found[0, 0, 0] > 0 and found[1, 0, 0] == 0
