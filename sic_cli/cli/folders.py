"""Runs a task on the inputs of a command: one as it always was, or many with plan, report and summary."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import click

from ..batch.find import Rules, find, names_from
from ..batch.plan import Job, Layout, Plan, plan
from ..batch.pool import Workers, threads_each
from ..batch.report import JOURNAL, Known, Report, Summary, key_of, remembered
from ..batch.run import Here, Runner
from ..batch.work import Order, Record, Task, Work
from ..errors import InputError, Notice, OutputError, SicError, UsageError
from ..files import check_output, remove_stale, shown
from .common import MESSAGES, beside
from .options_io import Io
from .progress import Display

MOST_SHOWN = 10
GRACE_SECONDS = 1.5


@dataclass(frozen=True, slots=True)
class Command:
    """What a command is beyond its task. suffixes: of the files it takes from folders; suffix: of its
    outputs; level: for `--name`; detail: its line with -v; named_output: whether
    the output must be named."""

    name: str
    task: Task
    suffixes: frozenset[str]
    suffix: str
    level: str
    detail: Callable[[Record], str]
    device: str = "cpu"
    named_output: bool = False


def many(inputs: tuple[str, ...], io: Io) -> bool:
    """Whether this is a run over several files."""
    return len(inputs) != 1 or io.files_from is not None or io.recursive


def process(command: Command, io: Io, inputs: tuple[str, ...]) -> int:
    """The exit code. Raises SicError for what is wrong before any work, and for a single input."""
    io.check(inputs)
    return _many(command, io, inputs) if many(inputs, io) else _one(command, io, inputs[0])


def _one(command: Command, io: Io, source: str) -> int:
    """A single input: its errors are raised, its output may be standard output."""
    if io.output is None and command.named_output:
        raise UsageError("say where the result goes: -o FILE")
    if os.path.isdir(source):
        raise UsageError(f"{shown(source)}: is a folder, not a file", "use -r for what is in it")
    output = _output(command, io, source)
    if io.resume and io.report is None:
        raise UsageError("--resume needs --report FILE for a single input")
    check_output(output, source, io.existing != "fail")
    job = Job(1, source, output, *_size_and_time(source), replace=True)
    job = replace(job, skip=_stays(job, io))
    work = Work(command.task, False, io.fsync, io.preserve, command.task.options_sha256)
    if io.preserve and "-" in (source, output):
        raise UsageError("--preserve needs files, not standard input or output")
    if io.dry_run:
        _tell_planned(command, io, work, job)
        return 0
    known = remembered(io.report).get(key_of(output)) if io.resume and io.report else None
    with _report(io.report) as report:
        if job.skip or (known and known.still_true(source, output, work.options_sha256)):
            record = work.skipped(job, known)
        else:
            try:
                record = work.do(job)
            except SicError as error:
                _write(work.failed(job, error), io, report)
                raise
        _write(record, io, report)
    _tell(record, command)
    return int(record["code"])


def _output(command: Command, io: Io, source: str) -> str:
    """The file that a single input is written to: named, in a named folder, or beside the input."""
    folder = None
    if io.output is not None and io.output != "-":
        folder = (
            io.output if io.output.endswith(("/", os.sep)) or os.path.isdir(io.output) else None
        )
    if io.output is not None and folder is None:
        return io.output
    beside_it = beside(source, command.suffix)  # raises for what has no name
    if folder is None and io.naming is None:
        return beside_it
    found = find([source], Rules(frozenset()), MESSAGES.notice)
    naming = io.naming or "replace"
    made = plan(found, Layout(folder, command.suffix, naming, command.level, "overwrite"))
    if folder is not None and not io.dry_run:
        try:
            os.makedirs(folder, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{shown(folder)}: {error.strerror}") from None
    return made.jobs[0].output or beside_it


def _size_and_time(source: str) -> tuple[int, int]:
    try:
        state = os.stat(source)
    except (OSError, ValueError):
        return 0, 0
    return state.st_size, state.st_mtime_ns


def _stays(job: Job, io: Io) -> bool:
    """Whether a single input's output is left as it is."""
    if job.output in (None, "-") or not os.path.exists(job.output or ""):
        return False
    return io.existing == "skip" or (
        io.existing == "newer" and job.mtime_ns <= os.stat(job.output or "").st_mtime_ns
    )


