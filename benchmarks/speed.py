"""The times of the speed issue in one table: whole processes, inside one after load, and peers.

    python benchmarks/speed.py [PICTURES] [--threads N] [--runs N] [--large MEGAPIXELS] [--quick]

Medians and spreads (slowest less fastest) in milliseconds, of the wall and of the processor: on a
busy machine only the latter means anything. Peers run between our own runs, picture by picture, so
that ratios are of the same minute. PICTURES: a folder of 768x512 pictures, such as Kodak.
"""

from __future__ import annotations

import argparse
import io
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "tests" / "pictures" / "parrots.png"
KODAK = ROOT.parent / "shared" / "data" / "kodak"


@dataclass(slots=True)
class Times:
    """Wall and processor milliseconds of runs of one thing."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def add(self, work: Callable[[], object], children: bool = False) -> None:
        """Run once and note."""
        who = resource.RUSAGE_CHILDREN if children else resource.RUSAGE_SELF
        before, start = resource.getrusage(who), time.perf_counter()
        work()
        self.wall.append((time.perf_counter() - start) * 1000)
        after = resource.getrusage(who)
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        self.cpu.append(used * 1000)

    @property
    def median(self) -> float:
        return statistics.median(self.wall)


def line(name: str, times: Times, must: str = "", aim: str = "") -> None:
    """One row of the table."""
    spread = max(times.wall) - min(times.wall)
    print(
        f"{name:<44} {times.median:>9.1f} {spread:>8.1f} {statistics.median(times.cpu):>9.1f} "
        f"{min(times.cpu):>9.1f} {must:>9} {aim:>8}",
        flush=True,
    )


def head(text: str) -> None:
    print(f"\n{text}")
    print(
        f"{'ms':<44} {'wall':>9} {'spread':>8} {'CPU':>9} {'least CPU':>9} {'must':>9} {'aim':>8}"
    )


def timed(work: Callable[[], object], runs: int, children: bool = False) -> Times:
    times = Times()
    work()
    for _ in range(runs):
        times.add(work, children)
    return times


def process(*arguments: str) -> Callable[[], object]:
    """A whole Python process with these arguments."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, *arguments]
    return lambda: subprocess.run(command, check=True, capture_output=True, env=environment)


