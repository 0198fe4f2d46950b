"""No float between bytes and table index: looked for at run time in every tensor.

The context network carries whole numbers in float32, which is exact below 2**24. Every tensor that is
computed while golden files decode is a whole number of 128th or 512th parts, which is as exact, and a
float64 carrier gives the same. Controls make sure that a float would be seen. The source is looked
through in `source.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from sic_cli.bitstream.reader import Parsed, parse
from sic_cli.codec.decode import decode_cells, file_engine
from sic_cli.codec.engine import Engine
from sic_cli.codec.walk import Reading, Walk, digest
from sic_cli.entropy import new_decoder
from sic_cli.entropy.tables import FrequencyTable
from sic_cli.model import context
from sic_cli.model.exact import RANGES, exact, largest_sums
from tests.trust.campaign import Run, trial
from tests.trust.goldens_at_hand import good

EXACT = 2**24
FRACTIONS = (128, 512)
"""Weights are divided by what their sums are divided by (`model.exact.scaled`). Below 2**24 of such parts
are exact."""


class WholeNumbers(TorchDispatchMode):
    """Raises as soon as torch computes a number that float32 need not hold exactly."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = 0

    def __torch_dispatch__(
        self, function: Any, types: Any, arguments: Any = (), named: Any = None
    ) -> Any:
        out = function(*arguments, **(named or {}))
        for tensor in out if isinstance(out, tuple | list) else (out,):
            if isinstance(tensor, Tensor) and tensor.is_floating_point() and tensor.numel():
                self.seen += tensor.numel()
                self._check(str(function), tensor)
        return out

    @staticmethod
    def _check(name: str, tensor: Tensor) -> None:
        if "empty" in name:
            return
        for parts in FRACTIONS:
            whole = tensor.to(torch.float64) * parts
            if torch.equal(whole, whole.floor()):
                break
        else:
            raise AssertionError(f"{name}: not whole")
        assert float(whole.abs().max()) < EXACT, f"{name}: beyond 2**24"


@dataclass(slots=True)
class OnlyIntegers:
    """A coder that also checks what it is asked: integer counts and integer tables."""

    inner: Reading

    def code(self, table: FrequencyTable, count: int, known: Any) -> Any:
        assert type(count) is int and table.weights.dtype == np.int64
        out = self.inner.code(table, count, known)
        assert out.dtype == np.int32
        return out


