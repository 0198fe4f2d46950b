"""Workers of Dask keep their memory; whoever chose another threshold keeps that."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SCRIPT = """
import resource
import numpy as np
from sic_cli.batch.steady import keep_memory
kept = keep_memory()
for _ in range(3):
    np.ones(4 << 20, np.uint8)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(50):
    np.ones(4 << 20, np.uint8)
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def run(threshold: str | None) -> tuple[bool, int]:
    """What keep_memory said, and pages that 50 arrays of 4 MiB were then given anew."""
    environment = {k: v for k, v in os.environ.items() if k != "MALLOC_TRIM_THRESHOLD_"}
    if threshold:
        environment["MALLOC_TRIM_THRESHOLD_"] = threshold
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, env=environment, check=True
    )
    kept, pages = done.stdout.split()
    return kept == "True", int(pages)


@pytest.mark.skipif(sys.platform != "linux", reason="Dask's setting speaks to glibc")
def test_what_dask_asks_of_the_allocator_is_undone() -> None:
    told, faults = run("65536")
    if not told:
        pytest.skip("this is no glibc")
    chosen, more = run("65537")
    assert not chosen
    assert faults < 5_000 < more, "a page is 4 KiB: 50 arrays have 51,200"


def test_without_dask_nothing_is_changed() -> None:
    assert not run(None)[0]
