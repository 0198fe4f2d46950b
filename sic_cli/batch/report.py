"""What became of each file: one line of JSON each, written as it ends; and what such lines remember.

A line is whole or torn (the process was killed while it wrote); a torn one at the end is ignored when
lines are read, and closed when more are written.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol, Self

from ..errors import OutputError, SicError
from ..schemas.documents import head, line, readable
from ..storage import access
from ..storage.files import output_error, printable
from ..storage.urls import is_url

JOURNAL = ".sic-resume.jsonl"
"""The file in an output folder that remembers what was done, where no report was asked for."""

SHOWN_FAILURES = 20
MOST_HASHED = 4 << 30
"""Bytes of a source or output behind a URL that is read once more to see whether it changed."""


class Report:
    """A file of JSON Lines that grows. Raises OutputError."""

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
            self.file = open(path, "ab+")  # noqa: SIM115  closed in __exit__
            if self.file.tell() > 0:
                self.file.seek(-1, os.SEEK_END)
                if self.file.read(1) != b"\n":
                    self.file.write(b"\n")
        except OSError as error:
            raise output_error(path, error) from None

    def add(self, document: Mapping[str, Any]) -> None:
        """Write one line, at once."""
        try:
            self.file.write(line(document).encode() + b"\n")
            self.file.flush()
        except OSError as error:
            raise output_error(self.path, error) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        try:
            self.file.close()
        except OSError as error:  # what a full disk did not take was reported by `add`
            if _ is None:
                raise output_error(self.path, error) from None


class Lines(Protocol):
    """A report by path or URL."""

    def add(self, document: Mapping[str, Any]) -> None:
        """Write one line."""


def open_report(path: str) -> contextlib.AbstractContextManager[Lines]:
    """The report at a path or URL, to be added to. Raises OutputError."""
    if not is_url(path):
        return Report(path)
    from .remote_report import RemoteReport

    return RemoteReport(path)


@dataclass(frozen=True, slots=True)
class Known:
    """What a line remembers of a file that was done."""

    source_bytes: int
    source_mtime_ns: int
    source_sha256: str
    output_sha256: str
    options_sha256: str

    def still_true(self, source: str, output: str, options: str) -> bool:
        """Whether source, options and output are what they were; reads the output, and the source
        if its time differs."""
        if self.options_sha256 != options:
            return False
        try:
            size, mtime_ns = access.size_and_time(source)
            if size != self.source_bytes or sha256_of(output) != self.output_sha256:
                return False
            if mtime_ns == self.source_mtime_ns != 0:
                return True
            return sha256_of(source) == self.source_sha256
        except (OSError, SicError):
            return False


def sha256_of(path: str) -> str:
    """Digest of a file's bytes. Raises OSError, SicError."""
    return access.sha256_of(path, MOST_HASHED)


def remembered(path: str) -> dict[str, Known]:
    """Outputs that earlier runs finished, by name; the last line of each wins.

    Lines that are no such record are passed over. Raises OutputError for a file that cannot be read.
    """
    known: dict[str, Known] = {}
    for row in _rows(path):
        record = _parsed(row)
        if record is not None:
            known[record[0]] = record[1]
    return known


def _rows(path: str) -> Iterator[bytes]:
    if is_url(path):
        from .remote_report import rows

        yield from rows(path)
        return
    try:
        with open(path, "rb") as file:
            yield from file
    except FileNotFoundError:
        pass
    except OSError as error:
        raise OutputError(f"{printable(path)}: {error.strerror}") from None


def _parsed(row: bytes) -> tuple[str, Known] | None:
    try:
        record = json.loads(row)
        return str(record["output"]), Known(
            int(record["source_bytes"]),
            int(record["source_mtime_ns"] or 0),
            str(record["source_sha256"]),
            str(record["output_sha256"]),
            str(record["options_sha256"]),
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def key_of(output: str) -> str:
    """An output's name as lines hold it."""
    return readable(output)


@dataclass(slots=True)
class Summary:
    """Counts of a run. `first` holds the first failures, for the list at its end."""

    done: int = 0
    skipped: int = 0
    failed: int = 0
    planned: int = 0
    partial: int = 0
    input_bytes: int = 0
    output_bytes: int = 0
    pixels: int = 0
    first_error_code: int | None = None
    first: list[tuple[str, int]] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)

    def count(self, record: Mapping[str, Any]) -> None:
        """Take a record into account."""
        status = record["status"]
        setattr(self, status, getattr(self, status) + 1)
        if status == "failed":
            self.first_error_code = self.first_error_code or record["code"]
            if len(self.first) < SHOWN_FAILURES:
                self.first.append((record["input"], record["code"]))
        if status == "done":
            self.partial += record["code"] == 3
            self.input_bytes += record["source_bytes"] or 0
            self.output_bytes += record["output_bytes"] or 0
            self.pixels += (record["width_px"] or 0) * (record["height_px"] or 0)

    @property
    def seconds(self) -> float:
        """Since the run began."""
        return time.monotonic() - self.started

    @property
    def code(self) -> int:
        """The exit code of several inputs."""
        return 1 if self.failed else 3 if self.partial else 0

    def document(self, code: int) -> dict[str, Any]:
        """sic.summary/1."""
        return {
            **head("sic.summary/1", None, None, code),
            "done": self.done,
            "skipped": self.skipped,
            "failed": self.failed,
            "planned": self.planned,
            "input_bytes": self.input_bytes,
            "output_bytes": self.output_bytes,
            "elapsed_s": round(self.seconds, 3),
            "first_error_code": self.first_error_code,
        }

    def sentences(self, rate: bool) -> Iterator[str]:
        """For people: one line, and the first failures. rate: bits per pixel mean something."""
        text = f"{self.done} done, {self.skipped} skipped, {self.failed} failed"
        if self.done:
            share = (
                f" ({100 * self.output_bytes / self.input_bytes:.1f} %)" if self.input_bytes else ""
            )
            text += f": {size(self.input_bytes)} -> {size(self.output_bytes)}{share}"
            if rate and self.pixels:
                text += f", {8 * self.output_bytes / self.pixels:.2f} bpp"
        yield f"{text}, {clock(self.seconds)}"
        if self.failed:
            yield "failed:"
            for name, code in self.first:
                yield f"  {printable(name)} (code {code})"
            if self.failed > len(self.first):
                yield f"  and {self.failed - len(self.first)} more"


def size(count: int) -> str:
    """Bytes for people: 48.1 MB."""
    number = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if number < 1000 or unit == "GB":
            break
        number /= 1000
    return f"{count} bytes" if unit == "bytes" else f"{number:.1f} {unit}"


def clock(seconds: float) -> str:
    """Seconds for people: 41 s, 3 min 5 s, 2 h 10 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
