"""The group, and the one place where errors become exit codes (see errors.py)."""

from __future__ import annotations

import errno
import gc
import importlib
import os
import signal
import sys
import warnings
from types import FrameType
from typing import Any

import click

from .._version import __version__
from ..errors import Notice, PartialError, SicError, UsageError
from ..schemas.documents import failure, head
from .common import MESSAGES, global_options
from .settings import options_of, origin_of, words_of

COMMANDS = {
    "encode": "Encode a picture into a .sic file.",
    "decode": "Decode a .sic file into a picture.",
    "truncate": "Cut a .sic file to a lower level, without decoding.",
    "info": "Show what a .sic file holds.",
    "verify": "Check a .sic file.",
    "eval": "Measure sic and other codecs on pictures.",
    "compare": "Metrics of pictures against one, and a page to look at them.",
    "report": "A page from results of eval or encode, or from a .sic file.",
    "models": "List, check and add the weights on this machine.",
    "train": "Train or continue a model, and export weights.",
    "doctor": "Check this installation of sic.",
    "config": "Show what options are set to, and where.",
    "completion": "Print a script that completes commands in a shell.",
    "schema": "Print the JSON Schema of what --json prints.",
}
INTERRUPTED, CLOSED_PIPE, TERMINATED = 130, 141, 143
COMPLETING = "_SIC_COMPLETE"
EPILOG = "Options of all commands (-v, --quiet, --color, --config, ...): sic --help"


class Lazy(click.Group):
    """Loads a command's file when it is asked for, so that `sic info` never imports torch."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f".{cmd_name}", __package__)
        command: click.Command = module.command
        _finish(command, ctx)
        if COMPLETING in os.environ:
            from .completion import attach

            attach(cmd_name, command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        try:
            return super().make_context(*args, **extra)
        except BrokenPipeError:  # --help and --version write while options are read
            raise ClosedPipe from None

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise ClosedPipe from None


def _finish(command: click.Command, context: click.Context) -> None:
    """The last line of every command's help."""
    command.epilog = command.epilog or EPILOG
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            if inner is not None:
                _finish(inner, context)


class ClosedPipe(Exception):
    """Somebody stopped reading our standard output."""


def version_line() -> str:
    """`sic 0.1.0 (format 1, numpy 2.4.6)`, without importing NumPy."""
    from importlib.metadata import PackageNotFoundError, version

    from ..codec.bitstream.fields import VERSION

    try:
        numpy = version("numpy")
    except PackageNotFoundError:
        numpy = "missing"
    return f"sic {__version__} (format {VERSION}, numpy {numpy})"


def _show_version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        click.echo(version_line())
        ctx.exit()


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "-V",
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show version, format and NumPy.",
)
@global_options
def cli() -> None:
    """sic: pictures that can be cut.

    One .sic file decodes at 16 levels; any prefix of it is a smaller file. Details that a level does
    not send are invented by the decoder: not for medical or legal pictures.

    Options stand before or after the command. Every option can also be set by a variable such as
    SIC_DEVICE or SIC_ENCODE_LEVEL, and in a TOML file: see sic config --help.

    \b
    Examples:
      sic encode photo.jpg                       # photo.sic, at all levels
      sic decode photo.sic -o small.png -l 4     # level 4 as PNG
      sic truncate photo.sic -o cut.sic -l 4     # level 4 as a smaller .sic
      sic info --json photo.sic                  # what is inside, for scripts
      sic COMMAND --help                         # all about one command

    \b
    Exit codes:
      0 done              1 several inputs, and some failed; or a fault of sic
      2 wrong option      3 cut or damaged file: the best whole level was written
      4 input             5 damaged beyond any level, or made by a newer sic
      6 weights           7 too large, no memory, no such device or cluster
      8 target not met    9 output exists, is not writable, or the disk is full
      11 check failed     130 interrupted, 141 pipe closed, 143 terminated
    """


for _option in cli.params:
    if isinstance(_option, click.Option):
        _option.hidden = False


def _terminate(signum: int, _: FrameType | None) -> None:
    raise SystemExit(128 + signum)


