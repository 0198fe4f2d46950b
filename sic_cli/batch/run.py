"""Runs orders on any executor: few at a time, so that memory does not grow with their number.

A worker that dies (killed, out of memory) takes all files in flight with it. The pool is then built
again and those files are tried one at a time: the one that kills its worker again fails alone. A cluster
lives on when a worker dies, and tries its files elsewhere; those that it gives up are tried once more,
alone, when all others are done.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    wait,
)
from typing import ParamSpec, Protocol, TypeVar, runtime_checkable

from ..errors import ResourceError
from ..storage.files import printable
from .work import Order, Record

P = ParamSpec("P")
T = TypeVar("T")
Outcome = tuple[Order, Record | BaseException]
CHECK_SECONDS = 5.0
"""How often an executor is asked whether it is still there, while nothing ends."""


@runtime_checkable
class Stoppable(Protocol):
    """An executor that can end what its workers are doing."""

    def stop(self) -> None:
        """End all workers now."""


@runtime_checkable
class Checked(Protocol):
    """An executor that may go away."""

    def check(self) -> None:
        """Raise SicError if nothing that is in flight will ever end."""


@runtime_checkable
class Choosy(Protocol):
    """An executor whose workers may hand an order back without having begun it."""

    def refused(self, outcome: object) -> bool:
        """Whether an outcome says so; then the order is to be submitted again."""


class Here(Executor):
    """Runs everything at once, in this thread: `--jobs 1`."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


class Runner:
    """work: what is done with an order, picklable if the executor needs that. open_pool: makes the
    executor, and makes it again when it broke. most: orders in flight, asked again and again, for a
    cluster grows and shrinks."""

    def __init__(
        self,
        work: Callable[[Order], Record],
        open_pool: Callable[[], Executor],
        most: int | Callable[[], int],
    ) -> None:
        self.work, self.open_pool = work, open_pool
        self.most = most if callable(most) else lambda: most
        self.pool: Executor | None = None
        self.flying: dict[Future[Record], Order] = {}
        self.suspects: deque[Order] = deque()
        self.given_up: list[Order] = []
        self.back: deque[Order] = deque()
        self.alone = False

    def results(self, orders: Iterable[Order]) -> Iterator[Outcome]:
        """Every order with its record, or with what was raised instead, as they end."""
        waiting = iter(orders)
        while True:
            alone = self._fill(waiting)
            if not self.flying:
                self.suspects.extend(self.given_up)
                self.given_up.clear()
                if self.suspects:
                    continue
                return
            self._wait()
            broken = []
            for order, outcome in self._landed():
                if isinstance(outcome, BrokenExecutor):
                    broken.append(order)
                elif not _gave_up(outcome):
                    yield order, outcome
                elif alone:
                    yield order, _died(order)
                else:
                    self.given_up.append(order)
            if not broken:
                continue
            wait(self.flying, timeout=10)
            for order, outcome in self._landed():
                if isinstance(outcome, BrokenExecutor):
                    broken.append(order)
                else:
                    yield order, outcome
            broken += self.flying.values()
            self._close()
            if alone:
                yield broken[0], _died(broken[0])
            else:
                self.suspects.extend(sorted(broken, key=lambda order: order.job.index))

    def _wait(self) -> None:
        """Until something ends. Raises SicError if nothing will."""
        while not wait(self.flying, CHECK_SECONDS, FIRST_COMPLETED).done:
            if isinstance(self.pool, Checked):
                self.pool.check()

    def _fill(self, waiting: Iterator[Order]) -> bool:
        """Put orders in flight; True if a suspect flies alone."""
        if self.suspects:
            if not self.flying:
                self._submit(self.suspects.popleft())
                self.alone = True
            return self.alone
        self.alone = False
        most = self.most()
        while len(self.flying) < most and not self.suspects:
            order = self.back.popleft() if self.back else next(waiting, None)
            if order is None:
                break
            self._submit(order)
        return False

    def _submit(self, order: Order) -> None:
        if self.pool is None:
            self.pool = self.open_pool()
        try:
            self.flying[self.pool.submit(self.work, order)] = order
        except BrokenExecutor:  # it broke since the last look
            future: Future[Record] = Future()
            future.set_exception(BrokenExecutor())
            self.flying[future] = order

    def _landed(self) -> Iterator[Outcome]:
        for future in [future for future in self.flying if future.done()]:
            order = self.flying.pop(future)
            try:
                error = future.exception()
            except CancelledError as cancelled:
                error = cancelled
                if isinstance(self.pool, Checked):
                    self.pool.check()
            outcome = future.result() if error is None else error
            if isinstance(self.pool, Choosy) and self.pool.refused(outcome):
                (self.suspects if self.alone else self.back).appendleft(order)
            else:
                yield order, outcome

    def finish(self, seconds: float) -> Iterator[Outcome]:
        """After an interruption: what of the files in flight ends within some seconds."""
        end = time.monotonic() + seconds
        for future in self.flying:
            future.cancel()
        while self.flying and time.monotonic() < end:
            wait(self.flying, max(0.0, end - time.monotonic()), FIRST_COMPLETED)
            for order, outcome in self._landed():
                if not isinstance(outcome, BaseException):
                    yield order, outcome

    def close(self) -> None:
        """Let go of the executor; processes that still work are ended."""
        if self.pool is not None and not self.flying:
            self.pool.shutdown(wait=True)
            self.pool = None
        self._close()

    def _close(self) -> None:
        pool, self.pool = self.pool, None
        self.flying.clear()
        if isinstance(pool, Stoppable):
            pool.stop()
        elif pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)


def _gave_up(outcome: Record | BaseException) -> bool:
    """Whether a cluster says that every worker died that had this order (Dask's word for it)."""
    return type(outcome).__name__ == "KilledWorker"


def _died(order: Order) -> ResourceError:
    return ResourceError(
        f"{printable(order.job.source)}: the process that worked on it died (killed, or out of memory)",
        "try it alone with --jobs 1",
    )
