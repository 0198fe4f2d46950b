"""Threads, and pictures cut into bands of rows for them.

The cut depends on the picture's size alone and every band is computed by one thread, side by side or one
after another, so that the number of threads changes no bit of any float. The library behind NumPy's
products is told to use one thread itself: it would halve sums as it likes.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import cache
from itertools import pairwise
from typing import TypeVar

from threadpoolctl import OpenBLASController, ThreadpoolController

T = TypeVar("T")
Each = Callable[[Callable[[slice], None], Sequence[slice]], None]
"""Does some work for each of several slices of rows."""

BAND_ROWS = 16
"""A band has at least so many rows: each reads a row above and one below its own."""
MOST = 16
"""Bands, at most; a power of two, as most numbers of cores are."""
SMALL = 1024
"""Smaller pictures, in positions, are not cut."""

_CHOSEN = 0


def threads() -> int:
    """How many are used: what `set_threads` said, else OMP_NUM_THREADS, else one for each core that this
    process may use."""
    variable = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if _CHOSEN or (variable.isdecimal() and int(variable)):
        return _CHOSEN or int(variable)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def set_threads(count: int) -> None:
    """Use `count` threads from now on, torch (for metrics) as well if it is loaded; 0: as if nothing had
    been said."""
    global _CHOSEN
    _CHOSEN = count
    if count and "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(count)


@cache
def _libraries() -> ThreadpoolController:
    return ThreadpoolController()


def library() -> str:
    """What multiplies matrices here, and the kind of processor that it does so for."""
    import numpy  # noqa: F401  the library comes with it

    rows = [row for row in ThreadpoolController().info() if row["user_api"] == "blas"]
    if not rows:
        return "a library that threadpoolctl does not know"
    words = (rows[0]["internal_api"], rows[0]["version"], rows[0].get("architecture"))
    return " ".join(word for word in words if word)


def _limited() -> AbstractContextManager[object]:
    limit: AbstractContextManager[object] = _libraries().limit(limits=1, user_api="blas")
    return limit


@contextmanager
def single_threaded_blas() -> Iterator[None]:
    """Inside, a product of matrices uses the thread that asks for it and no other. Accelerate, on a Mac,
    is not known to threadpoolctl and goes on as it likes."""
    with ExitStack() as stack:
        stack.enter_context(_limited())
        blas = (row for row in _libraries().info() if row["user_api"] == "blas")
        if any(row["num_threads"] != 1 for row in blas):  # another thread of the host has the say
            take = getattr(OpenBLASController, "clear_controlling_thread", None)
            if take is not None:
                take(force=True)
                stack.enter_context(_limited())
        yield


_POOLS: dict[int, ThreadPoolExecutor] = {}
if hasattr(os, "register_at_fork"):  # a child has none of these threads
    os.register_at_fork(after_in_child=_POOLS.clear)


def pool_of(count: int) -> ThreadPoolExecutor:
    """So many threads, which start as they are needed and stay: their scratch memory is then in place.
    Where BLAS is built with OpenMP each of them has a number of its own to be set."""
    if count not in _POOLS:
        _POOLS[count] = ThreadPoolExecutor(count, "sic", _limited)
    return _POOLS[count]


@contextmanager
def finished(futures: Iterable[Future[T]]) -> Iterator[None]:
    """Behind this, none of them runs or will run."""
    try:
        yield
    finally:
        wait([one for one in futures if not one.cancel()])


@contextmanager
def thread_team(count: int = 0) -> Iterator[Each]:
    """So many threads (0: `threads`) that take slices from each other. What they do gives nothing back:
    it writes into its rows of some array."""
    count = count or threads()

    def each(work: Callable[[slice], None], parts: Sequence[slice]) -> None:
        left = iter(parts)

        def take() -> None:
            for part in left:
                work(part)

        others = min(count, len(parts)) - 1
        futures = [pool_of(count).submit(take) for _ in range(others)]
        with finished(futures):
            take()  # the caller is one of them
            for one in futures:
                one.result()

    with single_threaded_blas():
        yield each


def bands(rows: int, across: int) -> list[slice]:
    """A picture of so many positions, from top to bottom."""
    count = 1
    if rows * across >= SMALL:
        while count < MOST and rows >= 2 * count * BAND_ROWS:
            count *= 2
    edges = [rows * i // count for i in range(count + 1)]
    return [slice(a, b) for a, b in pairwise(edges)]
