"""What commands share: options and the types of their values."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable
from pathlib import PurePath
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from ..codec.bitstream.fields import MAX_FILE
from ..codec.bitstream.reader import Parsed, parse
from ..errors import InputError, SicError, UsageError
from ..storage import access
from ..storage.files import printable
from ..storage.urls import is_url, split
from . import settings
from .messages import MESSAGES as MESSAGES
from .messages import WHEN

F = TypeVar("F", bound=Callable[..., Any])
UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 2**10, "mi": 2**20, "gi": 2**30}


DEVICE = re.compile("auto|cpu|cuda(:[0-9]{1,3})?")
RANKS = {ParameterSource.COMMANDLINE: 2, ParameterSource.DEFAULT_MAP: 1}
GLOBAL: tuple[tuple[tuple[str, ...], dict[str, Any]], ...] = (
    (("-v", "--verbose"), {"count": True, "help": "Say more; twice: still more."}),
    (("--quiet",), {"is_flag": True, "help": "Only errors."}),
    (
        ("--color",),
        {
            "type": click.Choice(WHEN),
            "default": "auto",
            "help": "Colours in messages; auto heeds NO_COLOR and FORCE_COLOR.",
        },
    ),
    (
        ("--progress",),
        {
            "type": click.Choice(WHEN),
            "default": "auto",
            "help": "A progress line on stderr; auto: on a terminal.",
        },
    ),
    (("--traceback",), {"is_flag": True, "help": "Show Python tracebacks of errors."}),
    (
        ("--config",),
        {
            "metavar": "FILE",
            "is_eager": True,
            "help": "Take options from this TOML file instead of the user's.",
        },
    ),
    (
        ("--no-config",),
        {"is_flag": True, "is_eager": True, "help": "Take options from no file."},
    ),
)


def _take(context: click.Context, param: click.Parameter, value: Any) -> None:
    name = param.name or ""
    source = context.get_parameter_source(name)
    if source in RANKS:
        MESSAGES.set(name, value, RANKS[source])


def _configure(context: click.Context, param: click.Parameter, value: Any) -> None:
    """--config and --no-config. A command, unlike a group of them, then gets its defaults."""
    meta, named = context.meta, param.name == "config"
    if value and meta.get(settings.NO_FILE if named else settings.NAMED):
        raise UsageError("--config and --no-config exclude each other")
    if value:
        meta[settings.NAMED if named else settings.NO_FILE] = value
    if named and not context.resilient_parsing and not isinstance(context.command, click.Group):
        MESSAGES.context = context
        settings.apply(context)


def global_options(function: F) -> F:
    """Options that stand before or after the command; hidden, but for `sic --help`."""
    for names, extra in reversed(GLOBAL):
        callback = _configure if extra.get("is_eager") else _take
        function = click.option(
            *names, expose_value=False, hidden=True, callback=callback, **extra
        )(function)
    return function


def json_option(schema: str) -> Callable[[F], F]:
    """--json, as the parameter `as_json`."""
    return click.option(
        "--json",
        "as_json",
        is_flag=True,
        help=f"One JSON document a line on stdout (see sic schema {schema}).",
    )


def run_options(function: F) -> F:
    """--device and --threads."""
    for option in (
        click.option(
            "--threads",
            type=click.IntRange(0, 1024),
            default=0,
            help="CPU threads; 0: one for each core unless OMP_NUM_THREADS says otherwise.",
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
    if not DEVICE.fullmatch(value):
        raise click.BadParameter("must be auto, cpu, cuda or cuda:N")
    return value


def set_threads(threads: int) -> None:
    """Use so many threads; 0: as many as there are cores."""
    if threads:
        from ..codec.inference import parallel

        parallel.set_threads(threads)
        os.environ["OMP_NUM_THREADS"] = str(threads)  # torch reads it when a metric loads it


class Size(click.ParamType):  # type: ignore[type-arg]
    """100k = 100 000, 100KiB = 102 400, a bare number = bytes."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
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


class Number(click.FloatRange):
    """A number in a range; click's own lets NaN through, which is below and above nothing."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a number", param, ctx)
        return number


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
    data = access.read(source, MAX_FILE).data
    try:
        return data, parse(data)
    except SicError as error:
        raise type(error)(f"{printable(source)}: {error}", error.hint) from None


def require_level(source: str, parsed: Parsed) -> None:
    """Raise CorruptError, with the file's name, unless there is at least level 1."""
    try:
        parsed.require_level()
    except SicError as error:
        raise type(error)(f"{printable(source)}: {error}", error.hint) from None


def beside(source: str, suffix: str) -> str:
    """The output that belongs to an input when none was named."""
    if source == "-":
        raise UsageError("standard input needs -o FILE or -o -")
    if is_url(source) and "/" not in suffix:
        folder, name = split(source)
        return f"{folder}/{PurePath(name).stem}{suffix}"
    if not PurePath(source).name or "/" in suffix:
        raise InputError(f"{printable(source) or 'an empty name'}: is not a file")
    return str(PurePath(source).with_suffix(suffix))


def one_of(**given: object) -> None:
    """Raise UsageError if more than one of some options was given."""
    named = [f"--{k.replace('_', '-')}" for k, v in given.items() if v is not None]
    if len(named) > 1:
        raise UsageError(f"{' and '.join(named)} exclude each other")
