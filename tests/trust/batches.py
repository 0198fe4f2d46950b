"""The context network computed in other batches, memory formats, strips, bands and blocks: the same classes.

sic itself runs one picture at a time with NumPy, in pieces of its own choice. A rewrite for speed may
choose otherwise, and must not change a symbol. The other batches are of the network in torch, which
trains: it must be the same network.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch

from sic_cli.codec.bitstream.reader import parse
from sic_cli.codec.decode import decode_indices, file_engine
from sic_cli.codec.engine import Engine
from sic_cli.codec.inference import context, convolution, integer_network, parallel
from sic_cli.codec.networks import context as torch_context
from tests.trust.campaign import Run, trial
from tests.trust.goldens_at_hand import good

BATCHES = (1, 2, 3, 8, 15, 16, 33)
STRIPS = (1, 7, 100, 1 << 12, 1 << 20)
BLOCKS = (1, 3000, 1 << 24)
"""Numbers that a convolution copies together: one row, a few, the whole band."""
EXITS = (1, 17, 1 << 20)
"""Positions whose classes are computed at once: a row at least."""
BANDS = (1, 2, 3)
"""Rows of a band, where any picture is cut into bands."""
LAST = {False: torch.contiguous_format, True: torch.channels_last}


@contextmanager
def pieces(
    strip: int | None = None,
    block: int | None = None,
    exits: int | None = None,
    band: int | None = None,
) -> Iterator[None]:
    """Inside, the runner cuts its work otherwise."""
    with pytest.MonkeyPatch.context() as patch:
        if strip:
            patch.setattr(context, "STRIP_POSITIONS", strip)
        if block:
            assert convolution.blocks.__defaults__ == (convolution.BLOCK,)
            patch.setattr(convolution.blocks, "__defaults__", (block,))
        if exits:
            patch.setattr(context, "EXIT_POSITIONS", exits)
        if band:
            patch.setattr(parallel, "BAND_ROWS", band)
            patch.setattr(parallel, "SMALL", 1)
        yield


OTHERWISE: dict[str, Callable[[], Any]] = {
    **{f"strips of {n} positions": lambda n=n: pieces(strip=n) for n in STRIPS},  # type: ignore[misc]
    **{f"blocks of {n} numbers": lambda n=n: pieces(block=n) for n in BLOCKS},  # type: ignore[misc]
    **{f"{n} positions at the exit": lambda n=n: pieces(exits=n) for n in EXITS},  # type: ignore[misc]
    **{f"bands of {n} rows": lambda n=n: pieces(band=n) for n in BANDS},  # type: ignore[misc]
    "all at once": lambda: pieces(strip=20, block=1, exits=1, band=1),
}


def together(
    machine: Engine, several: list[Any], coding_pass: int, channels_last: bool
) -> np.ndarray:
    """uint8 (B, 3, C, h, w): classes of all channels for several indices at once, from torch."""
    weights = machine.model_weights.context.map(torch.from_numpy)
    reach, logs = (
        torch.from_numpy(a) for a in (machine.model_weights.reach, machine.model_weights.logs)
    )
    with torch_context.exact():
        now = torch.from_numpy(np.stack(several)).float()
        depth = (
            torch.from_numpy(machine.table.pass_depths[coding_pass])
            .float()
            .expand(len(several), -1)
        )
        seen = torch_context.features(now, depth, reach, logs)
        seen = seen.contiguous(memory_format=LAST[channels_last])
        which = torch.full((len(several),), coding_pass)
        whole = torch_context.logits(weights, torch_context.trunk(weights, seen, which), which)
    number = whole.to(torch.int32).contiguous().numpy()
    number = number.reshape(len(several), 3, machine.table.channels, *number.shape[2:])
    out = np.empty(number.shape, np.uint8)
    for row, kind in enumerate(integer_network.RANGES):
        place = (number[:, row] >> integer_network.CLASS_SHIFT) + kind.offset
        out[:, row] = np.clip(place, 0, kind.count - 1)
    return out


@trial("T14f", "the context network in other batches, memory formats, strips, bands and blocks", 4)
def batches_and_pieces(run: Run) -> None:
    names = ["tiny-photo.sic", "sic-4-one-pixel.sic"] if run.scale == "PR" else list(good())
    compared = 0
    for name in names:
        parsed = parse(good()[name])
        machine = file_engine(parsed, "cpu")
        context_runner = machine.context_runner
        levels = (1, parsed.level) if run.scale == "PR" else range(1, parsed.level + 1)
        for level in levels:
            indices = decode_indices(machine, parsed, level)[0]
            coding_pass = machine.table.passes_of(level)[-1]
            channels = np.arange(machine.table.channels)
            want = context_runner.context_classes(indices, coding_pass, channels)
            for size, channels_last in itertools.product(BATCHES, LAST):
                with run.case(
                    f"{name}, level {level}, batch {size}, channels last {channels_last}"
                ):
                    several = [np.roll(indices, i, 2) for i in range(size - 1)] + [indices]
                    got = together(machine, several, coding_pass, channels_last)
                    assert np.array_equal(got[-1], want)
                    if size == 2:  # the other one: the same indices
                        assert np.array_equal(got[0], want)
                    compared += want.size
            for what, cut in OTHERWISE.items():
                for threads in (1, 3):
                    with run.case(f"{name}, level {level}, {what}, {threads} threads"), cut():
                        assert np.array_equal(
                            context_runner.context_classes(indices, coding_pass, channels, threads),
                            want,
                        )
                    compared += want.size
    run.note(f"{compared} classes compared")
    machine = file_engine(parse(good()["tiny-photo.sic"]), "cpu")
    indices = decode_indices(machine, parse(good()["tiny-photo.sic"]), 5)[0]
    with run.case("control: other cells give other classes"):
        coding_pass = machine.table.passes_of(5)[-1]
        two = together(machine, [indices, np.roll(indices, 1, 2)], coding_pass, False)
        assert not np.array_equal(two[0], two[1])
    with run.case("control: the pieces are others"):
        high, across = indices.shape[1:]
        whole = len(parallel.bands(high, across)), len(list(convolution.blocks(slice(0, high), 1)))
        assert whole == (1, 1)
        with pieces(block=1, band=1):
            assert len(parallel.bands(high, across)) > 1
            assert len(list(convolution.blocks(slice(0, high), 1))) == high
