"""One process of the identity matrix: `python -m tests.trust.worker SCALE` prints digests as JSON.

Its environment is the setting under test. It ends with an error where a setting did not take hold. The
numbers of `operations` are made, checked and hashed with integers, so that any machine gives the same.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
import sys
from contextlib import nullcontext
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_info

from sic_cli.codec.bitstream.reader import parse
from sic_cli.codec.decode import decode, decode_indices, file_engine
from sic_cli.codec.entropy import coder_name
from sic_cli.codec.inference.convolution import convolved, kernel
from sic_cli.codec.inference.integer_network import (
    FEATURE_MAX,
    MAGNITUDES,
    check_machine,
    feature_table,
)
from sic_cli.codec.inference.parallel import single_threaded_blas, threads
from tests.trust.goldens_at_hand import good
from tests.trust.settings import DISPATCH, KERNELS, cores, loops

EXACT = 2**24
SIZES = (1, 2, 3, 7, 8, 16, 31, 64, 96, 128, 257, 512)
PARTS = (1.0, 2.0**-7, 2.0**-9)
"""Weights are divided by these powers of two (`exact.scaled`)."""
LIFTS = range(-40, 41)
"""Depths by which features are shifted; those of the releases are fewer."""

Whole = NDArray[np.int64]


def operations(count: int) -> str:
    """SHA-256 over `count` rounds of what the context network does with floats, each checked against
    64-bit integers: with one thread of the library, as sic has it, and with all of its threads."""
    rng, total = np.random.default_rng(11), hashlib.sha256()
    for index in range(count):
        with (single_threaded_blas, nullcontext)[index % 2]():
            for made in (products(rng), convolution(rng), after(rng)):
                total.update(np.ascontiguousarray(made, "<i8").tobytes())
    return total.hexdigest()


def held(what: str, got: np.ndarray, want: Whole, part: float = 1.0) -> Whole:
    """`want`, if that is what was computed."""
    if got.dtype != np.float32 or not np.array_equal(got.astype(np.float64), want * part):
        raise SystemExit(f"inexact: {what}")
    return want


def products(rng: np.random.Generator) -> Whole:
    """A product of matrices in each layout that `codec.inference.integer_network` and `codec.inference.convolution` ask for."""
    rows, inner, columns = (int(rng.choice(SIZES)) for _ in range(3))
    most = int(min(127, (EXACT - 1) // (255 * inner)))
    a = rng.integers(int(rng.choice([-FEATURE_MAX, 0])), 256, (rows, inner))
    b = rng.integers(-most, most + 1, (inner, columns))
    part = float(rng.choice(PARTS))
    want, shape = a @ b, f"{rows}x{inner} by {inner}x{columns}"
    one, two = a.astype(np.float32), b.astype(np.float32) * np.float32(part)
    turned, back = np.ascontiguousarray(one.T).T, np.ascontiguousarray(two.T).T
    wide = np.zeros((rows + 2, inner), np.float32)
    wide[1:-1] = one
    pairs = {
        "rows by rows": (one, two),
        "columns by rows (entry)": (turned, two),
        "rows by columns (exit)": (one, back),
        "columns by columns": (turned, back),
        "part of a larger array (taps)": (wide[1:-1], two),
    }
    for name, (left, right) in pairs.items():
        out = np.full(want.shape, np.nan, np.float32)
        held(f"{name}, {shape}", np.matmul(left, right, out=out), want, part)
        held(f"{name}, {shape}, @", left @ right, want, part)
    return want


def convolution(rng: np.random.Generator) -> Whole:
    """`convolved` for a random shape, in one piece or two, against sums of windows."""
    height, across = (int(v) for v in rng.integers(1, 40, 2))
    inputs, outputs = (int(rng.choice([1, 3, 8, 64, 96])) for _ in range(2))
    most = int(min(127, (EXACT - 1) // (255 * inputs * 9)))
    x = rng.integers(-300, 600, (height, across, inputs))
    w = rng.integers(-most, most + 1, (outputs, inputs, 3, 3))
    part = float(rng.choice(PARTS))
    by = kernel(w.astype(np.float32) * np.float32(part))
    middle = int(rng.integers(0, height + 1))
    pieces = []
    for rows in (slice(0, middle), slice(middle, height)):
        made = convolved(x.astype(np.float32), by, rows, most=255)
        pieces += [total.copy() for _, total in made]
    padded = np.pad(np.clip(x, 0, 255), ((1, 1), (1, 1), (0, 0)))
    want = np.zeros((height * across, outputs), np.int64)
    for i in range(3):
        for j in range(3):
            window = padded[i : i + height, j : j + across].reshape(-1, inputs)
            want += window @ w[:, :, i, j].T
    what = f"convolution {inputs}->{outputs} of {height}x{across} in {len(pieces)} pieces"
    return held(what, np.concatenate(pieces), want, part)


def after(rng: np.random.Generator) -> Whole:
    """What follows a sum: bias, rounding down, clipping; and a class in 8 bits."""
    count = int(rng.integers(1, 300))
    sums = rng.integers(-EXACT + 1, EXACT, count) // int(rng.choice([1, 64, 4096]))
    x = sums.astype(np.float32) * np.float32(2.0**-7)
    x += np.float32(0.5)
    held("a shift by 7, rounded", np.floor(x[:: 1 + count % 2]), (sums + 64 >> 7)[:: 1 + count % 2])
    want = held("rounding", np.floor(x), sums + 64 >> 7)
    held("clipping", np.clip(np.floor(x), 0, 255), np.clip(want, 0, 255))
    place = sums.astype(np.float32) * np.float32(2.0**-9)
    np.clip(place, 0, 56 - 2.0**-9, out=place)
    classes = np.empty(count, np.uint8)
    np.copyto(classes, place, casting="unsafe")
    if not np.array_equal(classes, np.clip(sums >> 9, 0, 55)):
        raise SystemExit(f"inexact: classes of {count} sums")
    return np.concatenate([want, classes])


def library() -> dict[str, Any]:
    """The BLAS that NumPy computes with; {} where threadpoolctl knows none."""
    found = [lib for lib in threadpool_info() if lib["user_api"] == "blas"]
    return found[0] if found else {}


def kernels() -> str:
    """What multiplies matrices here, and the instruction sets for which NumPy has loops: `Haswell X86_V3`."""
    return f"{library().get('architecture', 'unknown')} {'+'.join(loops()[0]) or 'plain'}"


def proved() -> None:
    """Raises SystemExit where a setting of the environment did not take hold."""
    told, blas = os.environ, library()
    if kernel_name := told.get("OPENBLAS_CORETYPE"):
        took = blas.get("architecture")
        if took not in KERNELS[kernel_name].names:
            raise SystemExit(f"OPENBLAS_CORETYPE={kernel_name}: the library took {took}")
    if (count := told.get("OPENBLAS_NUM_THREADS")) and blas:
        here = min(int(count), cores())  # the library starts no more
        if blas["num_threads"] != here:
            raise SystemExit(f"OPENBLAS_NUM_THREADS={count}: {blas['num_threads']} threads")
    if (count := told.get("OMP_NUM_THREADS")) and threads() != int(count):
        raise SystemExit(f"OMP_NUM_THREADS={count}: {threads()} threads")
    for name in told.get(DISPATCH, "").split():
        if name in loops()[0]:
            raise SystemExit(f"{DISPATCH}: {name} is still used")
    if told.get("PYTHONOPTIMIZE", "0") != str(sys.flags.optimize):
        raise SystemExit("PYTHONOPTIMIZE was not taken")
    if "torch" in sys.modules:
        raise SystemExit("torch is loaded")


def symbols(prefix: str) -> str:
    """SHA-256 of all indices of all golden files at their highest level."""
    total = hashlib.sha256()
    for data in good(prefix).values():
        parsed = parse(data)
        indices, level, fault = decode_indices(file_engine(parsed, "cpu"), parsed, parsed.level)
        assert (level, fault) == (parsed.level, None), fault
        total.update(np.ascontiguousarray(indices, "<i4").tobytes())
    return total.hexdigest()


def features() -> str:
    """Every value that the table of features can hold, against Python's own whole numbers; -> SHA-256."""
    logs = np.array([round(16 * math.log2(2 * m + 1)) for m in range(MAGNITUDES)], np.int32)
    lifts = np.array(LIFTS, np.int32)
    indices = np.arange(1 - MAGNITUDES, MAGNITUDES)
    made = feature_table(lifts + 5, np.full_like(lifts, 5), logs, indices).transpose(2, 0, 1)
    want = np.zeros((2, len(lifts), 2 * MAGNITUDES - 1), np.int64)
    for row, lift in enumerate(LIFTS):
        for m in range(1, MAGNITUDES):
            odd = 2 * m + 1
            value = min(127, odd << lift if lift >= 0 else odd >> -lift)
            log = min(127, max(1, int(logs[m]) + 16 * lift))
            at = MAGNITUDES - 1
            want[0, row, [at + m, at - m]] = value, -value
            want[1, row, [at + m, at - m]] = log
    for got, numbers in zip(made, want, strict=True):
        held("features", got, numbers)
    return hashlib.sha256(np.ascontiguousarray(want, "<i8").tobytes()).hexdigest()


def main() -> None:
    scale = sys.argv[1]
    prefix = "tiny" if scale == "PR" else ""
    check_machine()
    facts = {
        "versions": {
            "Python": platform.python_version(),
            "numpy": np.__version__,
            "coder": coder_name(),
        },
        "blas": library().get("internal_api", "unknown"),
        "capability": kernels(),
        "threads": threads(),
        "operations": operations({"PR": 24, "N": 200, "R": 3000}[scale]),
        "features": features(),
        "symbols": symbols(prefix),
        "pixels": {n: decode(parse(d)).pixels.tobytes().hex() for n, d in good(prefix).items()},
    }
    proved()
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
