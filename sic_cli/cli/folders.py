"""Runs a task on the inputs of a command: one as it always was, or many with plan, report and summary."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace

import click

from ..batch.find import Rules, find, names_from
from ..batch.plan import BatchPlan, Job, OutputLayout, in_place, plan
from ..batch.report import JOURNAL, Known, key_of, remembered
from ..batch.work import Order, Work
from ..errors import InputError, Notice, OutputError, SicError, UsageError
from ..picture import kinds
from ..storage import access
from ..storage.files import printable, remove_stale
from ..storage.urls import is_url, join, suffix
from .common import MESSAGES, beside
from .options_io import Io
from .running import BatchRun, report_at, report_record, write
from .running import Command as Command

MOST_SHOWN = 10
NAMES_OF_PICTURES = frozenset[str]().union(*kinds.NAMES.values())


def many(inputs: tuple[str, ...], io: Io) -> bool:
    """Whether this is a run over several files."""
    return len(inputs) != 1 or io.files_from is not None or io.recursive


def process(command: Command, io: Io, inputs: tuple[str, ...]) -> int:
    """The exit code. Raises SicError for what is wrong before any work, and for a single input."""
    io.check(inputs)
    if command.in_place:
        _check_in_place(io)
    return _many(command, io, inputs) if many(inputs, io) else _one(command, io, inputs[0])


def _one(command: Command, io: Io, source: str) -> int:
    """A single input: its errors are raised, its output may be standard output."""
    if io.cluster is not None:
        MESSAGES.detail("--cluster is for several files; a single one is worked on here")
    if io.output is None and command.named_output and not command.in_place:
        raise UsageError("say where the result goes: -o FILE")
    if (is_url(source) and source.endswith("/")) or os.path.isdir(source):
        raise UsageError(
            f"{printable(source)}: is a folder, not a file", "use -r for what is in it"
        )
    if command.in_place:
        _check_here([source])
        output = os.path.realpath(source)
        remove_stale(os.path.dirname(output))
    else:
        output = _output(command, io, source)
    if io.resume and io.report is None:
        raise UsageError("--resume needs --report FILE for a single input")
    if not command.in_place:
        access.check_output(output, source, io.existing != "fail")
    if command.suffix == ".sic" and suffix(output) in NAMES_OF_PICTURES:
        text = f"{printable(output)}: gets a .sic file, whatever its name says; sic decode writes pictures"
        MESSAGES.notice(Notice(text, "W-ext"))
    job = Job(1, source, output, *_size_and_time(source), replace=True)
    job = replace(job, skip=_stays(job, io))
    sync = io.fsync or command.in_place
    work = Work(command.task, command.in_place, sync, io.preserve, command.task.options_sha256)
    if io.preserve and "-" in (source, output):
        raise UsageError("--preserve needs files, not standard input or output")
    if io.dry_run:
        _tell_planned(command, io, work, job)
        return 0
    known = remembered(io.report).get(key_of(output)) if io.resume and io.report else None
    with report_at(io.report) as report:
        if job.skip or (known and known.still_true(source, output, work.options_sha256)):
            record = work.skipped(job, known)
        else:
            try:
                record = work.do(job)
            except SicError as error:
                write(work.failed(job, error), io, report)
                raise
        write(record, io, report)
    report_record(record, command)
    return int(record["code"])


def _output(command: Command, io: Io, source: str) -> str:
    """The file that a single input is written to: named, in a named folder, or beside the input."""
    folder = None
    if io.output is not None and io.output != "-":
        named = io.output.endswith(("/", os.sep)) or access.is_folder(io.output)
        folder = io.output if named else None
    if io.output is not None and folder is None:
        return io.output
    beside_it = beside(source, command.suffix)  # raises for what has no name
    if folder is None and io.naming is None:
        return beside_it
    found = find([source], Rules(frozenset()), MESSAGES.notice)
    naming = io.naming or "replace"
    made = plan(found, OutputLayout(folder, command.suffix, naming, command.level, "overwrite"))
    if folder is not None and not io.dry_run and not is_url(folder):
        try:
            os.makedirs(folder, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{printable(folder)}: {error.strerror}") from None
    return made.jobs[0].output or beside_it


def _size_and_time(source: str) -> tuple[int, int]:
    try:
        return (0, 0) if is_url(source) else access.size_and_time(source)
    except (OSError, ValueError):
        return 0, 0


def _stays(job: Job, io: Io) -> bool:
    """Whether a single input's output is left as it is."""
    if job.output in (None, "-") or io.existing not in ("skip", "newer"):
        return False
    try:
        _, changed = access.size_and_time(job.output or "")
    except (OSError, InputError):
        return False
    return io.existing == "skip" or _time(job) <= changed


