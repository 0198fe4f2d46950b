"""Memory within the documented bound, and pictures of extreme shapes.

Peak resident memory is that of a whole `sic` process, as the kernel counts it. The bound stands in
docs/trust.md: 1.2 GB and 12 bytes per pixel.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sic_cli.codec.bitstream.reader import parse
from sic_cli.codec.decode import decode, decode_indices
from sic_cli.codec.encode import encode
from sic_cli.codec.engine import engine
from sic_cli.codec.inference import tiles, transforms
from sic_cli.codec.weights.locate import find
from tests.conftest import ROOT, run_main
from tests.tiny import made_picture
from tests.trust.appetite import AT_ONCE
from tests.trust.campaign import Run, trial

BASE_BYTES, BYTES_PER_PIXEL = 1.2e9, 12
MEGAPIXELS = {"PR": (1,), "N": (1, 4, 12), "R": (1, 4, 12, 24, 50, 100, 177)}
PHOTO = ROOT / "tests" / "pictures" / "parrots.png"


def large_picture(megapixels: float) -> np.ndarray:
    """A photograph mirrored until it has about that many pixels, 4 wide to 3 high."""
    photo = np.asarray(Image.open(PHOTO).convert("RGB"))
    pair = np.concatenate([photo, photo[:, ::-1]], axis=1)
    block = np.concatenate([pair, pair[::-1]])
    height = int((megapixels * 1e6 * 3 / 4) ** 0.5)
    width = height * 4 // 3
    times = (-(-height // block.shape[0]), -(-width // block.shape[1]), 1)
    return np.ascontiguousarray(np.tile(block, times)[:height, :width])


def peak_bytes(*arguments: str) -> tuple[int, float]:
    """Peak resident bytes and seconds of one `sic` process. Raises if it fails."""
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "sic_cli", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.stderr is not None
    error = process.stderr.read().decode()
    process.stderr.close()
    assert process.returncode == 0, error[-300:]
    unit = 1 if sys.platform == "darwin" else 1024
    return usage.ru_maxrss * unit, time.perf_counter() - start


@trial("T10", "peak memory of encode and decode: at most 1.2 GB and 12 bytes per pixel", 6)
def peak_memory(run: Run) -> None:
    if not hasattr(os, "wait4"):
        run.not_run("peak memory of a process: this system does not tell it")
        return
    for megapixels in MEGAPIXELS[run.scale]:
        picture = large_picture(megapixels)
        pixels = picture.shape[0] * picture.shape[1]
        bound = BASE_BYTES + BYTES_PER_PIXEL * pixels
        with TemporaryDirectory() as folder:
            source, coded, back = (str(Path(folder, n)) for n in ("a.png", "a.sic", "b.png"))
            Image.fromarray(picture).save(source, compress_level=1)
            del picture
            for name, arguments in (
                ("encode", ["encode", source, "-o", coded, "--threads", "1", "-d", "cpu"]),
                ("decode", ["decode", coded, "-o", back, "--threads", "1", "-d", "cpu"]),
            ):
                with run.case(f"{name}, {pixels / 1e6:.1f} megapixels"):
                    peak, seconds = peak_bytes(*arguments)
                    run.note(
                        f"{name} {pixels / 1e6:.1f} MP: {peak / 1e9:.2f} GB of {bound / 1e9:.2f} GB, "
                        f"{seconds:.0f} s on one thread"
                    )
                    assert peak <= bound, f"{peak / 1e9:.2f} GB, allowed are {bound / 1e9:.2f} GB"


MOST_FOR_PICTURES, BESIDE = 16.5, 4
"""Bytes per pixel that reading or writing a picture file may take: at 178 megapixels, with 0.4 GB for
the process, that is the bound. And as many for what does not grow: 4 MB in a picture of a megapixel."""


@trial("T10d", "reading and writing any kind of picture, transparent ones too, within the bound", 6)
def pictures_in_memory(run: Run) -> None:
    if platform.libc_ver()[0] != "glibc":
        run.not_run("what a part of a process takes at most: Linux with glibc only")
        return
    done = subprocess.run(
        [sys.executable, "-m", "tests.trust.appetite"],
        cwd=ROOT,
        env={**os.environ, **AT_ONCE, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-300:]
    told = [json.loads(line) for line in done.stdout.splitlines()]
    for found in told:
        with run.case(found["way"]):
            taken = found["bytes_per_pixel"]
            assert taken <= MOST_FOR_PICTURES + BESIDE, taken
    most = max(told, key=lambda found: float(found["bytes_per_pixel"]))
    run.note(f"most: {most['way']}, {most['bytes_per_pixel']} bytes per pixel")
    with run.case("the measure has power: what cannot be less than pixels and picture is not"):
        assert all(f["bytes_per_pixel"] >= 7 for f in told if "RGB" in f["way"]), told


@trial("T10b", "quick commands run in 200 MB of address space, on files and on pipes", 6)
def little_address_space(run: Run) -> None:
    """Limits are no reservations: a short file must not ask for what the largest one would take."""
    if sys.platform != "linux":
        run.not_run("limits of address space: Linux only")
        return
    data = (ROOT / "tests" / "golden" / "good" / "tiny-made.sic").read_bytes()
    with TemporaryDirectory() as folder:
        source = Path(folder, "a.sic")
        source.write_bytes(data)
        for name in (str(source), "-"):
            for arguments in (
                ["info", name],
                ["verify", name],
                ["truncate", name, "-l", "1", "-o", "-"],
            ):
                with run.case(" ".join(arguments)):
                    done = subprocess.run(
                        [sys.executable, "-m", "sic_cli", *arguments],
                        env={**os.environ, "PYTHONPATH": str(ROOT)},
                        input=data,
                        capture_output=True,
                        preexec_fn=_limit_address_space,
                    )
                    assert done.returncode == 0, done.stderr.decode()[-200:]


def _limit_address_space() -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (200_000_000, 200_000_000))


ALLOCATING = ("zeros", "empty", "zeros_like", "concatenate", "pad", "array", "ascontiguousarray")
"""Functions of numpy through which encoding and decoding take memory."""


@trial(
    "T10c",
    "an allocation that fails: exit 7, one sentence, no output, and the next run works",
    6,
    7,
)
def failing_allocations(run: Run) -> None:
    with TemporaryDirectory() as folder:
        source, coded, back = (str(Path(folder, n)) for n in ("a.png", "a.sic", "b.png"))
        Image.fromarray(made_picture(40, 50, 3)).save(source)
        for arguments, output in (
            (["encode", source, "-o", coded, "-m", "tiny", "-d", "cpu", "-f"], coded),
            (["decode", coded, "-o", back, "-d", "cpu", "-f"], back),
        ):
            assert run_main(*arguments).code == 0  # weights are loaded, the file is there
            whole, count = Path(output).read_bytes(), _count(arguments)
            run.note(f"{arguments[0]}: {count} allocations")
            chosen = range(1, count + 1)
            if run.scale != "R":
                few = min(count, run.times(12, 60, count))
                chosen = sorted(run.rng.choice(count, few, replace=False) + 1)
            for when in chosen:
                with run.case(f"{arguments[0]}, allocation {when}"):
                    Path(output).unlink()
                    with _failing(int(when)):
                        got = run_main(*arguments)
                    assert got.code == 7 and got.err.count("\n") <= 2, (got.code, got.err)
                    assert "memory" in got.err and not Path(output).exists()
                    assert run_main(*arguments).code == 0 and Path(output).read_bytes() == whole


@contextmanager
def _failing(when: int) -> Iterator[list[int]]:
    """The `when`-th allocation raises MemoryError; 0: none does, they are counted."""
    calls = [0]

    def watched(real: Any) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            calls[0] += 1
            if calls[0] == when:
                raise MemoryError("Unable to allocate")
            return real(*arguments, **named)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in ALLOCATING:
            patch.setattr(np, name, watched(getattr(np, name)))
        yield calls


def _count(arguments: list[str]) -> int:
    with _failing(0) as calls:
        assert run_main(*arguments).code == 0
    return calls[0]


SHAPES = {
    "PR": [(1, 32768), (32768, 1), (17, 4001)],
    "N": [(1, 65535), (65535, 1), (17, 40_001), (2000, 2000)],
    "R": [(1, 65535), (65535, 1), (3, 65535), (2000, 2000), (5000, 5000), (9000, 9000)],
}
LONG = (1300, 40)
"""A shape with seams also where strips must be long, as those of a trained release must."""


@trial("T11", "extreme shapes and sizes go round; the size of strips changes nothing", 1, 2, 4)
def extreme_shapes(run: Run) -> None:
    base = made_picture(64, 64, 8)
    seams = 0
    for name, (height, width) in (*(("tiny", s) for s in SHAPES[run.scale]), ("sic-5", LONG)):
        times = (-(-height // 64), -(-width // 64), 1)
        pixels = np.ascontiguousarray(np.tile(base, times)[:height, :width])
        with run.case(f"{name}, {width}x{height}"):
            seams += _shape(run, name, pixels)
    with run.case(f"{seams} seams: the test has power"):
        assert seams >= 3


def _shape(run: Run, name: str, pixels: np.ndarray) -> int:
    """One shape there and back, at two sizes of strips; how many seams there were."""
    card = find(name)
    machine = engine(card)
    parsed = parse(encode(pixels, card))
    indices, level, fault = decode_indices(machine, parsed, parsed.level)
    assert (level, fault) == (card.config.levels, None)
    assert np.array_equal(indices, machine.quantise(machine.analyse(pixels)))
    whole = decode(parsed).pixels
    assert whole.shape == pixels.shape
    before = tiles.STRIP_LATENTS, tiles.PAINTED_LATENTS, transforms.HEAD_POSITIONS
    try:
        rows, across = indices.shape[1:]
        most = max(2, rows * across // 4)
        tiles.STRIP_LATENTS, tiles.PAINTED_LATENTS, transforms.HEAD_POSITIONS = (
            int(v) for v in run.rng.integers(1, most, 3)
        )
        far = np.abs(decode(parsed).pixels.astype(np.int16) - whole)
        assert far.max() <= 1 and (far > 0).mean() < 1e-3, int(far.max())
        other = machine.quantise(machine.analyse(pixels)) != indices
        assert other.mean() < 1e-3, f"{other.mean():.1%} of the indices depend on the strips"
        return sum(1 for _ in tiles.strips(rows, across, transforms.halo(card.config))) - 1
    finally:
        tiles.STRIP_LATENTS, tiles.PAINTED_LATENTS, transforms.HEAD_POSITIONS = before
