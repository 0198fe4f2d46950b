"""How many at once: what is asked before any worker starts, so it loads nothing that workers need."""

from __future__ import annotations

import os
import re

from ..errors import UsageError
from ..storage.files import printable
from ..storage.memory import machine_memory

BYTES_A_JOB = 640 << 20
"""What a worker is taken to need, for `--jobs auto`: 12 megapixels take 0.36 GB, 24 with transparency 0.85."""
ADDRESS = re.compile(r"[a-z][a-z0-9+]*://\S+")


def cores() -> int:
    """CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def fitting_jobs() -> int:
    """`--jobs auto`: one a core, as far as memory reaches."""
    memory = machine_memory()
    if memory is None:
        return cores()
    return max(1, min(cores(), memory * 3 // 4 // BYTES_A_JOB))


def threads_each(jobs: int, threads: int) -> int:
    """Threads of a worker: what was asked for, else its share of the cores; 0: leave it as it is."""
    if threads or jobs == 1 or "OMP_NUM_THREADS" in os.environ:
        return threads
    return max(1, cores() // jobs)


def workers_of(address: str) -> int | None:
    """`local` and `local:N`: how many processes; None for an address. Raises UsageError."""
    if found := re.fullmatch("local(?::([0-9]{1,4}))?", address):
        number = int(found[1]) if found[1] else cores()
        if number:
            return number
    elif ADDRESS.fullmatch(address):
        return None
    raise UsageError(
        f"--cluster {printable(address)}: is no address", "tcp://host:8786, local, or local:N"
    )