def watched(machine: Engine, parsed: Parsed) -> int:
    """Decode all layers under watch; -> how many numbers were looked at."""
    classes = machine.walk._classes

    def checked(*arguments: Any) -> Any:
        out = classes(*arguments)
        assert out.dtype == np.uint8 and arguments[0].dtype == np.int32
        return out

    true = machine.walk._table
    table = replace(true, unit=np.full_like(true.unit, np.nan))  # widths of cells decide nothing
    walk = Walk(table, machine.walk._tables, checked)
    shape = (machine.table.channels, -(-parsed.header.height // 16), -(-parsed.header.width // 16))
    cells, digests = np.zeros(shape, np.int32), 0
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the watch sees its own thread only
    try:
        with WholeNumbers() as watch:
            for layer in parsed.layers:
                coder = OnlyIntegers(Reading(new_decoder(layer.payload)))
                cells = walk.layer(layer.level, cells, coder)
                digests = digest(table, layer.level, cells, digests)
                assert digests == layer.digest, "other cells without the widths"
    finally:
        torch.set_num_threads(threads)
    return watch.seen


@trial("T14d", "every tensor between bytes and table index is whole and below 2**24", 4)
def no_float_at_run_time(run: Run) -> None:
    numbers = 0
    for name, data in good("tiny" if run.scale == "PR" else "").items():
        with run.case(name):
            parsed = parse(data)
            numbers += watched(file_engine(parsed, "cpu"), parsed)
    run.note(f"{numbers} numbers looked at")
    parsed = parse(good("tiny")["tiny-made.sic"])
    for what, break_it in CONTROLS.items():
        with (
            run.case(f"control: {what} is seen"),
            break_it(file_engine(parsed, "cpu")),
            pytest.raises(AssertionError, match=r"not whole|beyond"),
        ):
            watched(file_engine(parsed, "cpu"), parsed)


@contextmanager
def _changed(machine: Engine, name: str, change: Callable[[Any], Any]) -> Iterator[None]:
    """One attribute of the context runner is another."""
    runner: Any = machine.walk._classes.__self__  # type: ignore[attr-defined]
    whole = getattr(runner, name)
    setattr(runner, name, change(whole))
    try:
        yield
    finally:
        setattr(runner, name, whole)


def _float_scale(machine: Engine) -> Any:
    return _changed(machine, "_weights", lambda w: replace(w, mid=tuple(m * 1.0001 for m in w.mid)))


def _float_weight(machine: Engine) -> Any:
    return _changed(machine, "_weights", lambda w: replace(w, entry_bias=w.entry_bias + 1e-3))


def _large_weight(machine: Engine) -> Any:
    return _changed(machine, "_exit_bias", lambda bias: bias + 2.0**24)


CONTROLS: dict[str, Callable[[Engine], Any]] = {
    "a scale that is no power of two": _float_scale,
    "a bias with a fraction": _float_weight,
    "a sum beyond 2**24": _large_weight,
}


def doubled(weights: context.ContextWeights, kind: torch.dtype) -> context.ContextWeights:
    """The same network in another carrier."""
    return context.ContextWeights(
        weights.entry.to(kind),
        weights.entry_bias.to(kind),
        tuple(w.to(kind) for w in weights.mid),
        tuple(w.to(kind) for w in weights.mid_bias),
        tuple(w.to(kind) for w in weights.back),
        weights.exit.to(kind),
        weights.exit_bias.to(kind),
    )


@trial("T14e", "a float64 carrier gives the same classes at every step of real files", 4)
def float64_carrier(run: Run) -> None:
    names = ["tiny-photo.sic", "sic-1-one-pixel.sic"] if run.scale == "PR" else list(good())
    compared = 0
    for name in names:
        parsed = parse(good()[name])
        machine = file_engine(parsed, "cpu")
        release, table = machine.release, machine.table
        wide = doubled(release.context, torch.float64)
        cells: np.ndarray = np.zeros((1,), np.int32)
        for level in range(0, parsed.level):
            cells = (
                decode_cells(machine, parsed, level)[0]
                if level
                else np.zeros(
                    (table.channels, -(-parsed.header.height // 16), -(-parsed.header.width // 16)),
                    np.int32,
                )
            )
            step = table.steps_of(level + 1)[0]
            with run.case(f"{name}, step {step}"):
                compared += _compare(machine, wide, cells, step)
    for name in ("tiny-made.sic", "sic-1-made.sic"):
        machine = file_engine(parse(good()[name]), "cpu")
        with run.case(f"{name}: largest sum of its network"):
            largest = max(largest_sums(machine.release.context).values())
            assert largest < EXACT
            run.note(f"{name}: no sum can exceed {largest} of {EXACT}")
    run.note(f"{compared} classes compared")


def _compare(machine: Engine, wide: context.ContextWeights, cells: np.ndarray, step: int) -> int:
    release, table = machine.release, machine.table
    channels = np.flatnonzero(table.steps[step + 1] > table.steps[step])
    got = machine.walk._classes(cells, step, channels)
    with exact():
        now = torch.from_numpy(cells).to(torch.float64)[None]
        octave = torch.from_numpy(table.steps[step]).to(torch.float64)[None]
        seen = context.features(now, octave, release.reach.double(), release.logs.double())
        which = torch.tensor([step])
        logit = context.logits(wide, context.trunk(wide, seen, which), which)[0]
    whole = logit.to(torch.int64).numpy().reshape(3, table.channels, *cells.shape[1:])
    for row, kind in enumerate(RANGES):
        want = np.clip((whole[row][channels] >> 9) + kind.offset, 0, kind.count - 1)
        assert np.array_equal(got[row], want), f"kind {row} differs"
    return int(got.size)
