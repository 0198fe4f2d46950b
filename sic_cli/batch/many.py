"""`sic_cli.batch.encode_many`: the folder runner for programs that bring their own executor.

Finding, planning, reporting and resuming are those of `sic encode -r`; only where the work is done is
the caller's choice: this thread, processes, Dask, Ray, the partitions of a Spark job.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import Any, Literal, ParamSpec, TypeVar

from ..codec.weights.locate import find as find_weights
from ..errors import Notice, OutputError, UsageError
from ..picture import kinds
from ..pipeline.options import EncodeOptions
from ..storage.urls import join
from .find import Rules, find
from .plan import BatchPlan, OutputLayout, plan
from .report import JOURNAL, key_of, open_report, remembered
from .run import Here, Runner
from .tasks import EncodeTask
from .work import Order, Record, Work

P = ParamSpec("P")
T = TypeVar("T")
IN_FLIGHT = 64
SUFFIXES = frozenset().union(*kinds.SUFFIXES.values())


def encode_many(
    paths: Iterable[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    *,
    executor: Executor | None = None,
    in_flight: int | None = None,
    recursive: bool = False,
    existing: Literal["fail", "skip", "overwrite", "resume"] = "fail",
    naming: str = "replace",
    report: str | os.PathLike[str] | None = None,
    notice: Callable[[Notice], None] | None = None,
    threads: int = 0,
    options: EncodeOptions | None = None,
) -> Iterator[dict[str, Any]]:
    """Encode pictures into a folder; paths and folders may be URLs. Each picture's record
    (`sic schema encode`) comes as it ends; one that fails has `ok` false and says why in `error`.

    executor: any of `concurrent.futures`, and whatever acts like one; it is not shut down. None: this
    thread. in_flight: pictures handed to it at a time; default: twice its workers where it says how
    many, else 64. existing: "resume" leaves out what the last run's report (or the record in `output`)
    says is done. naming: as --name. threads: of each process. Nothing is done before the first record
    is asked for. Raises UsageError, OutputError and ModelError before anything is written.
    """
    chosen, folder = options or EncodeOptions(), os.fspath(output)
    task = EncodeTask(chosen, threads, find_weights(chosen.model).id.hex())
    rules = Rules(SUFFIXES, recursive, avoid=folder)
    names = [os.fspath(path) for path in paths]
    roots = sum(os.path.isdir(name) or name.endswith("/") for name in names)
    layout = OutputLayout(
        folder,
        ".sic",
        naming,
        "max" if chosen.level is None else str(chosen.level),
        existing,
        roots,
    )
    made = plan(find(names, rules, notice or _unheard), layout)
    _check(made)
    memory = os.fspath(report) if report is not None else join(folder, JOURNAL)
    known = remembered(memory) if existing == "resume" else {}
    orders = (
        Order(job, known.get(key_of(job.output)) if job.output else None) for job in made.jobs
    )
    work = Work(task, options_sha256=task.options_sha256, base=os.getcwd())
    yield from _run(work, orders, executor, in_flight, memory)


def _unheard(_: Notice) -> None:
    """Notices are for those who ask for them."""


def _check(made: BatchPlan) -> None:
    if made.collisions:
        raise UsageError(f"outputs collide: {made.collisions[0]}", 'use naming="append"')
    if made.existing:
        more = f" (and {len(made.existing) - 1} more)" if len(made.existing) > 1 else ""
        raise OutputError(
            f"{made.existing[0]}{more}", 'use existing="resume", "skip" or "overwrite"'
        )


def _run(
    work: Work,
    orders: Iterator[Order],
    executor: Executor | None,
    in_flight: int | None,
    memory: str,
) -> Iterator[Record]:
    lent: Executor = Here() if executor is None else Lent(executor)
    most = (
        1
        if executor is None
        else in_flight or 2 * getattr(executor, "_max_workers", IN_FLIGHT // 2)
    )
    runner = Runner(work, lambda: lent, most)
    with open_report(memory) as lines:
        try:
            for order, outcome in runner.results(orders):
                record = outcome
                if isinstance(record, BaseException):
                    record = work.failed(order.job, record)
                lines.add(record)
                yield record
        finally:
            for future in runner.flying:
                future.cancel()
            runner.close()


class Lent(Executor):
    """An executor that is the caller's: it is used, and never shut down."""

    def __init__(self, executor: Executor) -> None:
        self.executor = executor

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """As the executor's own."""
        return self.executor.submit(fn, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Nothing."""
