"""Fuzz one target with atheris: `python -m tests.fuzz.drive TARGET [CPU-SECONDS [CORPUS]]`.

Seconds are those of the processor, so that a busy machine tries as much as a quiet one. A line tells how
much that was, at the end and every 20 seconds, so that a run that is ended early still counts. Seeds are the golden files, and what earlier runs found and left in the folder
CORPUS. An input that breaks the target lands in tests/fuzz/crashes/TARGET/, where
the test suite replays it for ever (tests/trust/coder.py, T6d).
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import mkdtemp

import atheris

with atheris.instrument_imports(include=["sic_cli"]):
    import sic_cli.codec.bitstream.reader
    import sic_cli.codec.bitstream.truncate
    import sic_cli.codec.decode
    import sic_cli.codec.symbols.layer_coder
    import sic_cli.pipeline.convert  # noqa: F401

import tests.conftest  # noqa: F401  sets where the tiny weights are
from tests.fuzz.targets import TARGETS
from tests.trust.goldens_at_hand import GOLDEN

HERE = Path(__file__).resolve().parent
TOLD_EVERY = 20.0
MOST_SECONDS = 20.0
"""CPU seconds. One input may take the latter, in which torch is loaded at the first; the fuzzer's own
limit is of wall time, and a crowded machine needs much of that."""


def bounded(target: Callable[[bytes], None], name: str, seconds: float) -> Callable[[bytes], None]:
    """The target; once the CPU seconds are used up it ends the process as Ctrl-C would."""
    start, tried, told = time.process_time(), 0, 0.0

    def one(data: bytes) -> None:
        nonlocal tried, told
        began = time.process_time()
        target(data)
        tried += 1
        now = time.process_time()
        if now - began > MOST_SECONDS:
            raise TimeoutError(f"{now - began:.1f} CPU seconds for one input")
        used = now - start
        if used >= min(seconds, told + TOLD_EVERY):
            print(f"{name}: {tried} executions in {used:.0f} CPU seconds", flush=True)
            told = used
        if used >= seconds:
            os.kill(os.getpid(), signal.SIGTERM)

    return one


def main() -> None:
    name, seconds = sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 60.0
    crashes = HERE / "crashes" / name
    crashes.mkdir(parents=True, exist_ok=True)
    seeds = [HERE.parent / "pictures"] if name == "picture" else [GOLDEN / "good", GOLDEN / "bad"]
    options = [
        "-handle_term=1",
        f"-artifact_prefix={crashes}/",
        "-timeout=300",
        "-report_slow_units=300",
        "-rss_limit_mb=2048",
        "-max_len=8192",
        "-print_final_stats=1",
        "-verbosity=0",
    ]
    corpus = Path(sys.argv[3] if len(sys.argv) > 3 else mkdtemp())
    corpus.mkdir(parents=True, exist_ok=True)
    arguments = [sys.argv[0], *options, str(corpus), *map(str, seeds)]
    atheris.Setup(arguments, bounded(TARGETS[name], name, seconds))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
