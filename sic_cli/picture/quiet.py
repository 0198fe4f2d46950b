"""Pillow's warnings held back while a picture is read, in any number of threads at once.

`warnings.catch_warnings` alone is not safe there: two threads that overlap can leave the filters of
the whole process changed for good. Here the first one in sets them, and the last one out puts them
back.
"""

from __future__ import annotations

import threading
import warnings
from types import TracebackType


class Quiet:
    """A context manager; one instance serves all threads."""

    def __init__(self) -> None:
        self._lock, self._inside = threading.Lock(), 0
        self._filters: warnings.catch_warnings[None] | None = None

    def __enter__(self) -> None:
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                self._filters = warnings.catch_warnings()
                self._filters.__enter__()
                warnings.simplefilter("ignore")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0 and self._filters is not None:
                self._filters.__exit__(kind, error, trace)
                self._filters = None


QUIET = Quiet()
