"""What a run says while it works, and how it is stopped."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

SAY_SECONDS = 20.0
"""Between two lines of progress."""


def say(text: str) -> None:
    """A line of progress."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def catching() -> Iterator[list[int]]:
    """Inside, SIGTERM and SIGINT only put their numbers into the list; behind it all is as before."""
    caught: list[int] = []
    before = {
        name: signal.signal(name, lambda number, _: caught.append(number))
        for name in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield caught
    finally:
        for name, handler in before.items():
            signal.signal(name, signal.SIG_DFL if handler is None else handler)
