"""The same symbols whatever the machine: instruction sets, libraries, threads, strips, hostile hosts.

Settings that only a fresh process takes (`settings.py`) run `tests.trust.worker`; those that a host
program could have switched on in ours run here. Every worker proves that its setting took hold, and
prints digests of operations, of symbols and of pixels.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_limits

from sic_cli.codec import engine as engines
from sic_cli.codec.bitstream.reader import parse
from sic_cli.codec.decode import decode, decode_indices, file_engine
from sic_cli.codec.inference import (
    context,
    convolution,
    integer_network,
    parallel,
    tiles,
    transforms,
)
from sic_cli.codec.preview import coder as mean_colours
from sic_cli.errors import CheckError, ResourceError
from tests.conftest import ROOT
from tests.trust.campaign import Run, trial
from tests.trust.goldens_at_hand import good
from tests.trust.settings import KERNELS, missing, name_of, settings
from tests.trust.worker import library, proved, symbols


def worker(setting: dict[str, str], scale: str, python: str = sys.executable) -> dict[str, Any]:
    """What a process under this setting finds (tests/trust/worker.py)."""
    done = subprocess.run(
        [python, "-m", "tests.trust.worker", scale],
        env={**os.environ, **setting},
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr[-300:]
    facts: dict[str, Any] = json.loads(done.stdout)
    return facts


@trial("T14", "symbols and integer operations: the same under every setting of this machine", 4)
def identity(run: Run) -> None:
    here = worker({"OMP_NUM_THREADS": "1"}, run.scale)
    seen = {here["capability"]}
    for setting in settings(run.scale):
        name = name_of(setting)
        if lacking := missing(setting):
            run.not_run(f"{name}: {lacking}")
            continue
        if "OPENBLAS_CORETYPE" in setting and here["blas"] != "openblas":
            run.not_run(f"{name}: the library of this NumPy is {here['blas']}")
            continue
        with run.case(f"{name}: takes hold, computes whole numbers exactly"):
            facts = worker(setting, run.scale)
            seen.add(facts["capability"])
            for key in ("operations", "features", "symbols"):
                with run.case(f"{name}: {key}"):
                    assert facts[key] == here[key], "differs from the process without the setting"
            with run.case(f"{name}: pixels"):
                most, share = far_apart(here["pixels"], facts["pixels"])
                assert most <= 1 and share < 1e-3, (most, share)
    run.note(f"kernels of the library, and loops of NumPy: {', '.join(sorted(seen))}")
    with run.case("control: a setting that did not take hold is reported"):
        other = next(k for k, v in KERNELS.items() if library().get("architecture") not in v.names)
        with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit, match="took"):
            patch.setenv("OPENBLAS_CORETYPE", other)
            proved()
    if not torch.cuda.is_available():
        run.not_run("CUDA: no GPU on this machine")


def far_apart(a: dict[str, str], b: dict[str, str]) -> tuple[int, float]:
    """Largest difference of two sets of pictures, and the share of samples that differ."""
    most, differ, count = 0, 0, 0
    for name, text in a.items():
        one, two = (np.frombuffer(bytes.fromhex(t), np.uint8).astype(int) for t in (text, b[name]))
        far = np.abs(one - two)
        most, differ, count = (
            max(most, int(far.max())),
            differ + int((far > 0).sum()),
            count + len(far),
        )
    return most, differ / max(1, count)


@contextlib.contextmanager
def _default_double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


@contextlib.contextmanager
def _flushed() -> Iterator[None]:
    """Numbers below 2**-126 are taken as 0: a switch of the processor, in this thread and in those that
    it starts."""
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


ROUNDINGS = {"down": 0x400, "up": 0x800, "towards zero": 0xC00}
"""Of fenv.h on x86."""


@contextlib.contextmanager
def _rounding(how: str) -> Iterator[None]:
    """Another switch of the processor: what does not fit is rounded otherwise. Whole numbers fit."""
    library = ctypes.CDLL(None)
    assert library.fesetround(ROUNDINGS[how]) == 0
    try:
        yield
    finally:
        library.fesetround(0)


@contextlib.contextmanager
def _threads(count: int) -> Iterator[None]:
    """What `set_threads` says."""
    before = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setattr(parallel, "_CHOSEN", parallel._CHOSEN)
        parallel.set_threads(count)
        try:
            yield
        finally:
            torch.set_num_threads(before)


@contextlib.contextmanager
def _impatient() -> Iterator[None]:
    """Python goes from thread to thread as often as it can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with _threads(8):
            yield
    finally:
        sys.setswitchinterval(before)


@contextlib.contextmanager
def _buffers(size: int) -> Iterator[None]:
    """NumPy converts so many numbers at a time."""
    before = np.setbufsize(size)
    try:
        yield
    finally:
        np.setbufsize(before)


@contextlib.contextmanager
def _patched(module: Any, name: str, value: Any) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, name, value)
        yield


@contextlib.contextmanager
def _finely() -> Iterator[None]:
    with (
        _patched(parallel, "SMALL", 1),
        _patched(parallel, "BAND_ROWS", 1),
        _threads(2),
    ):
        yield