def _many(command: Command, io: Io, inputs: tuple[str, ...]) -> int:
    made = _planned(command, io, inputs)
    work = Work(command.task, True, io.fsync, io.preserve, command.task.options_sha256)
    if io.dry_run:
        for job in made.jobs:
            _tell_planned(command, io, work, job)
        return 1 if any(job.fault for job in made.jobs) else 0
    memory = io.report
    if memory is None and io.output is not None:
        memory = os.path.join(io.output, JOURNAL)
    known = remembered(memory) if io.resume and memory is not None else {}
    for folder in made.folders():
        remove_stale(folder)
    with _report(memory) as report:
        return Run(command, io, work, report, len(made.jobs)).go(_orders(made, known))


def _orders(made: Plan, known: dict[str, Known]) -> Iterator[Order]:
    for job in made.jobs:
        yield Order(job, known.get(key_of(job.output)) if known and job.output else None)


def _planned(command: Command, io: Io, inputs: tuple[str, ...]) -> Plan:
    """What is to be done. Raises before anything is written."""
    names = [*inputs, *(names_from(io.files_from, io.null) if io.files_from is not None else [])]
    if "-" in names:
        raise UsageError("standard input cannot be one of several inputs")
    _check_folder(io, command, any(os.path.isdir(name) for name in names))
    rules = Rules(
        command.suffixes,
        io.recursive,
        io.glob,
        io.exclude,
        io.hidden,
        io.follow,
        io.max_depth,
        io.output,
    )
    layout = Layout(
        io.output,
        command.suffix,
        io.naming or "replace",
        command.level,
        io.existing,
        sum(os.path.isdir(name) for name in names),
    )
    made = plan(find(names, rules, MESSAGES.notice), layout)
    if not made.jobs:
        raise InputError("no input matched", "folders are searched with -r, by suffix")
    if made.collisions:
        _tell_first(made.collisions, "usage")
        raise UsageError(
            f"{len(made.collisions)} outputs collide; nothing was written",
            "use --name append or another output folder",
        )
    if made.existing:
        _tell_first(made.existing, "output")
        raise OutputError(
            f"{len(made.existing)} outputs are there already; nothing was written",
            "use --resume, --on-existing skip or --force",
        )
    _check_report(io, made)
    return made


def _check_folder(io: Io, command: Command, folders: bool) -> None:
    if io.output is None:
        if folders and io.naming is None and io.recursive:
            raise UsageError("a folder needs -o DIR", "or --name, to write beside the sources")
        if command.named_output and io.naming is None:
            raise UsageError("several inputs need -o DIR", "or --name, to write beside the sources")
        if io.resume and io.report is None:
            raise UsageError("--resume needs -o DIR or --report FILE to remember by")
        return
    if io.output in ("-", ""):
        raise UsageError("several inputs cannot go to standard output", "use -o DIR")
    place = io.output
    if os.path.lexists(place) and not os.path.isdir(place):
        raise OutputError(f"{shown(place)}: is not a folder", "several inputs need one")
    while not os.path.lexists(place):
        place = os.path.dirname(os.path.abspath(place))
    if not os.path.isdir(place) or not os.access(place, os.W_OK):
        raise OutputError(f"{shown(place)}: is not a folder that can be written to")


def _check_report(io: Io, made: Plan) -> None:
    """Raise OutputError if the report would be written into something else."""
    if io.report is None or not os.path.exists(io.report):
        return
    try:
        if not os.path.isfile(io.report):
            raise OutputError(f"{shown(io.report)}: is there and is not a file")
        with open(io.report, "rb") as file:
            start = file.read(1)
    except OSError as error:
        raise OutputError(f"{shown(io.report)}: {error.strerror}") from None
    if start not in (b"", b"{"):
        raise OutputError(f"{shown(io.report)}: is there and is not a report")


def _tell_first(texts: list[str], name: str) -> None:
    for text in texts[:MOST_SHOWN]:
        MESSAGES.error(text, name)


