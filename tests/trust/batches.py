"""The context network computed in other batches, memory formats, bands and blocks: the same classes.

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
from safetensors.numpy import load_file

from sic_cli.codec.bitstream.reader import parse
from sic_cli.codec.decode import decode_indices, file_engine
from sic_cli.codec.engine import Engine
from sic_cli.codec.inference import context, convolution, integer_network, parallel
from sic_cli.codec.networks.context import ContextNetwork
from sic_cli.codec.quantization.dead_zone import Indices, at_depths
from sic_cli.codec.quantization.passes import gather
from sic_cli.codec.weights.card import WEIGHTS
from tests.reference import decoder
from tests.trust.campaign import Run, trial
from tests.trust.goldens_at_hand import good

BATCHES = (1, 2, 3, 8, 15, 16, 33)
BLOCKS = (1, 3000, 1 << 24)
"""Numbers that a convolution copies together: one row, a few, the whole band."""
FEATURES = (1, 5000, 1 << 24)
"""Numbers of features that are looked up at once."""
OUTPUTS = (1, 17, 1 << 20)
"""Positions whose classes are computed at once."""
BANDS = (1, 2, 3)
"""Rows of a band, where any picture is cut into bands."""
LAST = {False: torch.contiguous_format, True: torch.channels_last}


@contextmanager
def pieces(
    block: int | None = None,
    features: int | None = None,
    outputs: int | None = None,
    band: int | None = None,
) -> Iterator[None]:
    """Inside, the runner cuts its work otherwise."""
    with pytest.MonkeyPatch.context() as patch:
        if block:
            assert convolution.blocks.__defaults__ == (convolution.BLOCK,)
            patch.setattr(convolution.blocks, "__defaults__", (block,))
        if features:
            patch.setattr(context, "FEATURE_NUMBERS", features)
        if outputs:
            patch.setattr(context, "OUTPUT_POSITIONS", outputs)
        if band:
            patch.setattr(parallel, "BAND_ROWS", band)
            patch.setattr(parallel, "SMALL", 1)
        yield


OTHERWISE: dict[str, Callable[[], Any]] = {
    **{f"blocks of {n} numbers": lambda n=n: pieces(block=n) for n in BLOCKS},  # type: ignore[misc]
    **{f"{n} features at once": lambda n=n: pieces(features=n) for n in FEATURES},  # type: ignore[misc]
    **{f"{n} positions at the exit": lambda n=n: pieces(outputs=n) for n in OUTPUTS},  # type: ignore[misc]
    **{f"bands of {n} rows": lambda n=n: pieces(band=n) for n in BANDS},  # type: ignore[misc]
    "all at once": lambda: pieces(block=1, features=1, outputs=1, band=1),
}


def trained(machine: Engine) -> ContextNetwork:
    """The network in torch with parameters that stand for the weights."""
    network = ContextNetwork(machine.model_weights.card.config, machine.table.passes)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            unit = integer_network.LOGIT_ONE if "bias" in name else 2**integer_network.WEIGHT_SHIFT
            stored = torch.from_numpy(getattr(machine.model_weights.context, name))
            parameter.copy_(stored / unit)
    return network


def together(
    machine: Engine, several: list[Indices], number: int, channels_last: bool
) -> np.ndarray:
    """uint8 (B, 3, R, n): classes of a pass for several indices at once."""
    weights = load_file(machine.model_weights.card.folder / WEIGHTS)
    one = machine.table.passes[number]
    height, width = several[0].shape[1:]
    coded = np.zeros((height, width), bool)
    for y, x in one.coded:
        coded[y::2, x::2] = True
    depth = np.where(coded, one.after[:, None, None], one.before[:, None, None]).astype(int)
    seen = np.stack([decoder.features(indices.astype(int), depth, weights) for indices in several])
    tensor = torch.from_numpy(seen).float().contiguous(memory_format=LAST[channels_last])
    with torch.no_grad():
        logit = trained(machine)(tensor.permute(0, 2, 3, 1), number, torch.from_numpy(coded))
    whole = (logit * integer_network.LOGIT_ONE).to(torch.int32).permute(0, 3, 4, 1, 2).numpy()
    places = []
    for row, kind in enumerate(integer_network.RANGES):
        place = (whole[:, row] >> integer_network.CLASS_SHIFT) + kind.offset
        places.append(np.clip(place, 0, kind.count - 1).astype(np.uint8))
    made = np.stack(places, 1)
    flat = gather(made.reshape(-1, height, width), one.lattices)
    return flat.reshape(*made.shape[:3], -1)


@trial("T14f", "the context network in other batches, memory formats, bands and blocks", 4)
def batches_and_pieces(run: Run) -> None:
    names = ["tiny-photo.sic", "sic-5-one-pixel.sic"] if run.scale == "PR" else list(good())
    compared = 0
    for name in names:
        parsed = parse(good()[name])
        machine = file_engine(parsed, "cpu")
        runner, table = machine.context_runner, machine.table
        last = decode_indices(machine, parsed, parsed.level)[0]
        finest = _finest(machine, last, parsed.level)
        firsts = [
            i for i, one in enumerate(table.passes) if one.level <= parsed.level and not one.phase
        ]
        for number in firsts[:: max(1, len(firsts) // 4)] if run.scale == "PR" else firsts:
            indices = at_depths(finest, table, table.passes[number].before)
            sums = runner.first_layer(indices, table.passes[number].before)
            want = runner.context_classes(sums, number)
            for size, channels_last in itertools.product(BATCHES, LAST):
                what = f"batch {size}, channels last {channels_last}"
                with run.case(f"{name}, pass {number}, {what}"):
                    several = [np.roll(indices, i, 2) for i in range(size - 1)] + [indices]
                    got = together(machine, several, number, channels_last)
                    assert np.array_equal(got[-1], want)
                    if size == 2:  # the other one: the same indices
                        assert np.array_equal(got[0], want)
                    compared += want.size
        for (what, cut), threads in itertools.product(OTHERWISE.items(), (1, 3)):
            with run.case(f"{name}, {what}, {threads} threads"), cut(), _threads(threads):
                got, level, fault = decode_indices(machine, parsed, parsed.level)
                assert (level, fault) == (parsed.level, None) and np.array_equal(got, last)
    run.note(f"{compared} classes compared")
    _controls(run)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parallel, "_CHOSEN", count)
        yield


def _finest(machine: Engine, indices: Indices, level: int) -> Indices:
    """Indices at the last level that are these at `level`."""
    depths = machine.table.depths.astype(np.int32)
    sent = depths[level - 1] >= 0
    shift = np.where(sent, depths[-1] - depths[level - 1], 0)
    return indices.astype(np.int32) << shift[:, None, None]


def _controls(run: Run) -> None:
    parsed = parse(good()["tiny-photo.sic"])
    machine = file_engine(parsed, "cpu")
    indices = decode_indices(machine, parsed, 4)[0]
    with run.case("control: other indices give other classes"):
        number = machine.table.passes_of(5)[0]
        two = together(machine, [indices, np.roll(indices, 1, 2)], number, False)
        assert not np.array_equal(two[0], two[1])
    with run.case("control: the pieces are others"):
        high, across = indices.shape[1:]
        whole = len(parallel.bands(high, across)), len(list(convolution.blocks(slice(0, high), 1)))
        assert whole == (1, 1)
        with pieces(block=1, band=1):
            assert len(parallel.bands(high, across)) > 1
            assert len(list(convolution.blocks(slice(0, high), 1))) == high