def _time(job: Job) -> int:
    return access.size_and_time(job.source)[1] if is_url(job.source) else job.mtime_ns


def _many(command: Command, io: Io, inputs: tuple[str, ...]) -> int:
    made = _planned(command, io, inputs)
    sync = io.fsync or command.in_place
    work = Work(command.task, True, sync, io.preserve, command.task.options_sha256)
    if io.dry_run:
        for job in made.jobs:
            _tell_planned(command, io, work, job)
        return 1 if any(job.fault for job in made.jobs) else 0
    memory = io.report
    if memory is None and io.output is not None:
        memory = join(io.output, JOURNAL)
    known = remembered(memory) if io.resume and memory is not None else {}
    for folder in made.folders():
        remove_stale(folder)
    with report_at(memory) as report:
        return BatchRun(command, io, work, report, len(made.jobs)).go(_orders(made, known))


def _orders(made: BatchPlan, known: dict[str, Known]) -> Iterator[Order]:
    for job in made.jobs:
        yield Order(job, known.get(key_of(job.output)) if known and job.output else None)


def _planned(command: Command, io: Io, inputs: tuple[str, ...]) -> BatchPlan:
    """What is to be done. Raises before anything is written."""
    names = [*inputs, *(names_from(io.files_from, io.null) if io.files_from is not None else [])]
    if "-" in names:
        raise UsageError("standard input cannot be one of several inputs")
    roots = sum(_is_root(name, command) for name in names)
    if command.in_place:
        _check_here(names)
    else:
        _check_folder(io, command, roots > 0)
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
    layout = OutputLayout(
        io.output,
        command.suffix,
        io.naming or "replace",
        command.level,
        io.existing,
        roots,
    )
    found = find(names, rules, MESSAGES.notice)
    made = in_place(found) if command.in_place else plan(found, layout)
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


def _check_in_place(io: Io) -> None:
    """Raise UsageError for what cannot be combined with --in-place."""
    if io.output is not None or io.naming is not None or io.on_existing is not None:
        raise UsageError("--in-place goes without --output, --name and --on-existing")
    if io.resume or io.preserve:
        raise UsageError("--in-place goes without --resume and --preserve")


def _check_here(names: Iterable[str]) -> None:
    """Raise UsageError for what --in-place cannot replace."""
    for name in names:
        if name == "-" or is_url(name):
            raise UsageError(f"{printable(name)}: --in-place is for files of this machine")


def _is_root(name: str, command: Command) -> bool:
    """Whether a name is a folder; a URL with the suffix of a file is taken for one."""
    if is_url(name) and suffix(name) in command.suffixes:
        return False
    try:
        return access.is_folder(name)
    except InputError:  # its fault is reported later
        return False


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
    if is_url(place):
        from ..storage import store

        store.check_writable(place)
        return
    if os.path.lexists(place) and not os.path.isdir(place):
        raise OutputError(f"{printable(place)}: is not a folder", "several inputs need one")
    while not os.path.lexists(place):
        place = os.path.dirname(os.path.abspath(place))
    if not os.path.isdir(place) or not os.access(place, os.W_OK):
        raise OutputError(f"{printable(place)}: is not a folder that can be written to")


def _check_report(io: Io, made: BatchPlan) -> None:
    """Raise OutputError if the report would be written into something else."""
    if io.report is None or is_url(io.report) or not os.path.exists(io.report):
        return
    try:
        if not os.path.isfile(io.report):
            raise OutputError(f"{printable(io.report)}: is there and is not a file")
        with open(io.report, "rb") as file:
            start = file.read(1)
    except OSError as error:
        raise OutputError(f"{printable(io.report)}: {error.strerror}") from None
    if start not in (b"", b"{"):
        raise OutputError(f"{printable(io.report)}: is there and is not a report")


def _tell_first(texts: list[str], name: str) -> None:
    for text in texts[:MOST_SHOWN]:
        MESSAGES.error(text, name)


def _tell_planned(command: Command, io: Io, work: Work, job: Job) -> None:
    record = work(Order(job)) if job.fault else work.planned(job)
    if io.as_json:
        MESSAGES.document(record)
    elif job.fault:
        report_record(record, command)
    else:
        what = "skip" if job.skip else command.name
        click.echo(f"{what} {printable(job.source)} -> {_shown_output(job)}")


def _shown_output(job: Job) -> str:
    return "standard output" if job.output == "-" else printable(job.output or "")
