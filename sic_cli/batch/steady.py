"""What every worker of a local cluster does first: leave Ctrl-C to the process that started it.

A terminal sends it to all of them, and a worker would end in the middle of a picture, with a traceback.
"""

from __future__ import annotations

import signal


def dask_setup(worker: object) -> None:
    """Called by Dask in the worker's main thread, and in that of one that was started anew."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
