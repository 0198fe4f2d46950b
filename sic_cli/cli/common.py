"""What commands share: options, sizes, lines on stderr."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, TypeVar

import click

from ..bitstream.fields import MAX_FILE
from ..bitstream.reader import Parsed, parse
from ..errors import InputError, Notice, SicError, UsageError
from ..files import read_input, shown

F = TypeVar("F", bound=Callable[..., Any])
UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 2**10, "mi": 2**20, "gi": 2**30}
ASKED_FOR = {"W-icc-converted"}
"""Notices that say that an option was obeyed: shown with -v alone."""


@dataclass(slots=True)
class Messages:
    """How much is said on stderr."""

    quiet: bool = False
    verbose: int = 0
    traceback: bool = False

    def notice(self, notice: Notice) -> None:
        """A warning that people should see unless they asked for quiet."""
        if not self.quiet and (self.verbose or notice.code not in ASKED_FOR):
            click.echo(f"sic: warning: {notice.text} [{notice.code}]", err=True)

    def detail(self, text: str) -> None:
        """Only with -v."""
        if self.verbose and not self.quiet:
            click.echo(f"sic: {text}", err=True)


MESSAGES = Messages()


def _verbosity(name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def take(_: click.Context, __: click.Parameter, value: Any) -> None:
        if value:
            setattr(MESSAGES, name, value)

    return take


def global_options(function: F) -> F:
    """Options that stand before or after the command."""
    for option in (
        click.option(
            "--traceback",
            is_flag=True,
            expose_value=False,
            callback=_verbosity("traceback"),
            help="Show Python tracebacks of errors.",
        ),
        click.option(
            "--quiet",
            is_flag=True,
            expose_value=False,
            callback=_verbosity("quiet"),
            help="Only errors.",
        ),
        click.option(
            "-v",
            "--verbose",
            count=True,
            expose_value=False,
            callback=_verbosity("verbose"),
            help="Say more.",
        ),
    ):
        function = option(function)
    return function


def run_options(function: F) -> F:
    """--device and --threads."""
    for option in (
        click.option(
            "--threads", type=click.IntRange(0, 1024), default=0, help="CPU threads (0: all)."
        ),
        click.option(
            "-d",
            "--device",
            default="auto",
            callback=one_device,
            help="auto, cpu, cuda or cuda:N.",
            show_default=True,
        ),
    ):
        function = option(function)
    return function


def one_device(_: click.Context, __: click.Parameter, value: str) -> str:
    if not re.fullmatch("auto|cpu|cuda(:[0-9]{1,3})?", value):
        raise click.BadParameter("must be auto, cpu, cuda or cuda:N")
    return value


def set_threads(threads: int) -> None:
    """Tell torch how many threads to use."""
    if threads:
        import torch

        torch.set_num_threads(threads)


class Size(click.ParamType):  # type: ignore[type-arg]
    """100k = 100 000, 100KiB = 102 400, a bare number = bytes."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        text = str(value).strip().lower()
        digits = text.rstrip("kmgib")
        unit = text[len(digits) :].removesuffix("b")
        try:
            number = float(digits) * UNITS[unit]
        except (ValueError, KeyError):
            self.fail(f"{value!r} is not a size such as 4096, 100k or 64KiB", param, ctx)
        if not math.isfinite(number) or number < 1:
            self.fail(f"{value!r} is not a positive size", param, ctx)
        return int(number)


class Rate(click.ParamType):  # type: ignore[type-arg]
    """Bits per pixel: a finite number above 0."""

    name = "bpp"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not (math.isfinite(number) and number > 0):
            self.fail(f"{value!r} is not a positive number", param, ctx)
        return number


def open_sic(source: str) -> tuple[bytes, Parsed]:
    """Bytes and contents of a .sic file; whatever is wrong with it is said with its name."""
    data = read_input(source, MAX_FILE)
    try:
        return data, parse(data)
    except SicError as error:
        raise type(error)(f"{shown(source)}: {error}", error.hint) from None


def require_level(source: str, parsed: Parsed) -> None:
    """Raise CorruptError, with the file's name, unless there is at least level 1."""
    try:
        parsed.require_level()
    except SicError as error:
        raise type(error)(f"{shown(source)}: {error}", error.hint) from None


def beside(source: str, suffix: str) -> str:
    """The output that belongs to an input when none was named."""
    if source == "-":
        raise UsageError("standard input needs -o FILE or -o -")
    if not PurePath(source).name or "/" in suffix:
        raise InputError(f"{shown(source) or 'an empty name'}: is not a file")
    return str(PurePath(source).with_suffix(suffix))


def one_of(**given: object) -> None:
    """Raise UsageError if more than one of some options was given."""
    named = [f"--{k.replace('_', '-')}" for k, v in given.items() if v is not None]
    if len(named) > 1:
        raise UsageError(f"{' and '.join(named)} exclude each other")
