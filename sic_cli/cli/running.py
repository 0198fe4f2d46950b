"""A run over many files, from the first order to the summary: on this thread, processes, or a cluster."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from ..batch.jobs import threads_each, workers_of
from ..batch.report import Lines, Summary, open_report
from ..batch.run import Here, Runner
from ..batch.work import Order, Record, Task, Work
from ..errors import ModelError, Notice, ResourceError, SicError
from ..storage.files import printable
from .common import MESSAGES
from .options_io import Io
from .progress import Display

if TYPE_CHECKING:
    from ..batch.cluster import Cluster

GRACE_SECONDS = 1.5
MOST_NAMES = 32
"""Names of files in work that are shown."""


@dataclass(frozen=True, slots=True)
class Command:
    """What a command is beyond its task. suffixes: of the files it takes from folders; suffix: of its
    outputs; level: for `--name`; detail: its line with -v; named_output: whether
    the output must be named; in_place: files are replaced by what is made of them."""

    name: str
    task: Task
    suffixes: frozenset[str]
    suffix: str
    level: str
    detail: Callable[[Record], str]
    device: str = "cpu"
    named_output: bool = False
    in_place: bool = False


def report_at(path: str | None) -> contextlib.AbstractContextManager[Lines | None]:
    """The report that was asked for, if one was."""
    return open_report(path) if path is not None else contextlib.nullcontext()


def write(document: dict[str, Any], io: Io, report: Lines | None) -> None:
    """A document into the report and, if it is asked for, onto standard output."""
    if report is not None:
        report.add(document)
    if io.as_json:
        MESSAGES.document(document)


def report_record(record: Record, command: Command) -> None:
    """A record's warnings and error on stderr; with -v, what was done."""
    for warning in record["warnings"]:
        MESSAGES.notice(Notice(warning["text"], warning["code"]))
    error = record["error"]
    if error is not None:
        MESSAGES.error(error["text"], error["name"], error["hint"])
    elif record["status"] == "skipped":
        MESSAGES.detail(f"{printable(record['input'])}: left as it is")
    else:
        MESSAGES.detail(f"{printable(record['input'])}: {command.detail(record)}")


class BatchRun:
    """One run over many files, from the first order to the summary."""

    def __init__(
        self, command: Command, io: Io, work: Work, report: Lines | None, total: int
    ) -> None:
        self.command, self.io, self.report = command, io, report
        self.jobs = 1 if command.device.startswith("cuda") else min(io.jobs, total)
        self.cluster: Cluster | None = None
        task: Any = command.task
        threads = getattr(command.task, "threads", None)
        if io.cluster is not None:
            from ..batch.cluster import Cluster, Needs

            needs = Needs(
                getattr(command.task, "model_id", ""),
                command.device.startswith("cuda"),
                threads or 0,
            )
            self.cluster = Cluster(io.cluster, needs, MESSAGES.notice)
            self.jobs = self.cluster.most
            work = replace(work, base=os.getcwd())
            if (here := workers_of(io.cluster)) and hasattr(task, "limits"):
                work = replace(work, task=replace(task, limits=replace(task.limits, jobs=here)))
        elif threads is not None and self.jobs > 1:
            changed: dict[str, Any] = {"threads": threads_each(self.jobs, threads)}
            if hasattr(task, "limits"):
                changed["limits"] = replace(task.limits, jobs=self.jobs)
            work = replace(work, task=replace(task, **changed))
        self.work = work
        self.summary = Summary()
        self.display = Display(total, min(self.jobs, MOST_NAMES))

    def _pool(self) -> Executor:
        if self.cluster is not None:
            return self.cluster
        if self.jobs == 1:
            return Here()
        from ..batch.pool import Workers

        return Workers(self.jobs, partial(_prepare, self.work.task))

    def _most(self) -> int:
        if self.cluster is not None:
            return self.cluster.most
        return 1 if self.jobs == 1 else 2 * self.jobs

    def go(self, orders: Iterator[Order]) -> int:
        """Run all; the exit code. Raises SicError if the cluster goes away, after the summary."""
        runner = Runner(self.work, self._pool, self._most)
        stopped: int | None = None
        lost: SicError | None = None
        try:
            with self.display:
                try:
                    self._take_all(runner, orders)
                except (ResourceError, ModelError) as error:
                    lost, stopped = error, error.exit_code
                except (KeyboardInterrupt, SystemExit) as signal:
                    stopped = signal.code if isinstance(signal, SystemExit) else 130  # type: ignore[assignment]
                    self._take_rest(runner)
        except KeyboardInterrupt:  # the second one
            stopped = 130
        finally:
            runner.close()
        code = self.summary.code if stopped is None else stopped
        document = self.summary.document(code)
        write(document, self.io, self.report)
        if not MESSAGES.quiet:
            for text in self.summary.sentences(self.command.name == "encode"):
                click.echo(f"sic: {text}", err=True)
        if lost is not None:
            raise lost
        if stopped is not None:
            MESSAGES.error("interrupted; --resume goes on", "interrupted")
        return code

    def _take_all(self, runner: Runner, orders: Iterator[Order]) -> None:
        most = self.io.most_failures
        for order, outcome in runner.results(self._to_do(orders, runner)):
            self._take(order, outcome, runner)
            if most is not None and self.summary.failed >= most:
                self._take_rest(runner)
                return

    def _to_do(self, orders: Iterator[Order], runner: Runner) -> Iterator[Order]:
        """The orders that workers are needed for: with nothing left to do none is started. What an
        earlier run did is looked at here, but for a cluster's files, which may not be seen from here."""
        for order in orders:
            record = self.work.left(order) if self.cluster is None else None
            if record is None:
                yield order
            else:
                self._take(order, record, runner)

    def _take_rest(self, runner: Runner) -> None:
        for order, outcome in runner.finish(GRACE_SECONDS):
            self._take(order, outcome, runner)

    def _take(self, order: Order, outcome: Record | BaseException, runner: Runner) -> None:
        record = outcome
        if isinstance(record, BaseException):
            record = self.work.failed(order.job, record)
        self.summary.count(record)
        write(record, self.io, self.report)
        report_record(record, self.command)
        self.display.show(self.summary, (o.job.source for o in runner.flying.values()))


def _prepare(task: Task) -> None:
    task.prepare()
