"""Times and memory on a 768x512 picture: whole processes, and inside one after the weights are loaded.

python benchmarks/speed.py [PICTURE] [--threads N]
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
PICTURE = HERE.parent / "tests" / "pictures" / "parrots.png"


def median_ms(work: Callable[[], object], runs: int) -> tuple[float, float]:
    """Median and spread in milliseconds, after one run to warm up."""
    work()
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        times.append((time.perf_counter() - start) * 1000)
    return statistics.median(times), max(times) - min(times)


def whole_process(*arguments: str) -> tuple[float, float]:
    """Milliseconds and peak MiB of one `sic` process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "sic_cli", *arguments], check=True, capture_output=True)
    taken = (time.perf_counter() - start) * 1000
    return taken, max(before, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) / 1024


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("picture", nargs="?", type=Path, default=PICTURE)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--runs", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        coded, cut, out = f"{folder}/a.sic", f"{folder}/b.sic", f"{folder}/a.png"
        rows = [
            ("sic --help, process", *whole_process("--help")),
            ("sic encode, process", *whole_process("encode", str(options.picture), "-o", coded)),
            ("sic info, process", *whole_process("info", coded)),
            ("sic truncate, process", *whole_process("truncate", coded, "-o", cut, "-l", "6")),
            ("sic decode, process", *whole_process("decode", coded, "-o", out)),
        ]
        print(f"{'whole process':<34} {'ms':>8} {'peak MiB so far':>16}")
        for name, taken, memory in rows:
            print(f"{name:<34} {taken:>8.0f} {memory:>16.0f}")
        inside(options, Path(coded))


def inside(options: argparse.Namespace, coded: Path) -> None:
    """Times after load."""
    import numpy as np
    import torch

    from sic_cli.bitstream.reader import parse
    from sic_cli.codec.decode import decode, decode_cells
    from sic_cli.codec.encode import encode
    from sic_cli.codec.engine import engine
    from sic_cli.entropy import coder_name
    from sic_cli.picture.load import load
    from sic_cli.release.locate import find

    if options.threads:
        torch.set_num_threads(options.threads)
    picture = load(options.picture.read_bytes(), "picture", 65535, 178_000_000)
    card, parsed = find(), parse(coded.read_bytes())
    machine = engine(card)
    cells, _, _ = decode_cells(machine, parsed, parsed.level)
    placed = machine.place(cells, parsed.level, "mean", 0)
    height, width = picture.pixels.shape[:2]
    zero = np.zeros_like(cells)
    last = len(machine.table.step_level) - 1
    channels = np.flatnonzero(machine.table.steps[last + 1] > machine.table.steps[last])
    rows: list[tuple[str, Callable[[], object]]] = [
        ("encode, all levels", lambda: encode(picture.pixels, card)),
        ("decode, level 16", lambda: decode(parsed)),
        ("decode, level 6", lambda: decode(parsed, level=6)),
        ("  analysis", lambda: machine.analyse(picture.pixels)),
        ("  symbols of 16 levels", lambda: decode_cells(machine, parsed, parsed.level)),
        (
            "  one context step",
            lambda: machine.release and machine.walk._classes(zero, last, channels),
        ),
        ("  synthesis", lambda: machine.synthesise(placed, parsed.level, height, width)),
    ]
    print(
        f"\nafter load, {width}x{height}, {torch.get_num_threads()} threads, coder {coder_name()}"
    )
    print(f"{'':<34} {'median ms':>10} {'spread':>8}")
    for name, work in rows:
        median, spread = median_ms(work, options.runs)
        print(f"{name:<34} {median:>10.1f} {spread:>8.1f}")


if __name__ == "__main__":
    main()