def processes(picture: Path, runs: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        coded, cut, out = f"{folder}/a.sic", f"{folder}/b.sic", f"{folder}/a.png"
        sic = ("-m", "sic_cli")
        encode = ("encode", str(picture), "-o", coded, "-f")
        head("whole processes, 768x512")
        line("python -c pass", timed(process("-c", "pass"), runs, True))
        torch_alone = timed(process("-c", "import torch"), runs, True)
        line("python -c 'import torch'", torch_alone)
        line("sic --help", timed(process(*sic, "--help"), runs, True), "300", "150")
        line("sic encode, 16 levels", timed(process(*sic, *encode), runs, True))
        line("sic info", timed(process(*sic, "info", coded), runs, True), "200", "150")
        shorten = ("truncate", coded, "-o", cut, "-l", "6", "-f")
        line("sic truncate", timed(process(*sic, *shorten), runs, True), "200", "150")
        show = timed(process(*sic, "decode", coded, "-o", out, "-f"), runs, True)
        line("sic decode, level 16", show, "+800", "+300")
        print(f"  behind the import of torch: {show.median - torch_alone.median:.0f} ms")


def inside(picture: Path, runs: int) -> None:
    import numpy as np
    from PIL import Image

    from sic_cli.codec.bitstream.reader import parse
    from sic_cli.codec.decode import decode, decode_indices
    from sic_cli.codec.encode import encode
    from sic_cli.codec.engine import engine
    from sic_cli.codec.entropy import coder_name
    from sic_cli.codec.inference.parallel import threads
    from sic_cli.codec.quantization.dead_zone import Indices, at_depths
    from sic_cli.codec.quantization.passes import gather, scatter
    from sic_cli.codec.weights.locate import find

    pixels = np.array(Image.open(picture).convert("RGB"))
    card = find()
    parsed, machine = parse(encode(pixels, card)), engine(card)
    height, width = pixels.shape[:2]
    indices, table = decode_indices(machine, parsed, parsed.level)[0], machine.table
    before, known = list[Indices](), at_depths(indices, table, table.start)
    for one in table.passes:
        before.append(known.copy())
        behind = gather(at_depths(indices, table, one.after, one.channels), one.lattices)
        planes = known[one.channels]
        scatter(behind, planes, one.lattices)
        known[one.channels] = planes

    def context() -> None:
        classes = machine.context_runner.incremental()
        for number, state in enumerate(before):
            classes(state, number)

    head(f"after load, {width}x{height}, {threads()} threads, coder {coder_name()}")
    line("encode, 16 levels", timed(lambda: encode(pixels, card), runs), "250", "80")
    whole = timed(lambda: decode(parsed), runs)
    line("decode, level 16", whole, "150", "50")
    line("decode, level 6", timed(lambda: decode(parsed, level=6), runs))
    line("  analysis", timed(lambda: machine.analyse(pixels), runs))
    symbols = timed(lambda: decode_indices(machine, parsed, parsed.level), runs)
    line("  symbols of 16 levels", symbols)
    network = timed(context, runs)
    line(f"    of these the context network, {len(before)} passes", network)
    size = (height, width)
    line("  picture", timed(lambda: machine.picture(indices, parsed.level, *size), runs))
    share = 1 - min(network.cpu) / min(symbols.cpu)
    entropy = share * min(symbols.cpu) / min(whole.cpu)
    print(f"  layer coder and entropy coding: {entropy:.0%} of decoding (must 15 %, aim 8 %)")


def against_peers(folder: Path, count: int) -> None:
    """Pictures per second, side by side. AVIF through Pillow at speed 6, the hyperprior untrained."""
    import numpy as np
    from hyperprior import Hyperprior
    from PIL import Image, features

    from sic_cli.codec.bitstream.reader import parse
    from sic_cli.codec.decode import decode
    from sic_cli.codec.encode import encode
    from sic_cli.codec.inference.parallel import threads
    from sic_cli.codec.weights.locate import find

    card, peer = find(), Hyperprior()
    paths = sorted(folder.glob("*.png"))[:count] or [PICTURE]
    names = ("sic encode", "sic decode", "hyperprior encode", "hyperprior decode")
    times = {name: Times() for name in (*names, "AVIF encode", "AVIF decode")}
    avif = features.check("avif")

    def one(picture: Image.Image, times: dict[str, Times]) -> None:
        pixels, file = np.array(picture), io.BytesIO()

        def note(name: str, work: Callable[[], Any]) -> Any:
            made: list[Any] = []
            times[name].add(lambda: made.append(work()))
            return made[0]

        data = note("sic encode", lambda: encode(pixels, card))
        note("sic decode", lambda: decode(parse(data)))
        words = note("hyperprior encode", lambda: peer.encode(pixels))
        note("hyperprior decode", lambda: peer.decode(words, *pixels.shape[:2]))
        if avif:
            note("AVIF encode", lambda: picture.save(file, "AVIF", quality=60, speed=6))
            note("AVIF decode", lambda: np.asarray(Image.open(file)))

    one(Image.open(paths[0]).convert("RGB"), {name: Times() for name in times})
    for path in paths:
        one(Image.open(path).convert("RGB"), times)
    head(
        f"{len(paths)} pictures of {folder.name}, one after another; {threads()} threads "
        f"for both; the hyperprior's coder: {peer.coder.name}"
    )
    for name, row in times.items():
        if row.wall:
            line(name, row)
    both = {
        k: times[f"{k} encode"].median + times[f"{k} decode"].median for k in ("sic", "hyperprior")
    }
    print(
        f"  pictures per second, encoded and decoded: sic {1000 / both['sic']:.2f}, hyperprior "
        f"{1000 / both['hyperprior']:.2f}: {both['hyperprior'] / both['sic']:.2f}x (must 5x, aim 10x)"
    )
    if avif:
        ratio = times["sic encode"].median / times["AVIF encode"].median
        print(f"  encoding takes {ratio:.2f} times as long as AVIF (must 3, aim 1)")


def large(megapixels: float, runs: int) -> None:
    import numpy as np
    from scaling import picture

    from sic_cli.codec.bitstream.reader import parse
    from sic_cli.codec.decode import decode
    from sic_cli.codec.encode import encode
    from sic_cli.codec.weights.locate import find

    pixels, card = np.asarray(picture(megapixels)), find()
    head(f"after load, {pixels.shape[1]}x{pixels.shape[0]}")
    coding, decoding = Times(), Times()
    for _ in range(runs):
        kept: list[bytes] = []
        coding.add(lambda kept=kept: kept.append(encode(pixels, card)))  # type: ignore[misc]
        decoding.add(lambda kept=kept: decode(parse(kept[0])))  # type: ignore[misc]
    line("encode, 16 levels", coding, "12000", "5000")
    line("decode, level 16", decoding, "8000", "3000")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("pictures", nargs="?", type=Path, default=KODAK)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--large", type=float, default=24, help="megapixels; 0: left out")
    parser.add_argument("--quick", action="store_true", help="3 runs, 4 pictures, nothing large")
    options = parser.parse_args()
    if options.threads:
        from sic_cli.codec.inference.parallel import set_threads

        set_threads(options.threads)
    runs = 3 if options.quick else options.runs
    processes(PICTURE, runs)
    inside(PICTURE, runs)
    against_peers(options.pictures, 4 if options.quick else 24)
    if options.large and not options.quick:
        large(options.large, 1)


if __name__ == "__main__":
    main()
