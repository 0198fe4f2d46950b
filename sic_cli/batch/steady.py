"""What a worker of a cluster does before its first file.

Of a local cluster every worker leaves Ctrl-C to the process that started it: a terminal sends it to all of
them, and a worker would end in the middle of a picture, with a traceback.

Every worker keeps the memory it has. Dask starts workers with MALLOC_TRIM_THRESHOLD_=65536, so that they
give back each large piece at once and the processor fills the next one with zeros again: pictures
took 1.7 times as long (benchmarks/PERFORMANCE.md).
"""

from __future__ import annotations

import contextlib
import os
import signal

OF_DASK = "65536"
TRIM, MMAP = -1, -3
"""M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of malloc.h."""
KEPT, LARGEST = 64 << 20, 32 << 20
"""Bytes: where glibc's own thresholds end up once large pieces were given back."""


def dask_setup(worker: object) -> None:
    """Called by Dask in the worker's main thread, and in that of one that was started anew."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    keep_memory()


def keep_memory() -> bool:
    """Undo what Dask asks of glibc. False: it was not asked (somebody chose another threshold), or
    this is no glibc."""
    if os.environ.get("MALLOC_TRIM_THRESHOLD_") != OF_DASK:
        return False
    import ctypes

    with contextlib.suppress(OSError, AttributeError, TypeError):  # another C library
        change = ctypes.CDLL(None).mallopt
        return bool(change(TRIM, KEPT) and change(MMAP, LARGEST))
    return False
