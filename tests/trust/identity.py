"""The same symbols whatever the machine: instruction sets, libraries, threads, strips, hostile hosts.

Settings that only a fresh process takes (environment variables) run `tests.trust.worker`; those that
a host program could have switched on in ours run here. Every worker first proves that its setting took
hold, as far as torch tells, and prints digests of operations, of symbols and of pixels.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

from sic_cli.bitstream.reader import parse
from sic_cli.codec import engine as engines
from sic_cli.codec import tiles
from sic_cli.codec.decode import decode, decode_cells, file_engine
from sic_cli.errors import ResourceError
from sic_cli.model import context, exact
from tests.conftest import ROOT
from tests.trust.campaign import Run, trial
from tests.trust.goldens_at_hand import good

ATEN = ("default", "avx2", "avx512")
ISA = ("SSE41", "AVX2", "AVX512_CORE", "AVX512_CORE_BF16", None)
FLAG_OF = {"avx2": "avx2", "avx512": "avx512f", "AVX2": "avx2", "AVX512_CORE": "avx512dq"}
FLAG_OF["AVX512_CORE_BF16"] = "avx512_bf16"


def processor_flags() -> set[str]:
    """What this processor can do, by the names of /proc/cpuinfo; empty if unknown."""
    try:
        with open("/proc/cpuinfo") as file:
            lines = [line for line in file if line.startswith("flags")]
        return set(lines[0].split(":")[1].split()) if lines else set()
    except OSError:
        return set()


def settings(scale: str) -> list[dict[str, str]]:
    """Environments to try. PR: what tests/cli/test_machines.py does not already do."""
    if scale == "PR":
        return [{"SIC_TRUST_MKLDNN": "0", "OMP_NUM_THREADS": "2"}]
    rows = []
    for aten, isa, threads in itertools.product(ATEN, ISA, ("1", "2", "8")):
        if scale == "N" and threads == "8" and isa is not None:
            continue
        row = {"ATEN_CPU_CAPABILITY": aten, "OMP_NUM_THREADS": threads}
        rows.append({**row, "ONEDNN_MAX_CPU_ISA": isa} if isa else row)
    for aten in ATEN:
        rows.append({"ATEN_CPU_CAPABILITY": aten, "SIC_TRUST_MKLDNN": "0"})
    rows += [
        {"MKL_CBWR": "COMPATIBLE"},
        {"MKL_DEBUG_CPU_TYPE": "5"},
        {"ONEDNN_DEFAULT_FPMATH_MODE": "BF16"},
        {"ONEDNN_DEFAULT_FPMATH_MODE": "ANY"},
        {"LC_ALL": "tr_TR.UTF-8", "TZ": "Pacific/Chatham", "PYTHONHASHSEED": "77"},
        {"PYTHONOPTIMIZE": "2"},
        {"SIC_TRUST_CHANNELS_LAST": "1"},
        {"OMP_DYNAMIC": "TRUE", "OMP_NUM_THREADS": "3", "OMP_SCHEDULE": "dynamic"},
    ]
    return rows


def known_here(setting: dict[str, str]) -> bool:
    """False if the processor lacks what a setting asks for: libraries then quietly take less."""
    flags = processor_flags()
    return all(FLAG_OF[v] in flags for v in setting.values() if v in FLAG_OF)


def worker(setting: dict[str, str], scale: str, python: str = sys.executable) -> dict[str, Any]:
    """What a process under this setting finds (tests/trust/worker.py)."""
    done = subprocess.run(
        [python, "-m", "tests.trust.worker", scale],
        env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE", **setting},  # waiting takes no time
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
        name = " ".join(f"{k}={v}" for k, v in setting.items())
        if not known_here(setting):
            run.not_run(f"{name}: this processor has no such instructions")
            continue
        facts = worker(setting, run.scale)
        seen.add(facts["capability"])
        for key in ("operations", "features", "symbols"):
            with run.case(f"{name}: {key}"):
                assert facts[key] == here[key], "differs from the process without the setting"
        with run.case(f"{name}: pixels"):
            most, share = far_apart(here["pixels"], facts["pixels"])
            assert most <= 1 and share < 1e-3, (most, share)
    run.note(f"instruction sets that torch reported: {', '.join(sorted(seen))}")
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


def symbols(prefix: str) -> str:
    """SHA-256 of all cells of all golden files at their highest level."""
    total = hashlib.sha256()
    for data in good(prefix).values():
        parsed = parse(data)
        cells, level, fault = decode_cells(file_engine(parsed, "cpu"), parsed, parsed.level)
        assert (level, fault) == (parsed.level, None), fault
        total.update(np.ascontiguousarray(cells, "<i4").tobytes())
    return total.hexdigest()


@contextlib.contextmanager
def _default_double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


@contextlib.contextmanager
def _precision() -> Iterator[None]:
    torch.set_float32_matmul_precision("medium")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision("highest")


@contextlib.contextmanager
def _flushed() -> Iterator[None]:
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


@contextlib.contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextlib.contextmanager
def _deterministic() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


HOSTS: dict[str, Callable[[], Any]] = {
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "inference mode": torch.inference_mode,
    "default dtype float64": _default_double,
    "matmul precision medium": _precision,
    "denormals flushed": _flushed,
    "deterministic algorithms": _deterministic,
    "oneDNN off": lambda: _without_onednn(),
    "NNPACK on, oneDNN off": lambda: _nnpack_alone(),
    "1 thread": lambda: _threads(1),
    "2 threads": lambda: _threads(2),
    "8 threads": lambda: _threads(8),
    "strips of 7 positions": lambda: _patched(exact, "STRIP_POSITIONS", 7),
    "strips of 100 positions": lambda: _patched(exact, "STRIP_POSITIONS", 100),
    "pixel strips of 20": lambda: _patched(tiles, "STRIP_LATENTS", 20),
    "numpy raises on every warning": lambda: np.errstate(divide="raise", invalid="raise"),
}


@contextlib.contextmanager
def _without_onednn() -> Iterator[None]:
    torch.backends.mkldnn.enabled = False
    try:
        yield
    finally:
        torch.backends.mkldnn.enabled = True


@contextlib.contextmanager
def _nnpack_alone() -> Iterator[None]:
    with _without_onednn(), torch.backends.nnpack.flags(enabled=True):
        yield


@contextlib.contextmanager
def _patched(module: Any, name: str, value: int) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, name, value)
        yield


@trial("T14b", "a host program that changes torch's settings changes no symbol", 4)
def hostile_hosts(run: Run) -> None:
    prefix = "tiny" if run.scale == "PR" else ""
    want = symbols(prefix)
    whole = {n: decode(parse(d)).pixels.astype(int) for n, d in good(prefix).items()}
    for name, host in HOSTS.items():
        with run.case(f"{name}: symbols"), host():
            assert symbols(prefix) == want

        with run.case(f"{name}: pixels"), host():
            for file, data in good(prefix).items():
                far = np.abs(decode(parse(data)).pixels - whole[file])
                assert far.max() <= 1 and (far > 0).mean() < 1e-3, (file, int(far.max()))
    with run.case("weights loaded under default dtype float64"):
        _loaded_as_double(prefix, want)
    with run.case("powers of two are exact for every lift"):
        feature_table()
    _controls(run)


def _loaded_as_double(prefix: str, want: str) -> None:
    """A host that works in float64 and uses sic for the first time: the carrier stays float32."""
    kept = dict(engines._ENGINES)
    engines._ENGINES.clear()
    try:
        with _default_double():
            assert symbols(prefix) == want
            for data in good(prefix).values():
                assert decode(parse(data)).pixels.dtype == np.uint8
    finally:
        engines._ENGINES.clear()
        engines._ENGINES.update(kept)


def feature_table() -> str:
    """Every value that `features` can make, against shifts of integers; -> their SHA-256."""
    cells = torch.arange(-300, 301, dtype=torch.float32)[None, None, None]
    total = hashlib.sha256()
    for lift in range(-12, 13):
        reach, octave = torch.tensor([float(lift + 5)]), torch.tensor([[5.0]])
        with exact.exact():
            got = context.features(cells, octave, reach, context.magnitude_logs())[0, :, 0]
        number = torch.arange(-300, 301)
        odd = 2 * number.abs().clamp_max(255) + 1
        shifted = (odd << lift if lift >= 0 else odd >> -lift).clamp_max(127)
        want = torch.where(number != 0, shifted * number.sign(), 0)
        assert torch.equal(got[0].to(torch.int64), want), f"lift {lift}"
        total.update(got.numpy().tobytes())
    return total.hexdigest()


def _controls(run: Run) -> None:
    """The tests above can fail, and the guard of the program does refuse."""
    with run.case("control: sums beyond 2**24 are not exact"):
        x = torch.full((1, 192, 9, 9), 255.0)
        w = torch.full((1, 192, 5, 5), 127.0)
        w[:, ::2] -= 1
        got = torch.nn.functional.conv2d(x, w)[0, 0, 0, 0].double().item()
        assert got != float((x[0, :, 0, 0].double() * w[0].double().sum((1, 2))).sum())
    with run.case("control: a machine that adds wrongly is refused"):
        real = torch.nn.functional.conv2d
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(torch.nn.functional, "conv2d", lambda *a, **k: real(*a, **k) + 1)
            exact.check_machine.cache_clear()
            with pytest.raises(ResourceError, match="exactly"):
                exact.check_machine()
        exact.check_machine.cache_clear()


@trial("T21", "CUDA and CPU decode to the same symbols", 4)
def cuda(run: Run) -> None:
    if not torch.cuda.is_available():
        run.not_run("CUDA: no GPU on this machine")
        return
    for name, data in good().items():
        parsed = parse(data)
        with run.case(name):
            on = {
                d: decode_cells(file_engine(parsed, d), parsed, parsed.level)[0]
                for d in ("cpu", "cuda")
            }
            assert np.array_equal(on["cpu"], on["cuda"])
            far = np.abs(decode(parsed).pixels.astype(int) - decode(parsed, device="cuda").pixels)
            assert far.max() <= 1 and (far > 0).mean() < 1e-3
