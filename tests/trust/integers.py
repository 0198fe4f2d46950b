"""No float between bytes and table index: looked for at run time in every array.

The context network carries whole numbers in float32, which is exact below 2**24. Every float that is
computed while golden files decode is a whole number of 128th or 512th parts, which is as exact, and a
float64 carrier gives the same. Controls make sure that a float would be seen (`watch.py`). The source is
looked through in `source.py`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from sic_cli.codec.bitstream.reader import Parsed, parse
from sic_cli.codec.decode import decode_indices, file_engine
from sic_cli.codec.engine import Engine
from sic_cli.codec.entropy import new_decoder, plain_coder, range_coder
from sic_cli.codec.entropy.tables import FrequencyTable
from sic_cli.codec.inference import context, convolution, parallel
from sic_cli.codec.inference import integer_network as network
from sic_cli.codec.inference.integer_network import RANGES, ContextWeights, largest_sums
from sic_cli.codec.networks import context as torch_context
from sic_cli.codec.symbols import class_runs, layer_coder, zero_blocks
from sic_cli.codec.symbols.layer_coder import LayerCoder, Reading, digest
from tests.trust.campaign import Run, trial
from tests.trust.goldens_at_hand import good
from tests.trust.watch import EXACT, Watch

LOOKED_THROUGH = (
    *(
        convolution,
        context,
        network,
        layer_coder,
        class_runs,
        zero_blocks,
        range_coder,
        plain_coder,
    ),
)
"""Modules on the path that call NumPy."""


@dataclass(slots=True)
class OnlyIntegers:
    """A coder that also checks what it is asked: integer counts and integer tables."""

    inner: Reading

    def code(self, table: FrequencyTable, count: int, known: Any) -> Any:
        assert type(count) is int and table.weights.dtype == np.int64
        out = self.inner.code(table, count, known)
        assert out.dtype == np.int32
        return out


def watched(machine: Engine, parsed: Parsed) -> Watch:
    """Decode all layers under watch; -> what was looked at."""

    following = machine.context_runner.incremental()

    def checked(*arguments: Any) -> Any:
        out = following(*arguments)
        assert out.dtype == np.uint8 and arguments[0].dtype == np.int32
        return out

    true = machine.layer_coder._table
    table = replace(true, unit=np.full_like(true.unit, np.nan))  # widths of indices decide nothing
    path = LayerCoder(table, machine.layer_coder._tables, checked)
    shape = (machine.table.channels, -(-parsed.header.height // 16), -(-parsed.header.width // 16))
    indices, digests = np.zeros(shape, np.int32), 0
    watch = Watch()
    with pytest.MonkeyPatch.context() as patch:
        for module in LOOKED_THROUGH:
            patch.setattr(module, "np", watch)
        patch.setattr(convolution, "_OWN", threading.local())  # memory that the watch sees
        patch.setattr(machine.context_runner, "_updates", {})
        patch.setattr(parallel, "_CHOSEN", 1)
        for layer in parsed.layers:
            coder = OnlyIntegers(Reading(new_decoder(layer.payload)))
            indices = path.layer(layer.level, indices, coder)
            digests = digest(table, layer.level, indices, digests)
            assert digests == layer.digest, "other cells without the widths"
    return watch


@trial("T14d", "every array between bytes and table index is whole and below 2**24", 4)
def no_float_at_run_time(run: Run) -> None:
    numbers, called = 0, set[str]()
    for name, data in good("tiny" if run.scale == "PR" else "").items():
        with run.case(name):
            parsed = parse(data)
            watch = watched(file_engine(parsed, "cpu"), parsed)
            numbers, called = numbers + watch.seen, called | watch.called
    run.note(f"{numbers} numbers looked at in {len(called)} functions of NumPy and in operators")
    with run.case("control: the functions that compute are among those looked at"):
        assert called >= {"matmul", "take", "clip", "floor", "copyto", "empty"}, called
    parsed = parse(good("tiny")["tiny-made.sic"])
    for what, break_it in CONTROLS.items():
        with (
            run.case(f"control: {what} is seen"),
            break_it(file_engine(parsed, "cpu")),
            pytest.raises(AssertionError, match=r"not whole|beyond|not float32"),
        ):
            watched(file_engine(parsed, "cpu"), parsed)


def _changed(name: str, change: Callable[[Any], Any]) -> Callable[[Engine], Any]:
    """One attribute of the context runner is another."""

    @contextmanager
    def inside(machine: Engine) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                machine.context_runner, name, change(getattr(machine.context_runner, name))
            )
            yield

    return inside


def _in_float64(update: context.IncrementalUpdate) -> context.IncrementalUpdate:
    return replace(update, features=update.features.astype(np.float64))


def _each(change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """For what there is one of for each block of the network."""
    return lambda several: [change(one) for one in several]


CONTROLS: dict[str, Callable[[Engine], Any]] = {
    "a scale that is no power of two": _changed("_mid", _each(lambda w: w * np.float32(1.0001))),
    "a bias with a fraction": _changed("_entry_bias", lambda bias: bias + np.float32(1e-3)),
    "a bias with a fraction in a block": _changed(
        "_mid_bias", _each(lambda bias: bias + np.float32(1e-3))
    ),
    "a sum beyond 2**24": _changed("_exit_bias", lambda bias: bias + np.float32(2.0**24)),
    "a float64 matrix": _changed("_back", _each(lambda w: w.astype(np.float64))),
    "a float64 bias, added in place": _changed(
        "_mid_bias", _each(lambda bias: bias.astype(np.float64))
    ),
    "a table of features in float64": _changed(
        "_between", lambda real: lambda *of: _in_float64(real(*of))
    ),
}


@trial("T14e", "a float64 carrier gives the same classes at every pass of real files", 4)
def float64_carrier(run: Run) -> None:
    names = ["tiny-photo.sic", "sic-4-one-pixel.sic"] if run.scale == "PR" else list(good())
    compared = 0
    for name in names:
        parsed = parse(good()[name])
        machine = file_engine(parsed, "cpu")
        model_weights, table = machine.model_weights, machine.table
        wide = model_weights.context.map(lambda array: torch.from_numpy(array).double())
        indices: np.ndarray = np.zeros((1,), np.int32)
        for level in range(0, parsed.level):
            indices = (
                decode_indices(machine, parsed, level)[0]
                if level
                else np.zeros(
                    (table.channels, -(-parsed.header.height // 16), -(-parsed.header.width // 16)),
                    np.int32,
                )
            )
            coding_pass = table.passes_of(level + 1)[0]
            with run.case(f"{name}, step {coding_pass}"):
                compared += _compare(machine, wide, indices, coding_pass)
    for name in ("tiny-made.sic", "sic-4-made.sic"):
        machine = file_engine(parse(good()[name]), "cpu")
        with run.case(f"{name}: largest sum of its network"):
            largest = max(largest_sums(machine.model_weights.context).values())
            assert largest < EXACT
            run.note(f"{name}: no sum can exceed {largest} of {EXACT}")
    run.note(f"{compared} classes compared")


def _compare(
    machine: Engine, wide: ContextWeights[Tensor], indices: np.ndarray, coding_pass: int
) -> int:
    model_weights, table = machine.model_weights, machine.table
    channels = np.flatnonzero(table.pass_depths[coding_pass + 1] > table.pass_depths[coding_pass])
    got = machine.context_runner.context_classes(indices, coding_pass, channels)
    reach, logs = (
        torch.from_numpy(array).double() for array in (model_weights.reach, model_weights.logs)
    )
    with torch_context.exact():
        now = torch.from_numpy(indices).to(torch.float64)[None]
        depth = torch.from_numpy(table.pass_depths[coding_pass]).to(torch.float64)[None]
        seen = torch_context.features(now, depth, reach, logs)
        which = torch.tensor([coding_pass])
        logit = torch_context.logits(wide, torch_context.trunk(wide, seen, which), which)[0]
    whole = logit.to(torch.int64).numpy().reshape(3, table.channels, *indices.shape[1:])
    for row, kind in enumerate(RANGES):
        want = np.clip((whole[row][channels] >> 9) + kind.offset, 0, kind.count - 1)
        assert np.array_equal(got[row], want), f"kind {row} differs"
    return int(got.size)
