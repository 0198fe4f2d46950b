"""One file from disk to disk by a task, and the record of it. This is what travels to the workers."""

from __future__ import annotations

import errno
import hashlib
import os
import sys
import time
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from .._version import __version__
from ..errors import InputError, Notice, OutputError, ResourceError, SicError
from ..schemas.documents import failure, head
from ..storage import access
from ..storage.files import keep_mode_and_time, printable
from ..storage.memory import is_out_of_memory
from ..storage.urls import is_url
from .plan import Job
from .report import Known

Record = dict[str, Any]


def digest(*parts: object) -> str:
    """SHA-256 of what decides an output, for `Task.options_sha256`; another version of sic is another."""
    return hashlib.sha256(repr((__version__, *parts)).encode("utf-8", "replace")).hexdigest()


@dataclass(frozen=True, slots=True)
class Made:
    """data: the output. facts: what the record says of it. partial: why it is less than was asked
    for, or None."""

    data: bytes
    facts: dict[str, Any]
    notices: tuple[Notice, ...] = ()
    partial: str | None = None


class Task(Protocol):
    """What is done with each file. Picklable, so that it travels to other processes."""

    @property
    def schema(self) -> str:
        """Of its records."""

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys of its records beyond those of every record; null where nothing is known."""

    @property
    def most_bytes(self) -> int:
        """The largest input."""

    @property
    def options_sha256(self) -> str:
        """Of all that decides what the output is, given the input."""

    def prepare(self) -> None:
        """What a process does once, before its first file."""

    def make(self, data: bytes, source: str, output: str) -> Made:
        """The output for an input's bytes; source, output: their names. Raises SicError."""


@runtime_checkable
class Reader(Protocol):
    """A task that may need less than the whole file."""

    def read(self, source: str) -> access.Portion:
        """What `make` needs of a file. Raises SicError."""


@dataclass(frozen=True, slots=True)
class Order:
    """A job, and what an earlier run remembers of it if it may be left as it is."""

    job: Job
    known: Known | None = None


@dataclass(frozen=True, slots=True)
class Work:
    """Called with an order, gives its record and never raises an Exception.

    mirrored: outputs lie in a folder that is made as needed. sync: wait for the disk. preserve:
    outputs get the mode and times of their sources. base: the folder that paths are relative to, where
    the process that works may stand elsewhere.
    """

    task: Task
    mirrored: bool = True
    sync: bool = False
    preserve: bool = False
    options_sha256: str = field(default="")
    base: str = ""

    def __call__(self, order: Order) -> Record:
        job = order.job
        try:
            if job.fault is not None:
                raise InputError(f"{printable(job.source)}: {job.fault}")
            return self.left(order) or self.do(job)
        except Exception as error:
            return self.failed(job, error)

    def left(self, order: Order) -> Record | None:
        """The record of a file whose output is to stay as it is; None: there is something to do."""
        job, known = order.job, order.known
        if job.skip:
            return self.skipped(job, None)
        if known is not None and known.still_true(
            self._at(job.source), self._at(job.output or ""), self.options_sha256
        ):
            return self.skipped(job, known)
        return None

    def do(self, job: Job) -> Record:
        """Read, make, write. Raises SicError; whatever a library raises passes through."""
        began = time.perf_counter()
        source, output = self._at(job.source), self._at(job.output or "")
        if isinstance(self.task, Reader):
            got = self.task.read(source)
        else:
            got = access.read(source, self.task.most_bytes)
        data = got.data
        read = time.perf_counter()
        made = self.task.make(data, job.source, output)
        ended = time.perf_counter()
        if data == made.data and output == os.path.realpath(source):
            pass  # in place, and as it should be
        elif self.mirrored:
            access.write(output, made.data, replace=job.replace, sync=self.sync)
        else:
            access.write_named(output, made.data, source)
        if self.preserve:
            keep_mode_and_time(source, output)
        notices = made.notices
        if made.partial is not None:
            notices += (Notice(f"{printable(job.source)}: {made.partial}", "W-truncated"),)
        return {
            **self._head(job, 3 if made.partial else 0, None, notices),
            **made.facts,
            "status": "done",
            "source_bytes": got.size,
            "source_mtime_ns": job.mtime_ns or got.mtime_ns or None,
            "fetched_bytes": got.fetched,
            "output_bytes": len(made.data),
            "time": {
                **dict.fromkeys(("model_load_s", "search_s")),
                "read_s": round(read - began, 6),
                "encode_s" if "encode" in self.task.schema else "work_s": round(ended - read, 6),
                "write_s": round(time.perf_counter() - ended, 6),
            },
            "peak_memory_mib": peak_memory_mib(),
            "source_sha256": hashlib.sha256(data).hexdigest() if got.whole else None,
            "output_sha256": hashlib.sha256(made.data).hexdigest(),
        }

    def _at(self, name: str) -> str:
        return os.path.join(self.base, name) if self.base and not is_url(name) else name

    def failed(self, job: Job, error: BaseException) -> Record:
        """The record of a file that did not work out."""
        failed = as_error(error, job.source)
        record = self._head(job, failed.exit_code, failed, ())
        return {**record, "status": "failed"}

    def skipped(self, job: Job, known: Known | None) -> Record:
        """The record of a file whose output stays as it is."""
        record = {**self._head(job, 0, None, ()), "status": "skipped"}
        if known is not None:
            record["source_sha256"] = known.source_sha256
            record["output_sha256"] = known.output_sha256
        return record

    def planned(self, job: Job) -> Record:
        """The record of a file that would be worked on."""
        return {**self._head(job, 0, None, ()), "status": "skipped" if job.skip else "planned"}

    def _head(
        self, job: Job, code: int, error: SicError | None, notices: tuple[Notice, ...]
    ) -> Record:
        failed = failure(error) if error is not None else None
        output = None if job.output == "-" else job.output
        every = ("status", "source_bytes", "source_mtime_ns", "options_sha256", "output_bytes")
        return {
            **head(self.task.schema, job.source, output, code, failed, notices),
            **dict.fromkeys(every),
            **dict.fromkeys(self.task.keys),
            **dict.fromkeys(("width_px", "height_px", "time", "peak_memory_mib")),
            **dict.fromkeys(("source_sha256", "output_sha256", "fetched_bytes")),
            "source_bytes": job.size if job.fault is None else None,
            "source_mtime_ns": job.mtime_ns or None,
            "options_sha256": self.options_sha256 or None,
        }


def as_error(error: BaseException, source: str) -> SicError:
    """Whatever was raised, as the error that its file's record states."""
    if isinstance(error, SicError):
        return error
    if is_out_of_memory(error):
        return ResourceError(f"{printable(source)}: out of memory", "use fewer jobs")
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return OutputError(f"{printable(source)}: disk full")
    futures = sys.modules.get("concurrent.futures")  # a single file needs no pool and loads none
    ended = isinstance(error, (SystemExit, KeyboardInterrupt))
    if ended or (futures is not None and isinstance(error, futures.CancelledError)):
        return ResourceError(f"{printable(source)}: the process that worked on it was ended")
    failed = SicError(
        f"{printable(source)}: {type(error).__name__}: {error}",
        "please report this with the output of --traceback for this file alone",
    )
    failed.name = "bug"
    return failed


def peak_memory_mib() -> float | None:
    """The most memory that this process has held."""
    try:
        import resource
        import sys
    except ImportError:  # Windows
        return None
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit, 1)
