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
from safetensors.numpy import load_file

from sic_cli.codec.bitstream.reader import Parsed, parse
from sic_cli.codec.decode import decode_indices, file_engine
from sic_cli.codec.engine import Engine
from sic_cli.codec.entropy import new_decoder, plain_coder, range_coder
from sic_cli.codec.entropy.tables import FrequencyTable
from sic_cli.codec.inference import context, convolution, parallel
from sic_cli.codec.inference import integer_network as network
from sic_cli.codec.inference.integer_network import largest_sums
from sic_cli.codec.preview import coder as mean_colour_coding
from sic_cli.codec.preview import network as mean_colour_network
from sic_cli.codec.preview.constants import mean_colour_coder
from sic_cli.codec.quantization.passes import gather
from sic_cli.codec.quantization.step_sizes import MEAN_COLOURS
from sic_cli.codec.symbols import class_runs, layer_coder, zero_blocks
from sic_cli.codec.symbols.layer_coder import LayerCoder, Reading, digest
from sic_cli.codec.weights.card import WEIGHTS
from tests.reference import decoder
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
        mean_colour_coding,
        mean_colour_network,
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
        assert out.dtype == np.uint8 and arguments[0].dtype in (np.int16, np.int32)
        return out

    true = machine.table
    table = replace(true, unit=np.full_like(true.unit, np.nan))  # widths of indices decide nothing
    path = LayerCoder(table, machine.tables, checked)
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
            if layer.level == 0:
                indices[list(MEAN_COLOURS)] = mean_colour_coder().code(*shape[1:], coder)
            else:
                indices = path.layer(layer.level, indices, coder)
            digests = digest(table, layer.level, indices, digests)
            assert digests == layer.digest, "other indices without the step sizes"
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


@contextmanager
def _another_layer_0(machine: Engine) -> Iterator[None]:
    """The network of layer 0 has a bias with a fraction."""
    real = mean_colour_coder()
    diagonal = replace(real.networks[0][0], out_bias=real.networks[0][0].out_bias + np.float32(0.3))
    networks = ((diagonal, real.networks[0][1]), *real.networks[1:])
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(globals(), "mean_colour_coder", lambda: replace(real, networks=networks))
        yield


CONTROLS: dict[str, Callable[[Engine], Any]] = {
    "a scale that is no power of two": _changed("_mid", lambda w: w * np.float32(1.0001)),
    "the same at a lattice": _changed("_taps", lambda w: w * np.float32(1.0001)),
    "a bias with a fraction": _changed("_entry_bias", lambda bias: bias + np.float32(1e-3)),
    "a bias with a fraction in a block": _changed(
        "_mid_bias", lambda bias: bias + np.float32(1e-3)
    ),
    "a sum beyond 2**24": _changed("_exit_bias", lambda bias: bias + np.float32(2.0**24)),
    "a float64 matrix": _changed("_back", lambda w: w.astype(np.float64)),
    "a float64 bias, added in place": _changed("_mid_bias", lambda bias: bias.astype(np.float64)),
    "a table of features in float64": _changed(
        "_between", lambda real: lambda *of: _in_float64(real(*of))
    ),
    "a bias with a fraction in layer 0": _another_layer_0,
}


@trial("T14e", "64-bit whole numbers give the same classes at every pass of real files", 4)
def whole_number_carrier(run: Run) -> None:
    """The context network as FORMAT.md has it (tests/reference/decoder.py)."""
    names = ["tiny-photo.sic", "sic-5-one-pixel.sic"] if run.scale == "PR" else list(good())
    compared = 0
    for name in names:
        parsed = parse(good()[name])
        machine = file_engine(parsed, "cpu")
        weights = load_file(machine.model_weights.card.folder / WEIGHTS)
        for level in range(1, parsed.level + 1):
            with run.case(f"{name}, level {level}"):
                compared += _compared(machine, parsed, level, weights)
    for name in ("tiny-made.sic", "sic-5-made.sic"):
        machine = file_engine(parse(good()[name]), "cpu")
        with run.case(f"{name}: largest sum of its network"):
            largest = max(largest_sums(machine.model_weights.context).values())
            assert largest < EXACT
            run.note(f"{name}: no sum can exceed {largest} of {EXACT}")
    run.note(f"{compared} classes compared")


def _compared(machine: Engine, parsed: Parsed, level: int, weights: decoder.Arrays) -> int:
    """How many classes of a level were compared."""
    before = decode_indices(machine, parsed, level - 1)[0]
    following, compared = machine.context_runner.incremental(), 0

    def checked(indices: np.ndarray, number: int) -> np.ndarray:
        nonlocal compared
        got = following(indices, number)
        one, coded = machine.table.passes[number], np.zeros(indices.shape[1:], bool)
        for y, x in one.coded:
            coded[y::2, x::2] = True
        depth = np.where(coded, one.after[:, None, None], one.before[:, None, None])
        want = decoder.classes_of(indices.astype(int), depth.astype(int), coded, number, weights)
        for row in range(len(want)):
            assert np.array_equal(got[row], gather(want[row][one.channels], one.lattices))
        compared += got.size
        return got

    coder = machine.layer_coder.with_context_classes(checked)
    coder.layer(level, before, Reading(new_decoder(parsed.layers[level].payload)))
    return compared
