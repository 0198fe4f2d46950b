"""The context network computed in other batches, memory formats and strips: the same classes.

sic itself runs one picture at a time, in strips of its own choice. A rewrite for speed may choose
otherwise, and must not change a symbol.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch

from sic_cli.bitstream.reader import parse
from sic_cli.codec.decode import decode_cells, file_engine
from sic_cli.codec.engine import Engine, context_runner
from sic_cli.model import context, exact
from tests.trust.campaign import Run, trial
from tests.trust.goldens_at_hand import good

BATCHES = (1, 2, 3, 8, 15, 16, 33)
STRIPS = (1, 7, 100, 1 << 12, 1 << 20)
LAST = {False: torch.contiguous_format, True: torch.channels_last}


def together(machine: Engine, several: list[Any], step: int, channels_last: bool) -> np.ndarray:
    """uint8 (B, 3, C, h, w): classes of all channels for several cells at once."""
    weights = machine.release.context
    with exact.exact():
        now = torch.from_numpy(np.stack(several)).float()
        octave = torch.from_numpy(machine.table.steps[step]).float().expand(len(several), -1)
        seen = context.features(now, octave, machine.release.reach, machine.release.logs)
        seen = seen.contiguous(memory_format=LAST[channels_last])
        which = torch.full((len(several),), step)
        whole = context.logits(weights, context.trunk(weights, seen, which), which)
    number = whole.to(torch.int32).contiguous().numpy()
    number = number.reshape(len(several), 3, machine.table.channels, *number.shape[2:])
    out = np.empty(number.shape, np.uint8)
    for row, kind in enumerate(exact.RANGES):
        place = (number[:, row] >> exact.CLASS_SHIFT) + kind.offset
        out[:, row] = np.clip(place, 0, kind.count - 1)
    return out


@trial("T14f", "the context network in batches of 1 to 33, two memory formats, five strips", 4)
def batches_and_strips(run: Run) -> None:
    names = ["tiny-photo.sic", "sic-2-one-pixel.sic"] if run.scale == "PR" else list(good())
    compared = 0
    for name in names:
        parsed = parse(good()[name])
        machine = file_engine(parsed, "cpu")
        runner = context_runner(machine.release)
        levels = (1, parsed.level) if run.scale == "PR" else range(1, parsed.level + 1)
        for level in levels:
            cells = decode_cells(machine, parsed, level)[0]
            step = machine.table.steps_of(level)[-1]
            channels = np.arange(machine.table.channels)
            want = runner.classes(cells, step, channels)
            for size, channels_last in itertools.product(BATCHES, LAST):
                with run.case(
                    f"{name}, level {level}, batch {size}, channels last {channels_last}"
                ):
                    several = [np.roll(cells, i, 2) for i in range(size - 1)] + [cells]
                    got = together(machine, several, step, channels_last)
                    assert np.array_equal(got[-1], want)
                    if size == 2:  # the other one: the same cells
                        assert np.array_equal(got[0], want)
                    compared += want.size
            for positions in STRIPS:
                with run.case(f"{name}, level {level}, strips of {positions} positions"):
                    with pytest.MonkeyPatch.context() as patch:
                        patch.setattr(exact, "STRIP_POSITIONS", positions)
                        assert np.array_equal(runner.classes(cells, step, channels), want)
                    compared += want.size
    run.note(f"{compared} classes compared")
    with run.case("control: other cells give other classes"):
        machine = file_engine(parse(good()["tiny-photo.sic"]), "cpu")
        cells = decode_cells(machine, parse(good()["tiny-photo.sic"]), 5)[0]
        step = machine.table.steps_of(5)[-1]
        two = together(machine, [cells, np.roll(cells, 1, 2)], step, False)
        assert not np.array_equal(two[0], two[1])
