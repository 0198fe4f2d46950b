"""Fuzz one target with atheris: `python -m tests.fuzz.drive TARGET [SECONDS]`.

Seeds are the golden files. An input that breaks the target lands in tests/fuzz/crashes/TARGET/, where
the test suite replays it for ever (tests/trust/coder.py, T6d).
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import mkdtemp

import atheris

with atheris.instrument_imports(include=["sic_cli"]):
    import sic_cli.bitstream.reader
    import sic_cli.bitstream.truncate
    import sic_cli.codec.decode
    import sic_cli.codec.walk
    import sic_cli.convert  # noqa: F401

import tests.conftest  # noqa: F401  sets where the tiny weights are
from tests.fuzz.targets import TARGETS
from tests.trust.goldens_at_hand import GOLDEN

HERE = Path(__file__).resolve().parent


def main() -> None:
    name, seconds = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "60"
    crashes = HERE / "crashes" / name
    crashes.mkdir(parents=True, exist_ok=True)
    seeds = [HERE.parent / "pictures"] if name == "picture" else [GOLDEN / "good", GOLDEN / "bad"]
    options = [
        f"-max_total_time={seconds}",
        f"-artifact_prefix={crashes}/",
        "-timeout=10",
        "-rss_limit_mb=2048",
        "-max_len=8192",
        "-print_final_stats=1",
        "-verbosity=0",
    ]
    atheris.Setup([sys.argv[0], *options, mkdtemp(), *map(str, seeds)], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
