"""Worker processes that start clean, get ready once, and never outlive the command."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from types import FrameType
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

GRACE_SECONDS = 0.5


class Workers(ProcessPoolExecutor):
    """A pool of spawned processes. prepare: what each does once; picklable."""

    def __init__(self, jobs: int, prepare: Callable[[], None]) -> None:
        self._others = {child.pid for child in multiprocessing.active_children()}
        super().__init__(
            jobs,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_begin,
            initargs=(prepare,),
        )

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """As any executor's. Ctrl-C reaches every process of a terminal: workers start with it blocked,
        for the parent decides what it means; here it is only delayed."""
        if not hasattr(signal, "pthread_sigmask"):
            return super().submit(fn, *args, **kwargs)
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            return super().submit(fn, *args, **kwargs)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def stop(self) -> None:
        """End all processes: politely (what they are writing is dropped whole), then at once."""
        mine = [c for c in multiprocessing.active_children() if c.pid not in self._others]
        self.shutdown(wait=False, cancel_futures=True)
        for child in mine:
            child.terminate()
        for child in mine:
            child.join(GRACE_SECONDS)
        for child in mine:
            if child.is_alive():
                child.kill()
                child.join(GRACE_SECONDS)


def _begin(prepare: Callable[[], None]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave)
    threading.Thread(target=_follow_parent, daemon=True).start()
    warnings.simplefilter("ignore")
    with contextlib.suppress(Exception):  # the first file will say what is wrong
        prepare()


def _leave(signum: int, _: FrameType | None) -> None:
    raise SystemExit(128 + signum)


def _follow_parent() -> None:
    """End when the parent is gone, however it went: nobody would read the results."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
