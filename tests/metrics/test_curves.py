"""Averages and BD-rates against values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sic_cli.metrics.curves import at_rate, bd_rate, integral, pchip

BPP = [0.1, 0.2, 0.4, 0.8]
QUALITY = [25.0, 28.0, 31.5, 36.0]


def test_rates_are_interpolated_in_their_logarithm() -> None:
    assert at_rate(BPP, QUALITY, math.sqrt(0.1 * 0.2)) == pytest.approx(26.5)
    assert at_rate(BPP[::-1], QUALITY[::-1], 0.4) == 31.5
    assert at_rate(BPP, QUALITY, 0.09) is None and at_rate(BPP, QUALITY, 0.81) is None


def test_the_cubic_is_the_one_of_fritsch_and_butland() -> None:
    """Slopes 4/3, 0 and 0 by hand; in the middle of the first piece 1/2 + 1/8 * 4/3."""
    x, y = np.array([0.0, 1.0, 3.0]), np.array([0.0, 1.0, 1.0])
    assert pchip(x, y, np.array([0.5, 2.0])) == pytest.approx([2 / 3, 1.0])
    assert integral(x, y, 0.0, 1.0) == pytest.approx(0.5 + 4 / 3 / 12)
    assert integral(x, y, 0.0, 3.0) == pytest.approx(0.5 + 4 / 3 / 12 + 2)


def test_a_straight_line_stays_one() -> None:
    x = np.array([1.0, 2.0, 4.0, 9.0])
    at = np.linspace(1, 9, 21)
    assert pchip(x, 3 * x - 1, at) == pytest.approx(3 * at - 1)


@pytest.mark.parametrize("factor", [0.5, 0.9, 1.25])
def test_the_same_quality_for_a_share_of_the_rate_is_that_bd_rate(factor: float) -> None:
    got = bd_rate((BPP, QUALITY), ([b * factor for b in BPP], QUALITY))
    assert got == pytest.approx(100 * (factor - 1))


def test_bd_rate_of_two_lines_by_hand() -> None:
    """ln rate = q and ln rate = q / 2 over the common range 2..4: exp(-mean of q / 2) = exp(-1.5)."""
    anchor = ([math.exp(q) for q in (1, 2, 3, 4)], [1.0, 2.0, 3.0, 4.0])
    test = ([math.exp(q / 2) for q in (2, 3, 5)], [2.0, 3.0, 5.0])
    assert bd_rate(anchor, test) == pytest.approx(100 * (math.exp(-1.5) - 1))


def test_points_that_cost_more_for_less_do_not_count() -> None:
    worse = ([*BPP, 0.3], [*QUALITY, 27.0])
    assert bd_rate((BPP, QUALITY), worse) == pytest.approx(0)


def test_without_a_common_range_there_is_no_bd_rate() -> None:
    assert bd_rate((BPP, QUALITY), (BPP, [q + 20 for q in QUALITY])) is None
    assert bd_rate((BPP, QUALITY), ([0.1], [30.0])) is None
