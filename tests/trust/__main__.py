"""Run the campaign: `python -m tests.trust [--scale PR|N|R] [--seed N] [T3 T5 ...]`.

One line per test: tried, ok, failed, the failure rate that the count excludes at 95 %, seconds; below
it the first failures, figures, and what this machine could not run. Exit code 1 if anything failed.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys

from tests.conftest import ROOT  # sets where the tiny weights are
from tests.trust import trials
from tests.trust.campaign import SCALES


def machine() -> str:
    """What the numbers were measured on."""
    import numpy
    import torch

    from sic_cli.codec.entropy import coder_name
    from tests.trust.worker import kernels

    return (
        f"Python {platform.python_version()}, numpy {numpy.__version__} with {kernels()}, "
        f"torch {torch.__version__}, coder {coder_name()}, {platform.machine()}, "
        f"{os.cpu_count()} cores"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="T1, T2, ...; default: all")
    parser.add_argument("--scale", choices=SCALES, default="PR")
    parser.add_argument("--seed", type=int, default=0, help="other tries of the same tests")
    options = parser.parse_args()
    os.chdir(ROOT)
    print(f"scale {options.scale}, seed {options.seed}; {machine()}", flush=True)
    failed = 0
    for trial in trials():
        if options.names and trial.name not in options.names:
            continue
        run = trial.run(options.scale, options.seed)
        failed += run.failed
        print(run.line(trial.name, trial.title), flush=True)
        for mark, texts in (("!", run.failures), ("-", run.notes), ("not run here:", run.untested)):
            for text in texts:
                print(f"     {mark} {text}", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