def main(arguments: list[str] | None = None) -> None:
    """Run, and exit with a documented code."""
    gc.set_threshold(20_000)  # what commands load stays: looking there for garbage takes its time
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), _terminate)
    MESSAGES.reset()
    words = sys.argv[1:] if arguments is None else arguments
    with warnings.catch_warnings():
        MESSAGES.capture_warnings()
        _run(words)


def _run(words: list[str]) -> None:
    try:
        code = cli.main(args=words, prog_name="sic", standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except PartialError as error:
        MESSAGES.notice(Notice(str(error), "W-truncated"))
        _document(words, error.exit_code, failure(error))
        sys.exit(error.exit_code)
    except SicError as error:
        hint = error.hint or (_untyped(str(error)) if isinstance(error, UsageError) else None)
        fail(words, str(error), error.name, error.exit_code, hint)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        sys.exit(2)
    except click.ClickException as error:
        fail(words, *_usage(error))
    except (click.Abort, KeyboardInterrupt):
        fail(words, "interrupted", "interrupted", INTERRUPTED)
    except (ClosedPipe, BrokenPipeError):
        os._exit(CLOSED_PIPE)  # at once: an exit that flushes stdout would fail again
    except MemoryError:
        fail(words, "out of memory", "resources", 7)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        text = "standard output: disk full" if full and error.filename is None else str(error)
        fail(words, text, "output" if full else "failed", 9 if full else 1)
    except Exception as error:
        if type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in str(error):
            fail(words, "out of memory", "resources", 7)
        text = f"{type(error).__name__}: {error}"
        fail(words, text, "bug", 1, "please report this with the output of --traceback")


def _untyped(text: str) -> str | None:
    """Where the options that a message names were set, if not on the command line."""
    context, origins = MESSAGES.context, []
    for key, option in options_of(context.command).items() if context else ():
        origin = origin_of(context, option) if context and f"--{key} " in f"{text} " else None
        if origin:
            origins.append(f"--{key} is set by {origin}")
    return ", ".join(origins) or None


def _usage(error: click.ClickException) -> tuple[str, str, int, str]:
    """Text, name, exit code and hint; a value that was not typed is reported with its origin."""
    text, context = error.format_message(), getattr(error, "ctx", None)
    if isinstance(error, click.BadParameter) and context is not None:
        origin = origin_of(context, error.param)
        text += f" (from {origin})" if origin else ""
    return text, "usage", 2, f"see {context.command_path if context else 'sic'} --help"


def fail(words: list[str], text: str, name: str, code: int, hint: str | None = None) -> None:
    """One line on stderr, perhaps a hint, with --json a document, and the exit code."""
    if MESSAGES.traceback and sys.exc_info()[0]:
        import traceback

        traceback.print_exc()
    MESSAGES.error(text, name, hint)
    _document(words, code, {"name": name, "text": text, "hint": hint})
    _leave(code)


def _document(words: list[str], code: int, error: dict[str, Any]) -> None:
    """What went wrong as JSON, if that was asked for and the command has not told it yet."""
    context = MESSAGES.context
    params = context.params if context else {}
    options = words[: words.index("--")] if "--" in words else words
    if MESSAGES.documents or not (params.get("as_json") or "--json" in options):
        return
    command = (words_of(context) if context else tuple(w for w in words if w in COMMANDS))[:1]
    from ..schemas import empty, names

    schema = f"sic.{''.join(command)}/1"
    if schema not in names():
        return
    sources = params.get("sources") or params.get("source")
    one = sources[0] if isinstance(sources, tuple) and len(sources) == 1 else sources
    source = one if isinstance(one, str) else None
    facts = {**empty(schema), **head(schema, source, None, code, error)}
    try:
        MESSAGES.document(facts)
    except BrokenPipeError:
        os._exit(CLOSED_PIPE)
    except OSError:
        _leave(code)


def _leave(code: int) -> None:
    """Exit with this code, also where what is left for stdout cannot be written."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except (OSError, ValueError):
        os._exit(code)
    sys.exit(code)