HOSTS: dict[str, Callable[[], Any]] = {
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "default dtype float64": _default_double,
    "denormals flushed": _flushed,
    "numpy raises on every warning": lambda: np.errstate(all="raise"),
    "numpy converts 16 numbers at a time": lambda: _buffers(16),
    "library told to use 1 thread": lambda: threadpool_limits(1),
    "library told to use 2 threads": lambda: threadpool_limits(2),
    "library told to use 8 threads": lambda: threadpool_limits(8),
    "1 thread": lambda: _threads(1),
    "2 threads": lambda: _threads(2),
    "8 threads": lambda: _threads(8),
    "8 threads that take turns": _impatient,
    "100 features at once": lambda: _patched(context, "FEATURE_NUMBERS", 100),
    "7 positions at once": lambda: _patched(context, "OUTPUT_POSITIONS", 7),
    "100 positions of layer 0 at once": lambda: _patched(mean_colours, "POSITIONS", 100),
    "bands of one row": _finely,
    "pixel strips of 20": lambda: _patched(tiles, "PAINTED_LATENTS", 20),
    "strips of 20 in the head": lambda: _patched(transforms, "HEAD_POSITIONS", 20),
}
ONLY_SYMBOLS: dict[str, Callable[[], Any]] = {
    f"rounding {how}": lambda how=how: _rounding(how)  # type: ignore[misc]
    for how in ROUNDINGS
    if sys.platform == "linux" and platform.machine() == "x86_64"
}
"""Hosts under which pixels may differ, as no float is then what it was."""


@trial("T14b", "a host program that changes NumPy, its library or torch changes no symbol", 4)
def hostile_hosts(run: Run) -> None:
    prefix = "tiny" if run.scale == "PR" else ""
    want = symbols(prefix)
    whole = {n: decode(parse(d)).pixels.astype(int) for n, d in good(prefix).items()}
    for name, host in {**HOSTS, **ONLY_SYMBOLS}.items():
        with run.case(f"{name}: symbols"), host():
            assert symbols(prefix) == want
        with run.case(f"{name}: symbols, by an engine made inside"), fresh_engines(), host():
            assert symbols(prefix) == want
        if name not in HOSTS:
            continue
        with run.case(f"{name}: pixels"), host():
            for file, data in good(prefix).items():
                far = np.abs(decode(parse(data)).pixels - whole[file])
                assert far.max() <= 1 and (far > 0).mean() < 1e-3, (file, int(far.max()))
    _controls(run)


@contextlib.contextmanager
def fresh_engines() -> Iterator[None]:
    """A host that uses sic for the first time: weights are loaded, the machine is checked."""
    kept = dict(engines._ENGINES)
    engines._ENGINES.clear()
    integer_network.check_machine.cache_clear()
    try:
        yield
    finally:
        engines._ENGINES.clear()
        engines._ENGINES.update(kept)


class Wrong:
    """NumPy on a machine that multiplies wrongly."""

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)

    @staticmethod
    def matmul(a: Any, b: Any, out: Any) -> None:
        np.matmul(a, b, out=out)
        out += 1


def _controls(run: Run) -> None:
    """The tests above can fail, and the guard of the program does refuse."""
    with run.case("control: sums beyond 2**24 are not exact"):
        a = np.full((1, 4801), 255.0, np.float32)
        b = np.full((4801, 1), 127.0, np.float32)
        assert int((a @ b)[0, 0]) != 255 * 127 * 4801  # which is odd
    with (
        run.case("control: a machine that adds wrongly is refused"),
        fresh_engines(),
        _patched(convolution, "np", Wrong()),
        pytest.raises(ResourceError, match="exactly"),
    ):
        symbols("tiny")
    with (
        run.case("control: wrong sums give other symbols"),
        fresh_engines(),
        _patched(convolution, "np", Wrong()),
        _patched(context, "check_machine", lambda: None),
        pytest.raises((CheckError, AssertionError)),
    ):
        symbols("tiny")
    if ONLY_SYMBOLS:
        with run.case("control: the rounding of this process can be changed"), _rounding("up"):
            ten = np.full(8, 10, np.float32)
            assert ((1 / ten) * ten > 1).all()
    with run.case("control: so can what it takes for 0"), _flushed():
        assert not (np.full(8, 2.0**-126, np.float32) / 2).any()


@trial("T21", "CUDA and CPU decode to the same symbols", 4)
def cuda(run: Run) -> None:
    if not torch.cuda.is_available():
        run.not_run("CUDA: no GPU on this machine")
        return
    for name, data in good().items():
        parsed = parse(data)
        with run.case(name):
            on = {
                d: decode_indices(file_engine(parsed, d), parsed, parsed.level)[0]
                for d in ("cpu", "cuda")
            }
            assert np.array_equal(on["cpu"], on["cuda"])
            far = np.abs(decode(parsed).pixels.astype(int) - decode(parsed, device="cuda").pixels)
            assert far.max() <= 1 and (far > 0).mean() < 1e-3
