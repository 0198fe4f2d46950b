"""The schedule of coding passes: every position once, nested, refused where it does not lead through the levels."""

from __future__ import annotations

import numpy as np
import pytest

from sic_cli.codec.quantization.passes import PHASES, gather, scatter
from sic_cli.codec.quantization.step_sizes import (
    MEAN_COLOURS,
    NOT_SENT,
    planned,
    staggered,
    step_sizes_of,
)

UNIT, DEPTHS = staggered(8, 5, 256.0, 32.0, np.zeros((5, 8), np.int32))
DEPTHS[:, list(MEAN_COLOURS)] = np.array([[5, 6, 6]] * 5) + np.array([0, 0, 1, 1, 2])[:, None]


def table(first: tuple[tuple[int, int], ...] = ((4, 4), (8, 2)), **changed: np.ndarray):
    arrays = dict(zip(("level", "group_depths", "phases"), planned(DEPTHS, first), strict=True))
    return step_sizes_of(UNIT, DEPTHS, **(arrays | changed))


@pytest.mark.parametrize("phases", PHASES)
@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 6), (5, 1), (4, 4), (7, 10)])
def test_phases_take_every_position_once(phases: int, height: int, width: int) -> None:
    planes = np.arange(3 * height * width).reshape(3, height, width)
    back = np.full_like(planes, -1)
    count = 0
    for one in range(phases):
        lattices = () if phases == 1 else PHASES[phases][one]
        part = gather(planes, lattices)
        count += part.shape[1]
        scatter(part, back, lattices)
    assert count == height * width
    assert np.array_equal(back, planes)


def test_passes_lead_through_all_levels() -> None:
    steps = table()
    now = steps.start.astype(int)
    assert (now >= 0).nonzero()[0].tolist() == list(MEAN_COLOURS)
    for level in range(1, steps.levels + 1):
        for number in steps.passes_of(level):
            one = steps.passes[number]
            assert (one.before == now).all()
            moved = one.after.astype(int) - now
            assert ((moved == 1) | (now == NOT_SENT))[one.channels].all()
            if one.phase == one.phases - 1:
                now = one.after.astype(int)
        assert (now == steps.depths[level - 1]).all()
        refined = {c for number in steps.passes_of(level) for c in steps.passes[number].channels}
        assert refined == set(steps.refined_by(level).tolist())
    assert [one.phases for one in steps.passes[:6]] == [4, 4, 4, 4, 2, 2]


def test_earlier_phases_are_known() -> None:
    steps = table()
    assert steps.passes[0].coded == frozenset()
    assert steps.passes[2].coded == {(0, 0), (1, 1)}
    assert steps.passes[5].coded == {(0, 0), (1, 1)}


def test_a_table_that_does_not_nest_is_refused() -> None:
    level, reached, phases = planned(DEPTHS, ((8, 1),))
    good = {"level": level, "group_depths": reached, "phases": phases}
    step_sizes_of(UNIT, DEPTHS, **good)

    def refused(words: str, unit=UNIT, depths=DEPTHS, **changed: np.ndarray) -> None:
        with pytest.raises(ValueError, match=words):
            step_sizes_of(unit, depths, **(good | changed))

    coarser = DEPTHS.copy()
    coarser[2, 3] = coarser[1, 3] - 1
    refused("do not nest", depths=coarser)
    for bad in (np.nan, np.inf, 0.0, -1.0):
        refused("positive numbers", unit=np.where(np.arange(8) == 2, bad, UNIT).astype(np.float32))
    refused("mean colours' steps", unit=UNIT * 2)
    jump = reached.copy()
    jump[2:, 0] += 1
    refused("lead to the step sizes|one bit plane", group_depths=jump)
    refused("begin behind layer 0", group_depths=np.vstack([reached[1:2], reached[1:]]))
    refused("number of phases", phases=np.full_like(phases, 3))
    refused("out of order", level=level[::-1].copy())
    refused("groups of passes are", phases=phases[:-1])
    refused(
        "one bit plane further", group_depths=np.vstack([reached[:1], reached[:1], reached[2:]])
    )