def _tell_planned(command: Command, io: Io, work: Work, job: Job) -> None:
    record = work(Order(job)) if job.fault else work.planned(job)
    if io.as_json:
        MESSAGES.document(record)
    elif job.fault:
        _tell(record, command)
    else:
        what = "skip" if job.skip else command.name
        click.echo(f"{what} {shown(job.source)} -> {_shown_output(job)}")


def _shown_output(job: Job) -> str:
    return "standard output" if job.output == "-" else shown(job.output or "")


def _report(path: str | None) -> contextlib.AbstractContextManager[Report | None]:
    return Report(path) if path is not None else contextlib.nullcontext()


def _write(document: dict[str, Any], io: Io, report: Report | None) -> None:
    if report is not None:
        report.add(document)
    if io.as_json:
        MESSAGES.document(document)


def _tell(record: Record, command: Command) -> None:
    """A record's warnings and error on stderr; with -v, what was done."""
    for warning in record["warnings"]:
        MESSAGES.notice(Notice(warning["text"], warning["code"]))
    error = record["error"]
    if error is not None:
        MESSAGES.error(error["text"], error["name"], error["hint"])
    elif record["status"] == "skipped":
        MESSAGES.detail(f"{shown(record['input'])}: left as it is")
    else:
        MESSAGES.detail(f"{shown(record['input'])}: {command.detail(record)}")


class Run:
    """One run over many files, from the first order to the summary."""

    def __init__(
        self, command: Command, io: Io, work: Work, report: Report | None, total: int
    ) -> None:
        self.command, self.io, self.report = command, io, report
        self.jobs = 1 if command.device.startswith("cuda") else min(io.jobs, total)
        threads = getattr(command.task, "threads", None)
        if threads is not None and self.jobs > 1:
            task: Any = command.task
            changed: dict[str, Any] = {"threads": threads_each(self.jobs, threads)}
            if hasattr(task, "limits"):
                changed["limits"] = replace(task.limits, jobs=self.jobs)
            work = replace(work, task=replace(task, **changed))
        self.work = work
        self.summary = Summary()
        self.display = Display(total, self.jobs)

    def _pool(self) -> Here | Workers:
        return Here() if self.jobs == 1 else Workers(self.jobs, partial(_prepare, self.work.task))

    def go(self, orders: Iterator[Order]) -> int:
        """Run all; the exit code."""
        runner = Runner(self.work, self._pool, 1 if self.jobs == 1 else 2 * self.jobs)
        stopped: int | None = None
        try:
            with self.display:
                try:
                    self._take_all(runner, orders)
                except (KeyboardInterrupt, SystemExit) as signal:
                    stopped = signal.code if isinstance(signal, SystemExit) else 130  # type: ignore[assignment]
                    self._take_rest(runner)
        except KeyboardInterrupt:  # the second one
            stopped = 130
        finally:
            runner.close()
        code = self.summary.code if stopped is None else stopped
        document = self.summary.document(code)
        _write(document, self.io, self.report)
        if not MESSAGES.quiet:
            for text in self.summary.sentences(self.command.name == "encode"):
                click.echo(f"sic: {text}", err=True)
        if stopped is not None:
            MESSAGES.error("interrupted; --resume goes on", "interrupted")
        return code

    def _take_all(self, runner: Runner, orders: Iterator[Order]) -> None:
        most = self.io.most_failures
        for order, outcome in runner.results(orders):
            self._take(order, outcome, runner)
            if most is not None and self.summary.failed >= most:
                self._take_rest(runner)
                return

    def _take_rest(self, runner: Runner) -> None:
        for order, outcome in runner.finish(GRACE_SECONDS):
            self._take(order, outcome, runner)

    def _take(self, order: Order, outcome: Record | BaseException, runner: Runner) -> None:
        record = outcome
        if isinstance(record, BaseException):
            record = self.work.failed(order.job, record)
        self.summary.count(record)
        _write(record, self.io, self.report)
        _tell(record, self.command)
        self.display.show(self.summary, (o.job.source for o in runner.flying.values()))


def _prepare(task: Task) -> None:
    task.prepare()
