"""Options of the commands that turn files into files: what is read, what is written, how many at once."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import click

from ..batch.jobs import fitting_jobs, workers_of
from ..errors import UsageError
from ..storage.files import printable
from ..storage.urls import ONE_PROCESS, is_url, scheme

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Io:
    """The values of `io_options`; help texts there say what they mean."""

    output: str | None
    recursive: bool
    jobs: int
    force: bool
    on_existing: str | None
    resume: bool
    dry_run: bool
    keep_going: bool
    max_failures: int | None
    glob: tuple[str, ...]
    exclude: tuple[str, ...]
    hidden: bool
    follow: bool
    max_depth: int | None
    files_from: str | None
    null: bool
    naming: str | None
    preserve: bool
    report: str | None
    as_json: bool
    fsync: bool
    cluster: str | None

    @property
    def existing(self) -> str:
        """What becomes of outputs that exist."""
        if self.on_existing is not None:
            return self.on_existing
        return "overwrite" if self.force else "resume" if self.resume else "fail"

    @property
    def most_failures(self) -> int | None:
        """After how many failures no more files are taken."""
        return self.max_failures if self.keep_going else 1

    def check(self, inputs: tuple[str, ...]) -> None:
        """Raise UsageError for combinations that make no sense."""
        if not inputs and self.files_from is None:
            raise UsageError(
                "no INPUT was named", "name files, -, folders with -r, or --files-from"
            )
        if self.force and self.on_existing not in (None, "overwrite"):
            raise UsageError(f"--force and --on-existing {self.on_existing} exclude each other")
        if self.resume and self.on_existing not in (None, "fail", "overwrite"):
            raise UsageError(f"--resume and --on-existing {self.on_existing} exclude each other")
        if self.null and self.files_from is None:
            raise UsageError("-0 needs --files-from")
        if self.as_json and self.output == "-":
            raise UsageError("--json and -o - both need standard output", "use --report FILE")
        if not self.keep_going and self.max_failures is not None:
            raise UsageError("--fail-fast and --max-failures exclude each other")
        if self.cluster is not None:
            if self.jobs != 1:
                raise UsageError("--cluster and --jobs exclude each other", "--cluster local:N")
            workers_of(self.cluster)
        self._check_urls(inputs)
        if self.report == "-":
            raise UsageError("--report needs a file", "use --json for standard output")

    def _check_urls(self, inputs: tuple[str, ...]) -> None:
        named = [name for name in (*inputs, self.output, self.files_from, self.report) if name]
        urls = [name for name in named if is_url(name)]
        if urls and self.preserve:
            raise UsageError("--preserve needs files, not URLs")
        if self.jobs > 1 or self.cluster is not None:
            for url in urls:
                if scheme(url) == ONE_PROCESS:
                    raise UsageError(
                        f"{printable(url)}: lies in this process, where no other sees it",
                        "use --jobs 1",
                    )


class Jobs(click.ParamType):  # type: ignore[type-arg]
    """A number of workers, or `auto`."""

    name = "N|auto"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if value == "auto":
            return fitting_jobs()
        try:
            number = int(value)
        except ValueError:
            number = 0
        if not 1 <= number <= 1024:
            self.fail(f"{value!r} is neither a number from 1 to 1024 nor auto", param, ctx)
        return number


def io_options(function: F) -> F:
    """The group "IO"; the command gets them as one argument `io`."""

    @functools.wraps(function)
    def with_io(*args: Any, **given: Any) -> Any:
        io = Io(**{f.name: given.pop(f.name) for f in fields(Io)})
        return function(*args, io=io, **given)

    made: Any = with_io
    for option in reversed(OPTIONS):
        made = option(made)
    result: F = made
    return result


OPTIONS = (
    click.option(
        "-o",
        "--output",
        help="File to write, or - (default: beside INPUT). A folder for several inputs.",
    ),
    click.option("-r", "--recursive", is_flag=True, help="Take what is in folders."),
    click.option(
        "-j", "--jobs", type=Jobs(), default="1", show_default=True, help="Files at a time."
    ),
    click.option("-f", "--force", is_flag=True, help="Replace existing outputs."),
    click.option(
        "--on-existing",
        type=click.Choice(["fail", "skip", "overwrite", "newer"]),
        help="What to do about existing outputs (newer: replace those older than their source). "
        "[default: fail]",
    ),
    click.option(
        "--resume",
        is_flag=True,
        help="Leave out what an earlier run finished, if source, options and output are unchanged.",
    ),
    click.option("-n", "--dry-run", is_flag=True, help="Only print what would be done."),
    click.option(
        "--keep-going/--fail-fast",
        default=True,
        help="After a file fails, go on (default) or stop.",
    ),
    click.option("--max-failures", type=click.IntRange(1), help="Stop after so many failures."),
    click.option("--glob", multiple=True, help="In folders, only what matches (gitignore rules)."),
    click.option("--exclude", multiple=True, help="In folders, not what matches."),
    click.option("--hidden", is_flag=True, help="In folders, also names that begin with a dot."),
    click.option("-L", "--follow", is_flag=True, help="Enter folders that are links."),
    click.option("--max-depth", type=click.IntRange(1), help="1: only files right in the folder."),
    click.option("--files-from", metavar="FILE", help="Further inputs, one a line; - for stdin."),
    click.option("-0", "--null", is_flag=True, help="Names in --files-from end with NUL."),
    click.option(
        "--name",
        "naming",
        help="Names of outputs: replace (the suffix), append, or a template with {stem} {name} "
        "{ext} {level} {parent} {index:04}. [default: replace]",
    ),
    click.option("-p", "--preserve", is_flag=True, help="Keep mode and times of the source."),
    click.option("--report", metavar="FILE", help="Append one line of JSON a file to FILE."),
    click.option(
        "--json",
        "as_json",
        is_flag=True,
        help="The same lines on standard output (see sic schema encode, decode, ...).",
    ),
    click.option("--fsync", is_flag=True, help="Wait until the disk has each file."),
    click.option(
        "--cluster",
        metavar="ADDRESS|local|local:N",
        help="Work on a Dask cluster (tcp://host:8786), or on one of N processes here.",
    ),
)
