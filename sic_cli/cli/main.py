"""The group, and the one place where errors become exit codes (see errors.py)."""

from __future__ import annotations

import errno
import importlib
import os
import signal
import sys
from types import FrameType
from typing import Any

import click

from .. import __version__
from ..errors import Notice, PartialError, SicError
from ..files import shown
from .common import MESSAGES, global_options

COMMANDS = {
    "encode": "Encode a picture into a .sic file.",
    "decode": "Decode a .sic file into a picture.",
    "truncate": "Cut a .sic file to a lower level, without decoding.",
    "info": "Show what a .sic file holds.",
    "verify": "Check a .sic file.",
    "eval": "Measure sic and other codecs on pictures.",
    "compare": "Metrics of pictures against one, and a page to look at them.",
    "report": "A page from results of eval or encode, or from a .sic file.",
    "models": "List the weights on this machine.",
    "train": "Train or continue a model, and export weights.",
}
INTERRUPTED, CLOSED_PIPE, TERMINATED = 130, 141, 143


class Lazy(click.Group):
    """Loads a command's file when it is asked for, so that `sic info` never imports torch."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f".{cmd_name}", __package__)
        command: click.Command = module.command
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


class ClosedPipe(Exception):
    """Somebody stopped reading our standard output."""


def version_line() -> str:
    """`sic 0.1.0 (format 1, torch 2.13.0)`, without importing torch."""
    from importlib.metadata import PackageNotFoundError, version

    from ..bitstream.fields import VERSION

    try:
        torch = version("torch")
    except PackageNotFoundError:
        torch = "missing"
    return f"sic {__version__} (format {VERSION}, torch {torch})"


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
    help="Show version, format and torch.",
)
@global_options
def cli() -> None:
    """sic: pictures that can be cut.

    One .sic file decodes at 16 levels; any prefix of it is a smaller file. Details that a level does
    not send are invented by the decoder: not for medical or legal pictures.
    """


def _terminate(signum: int, _: FrameType | None) -> None:
    raise SystemExit(128 + signum)


def main(arguments: list[str] | None = None) -> None:
    """Run, and exit with a documented code."""
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), _terminate)
    MESSAGES.quiet, MESSAGES.verbose = False, 0
    MESSAGES.traceback = bool(os.environ.get("SIC_TRACEBACK"))
    try:
        code = cli.main(args=arguments, prog_name="sic", standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except PartialError as error:
        MESSAGES.notice(Notice(str(error), "W-truncated"))
        sys.exit(error.exit_code)
    except SicError as error:
        fail(str(error), error.name, error.exit_code, error.hint)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        sys.exit(2)
    except click.ClickException as error:
        command = (
            error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "sic"
        )
        fail(error.format_message(), "usage", 2, f"see {command} --help")
    except (click.Abort, KeyboardInterrupt):
        fail("interrupted", "interrupted", INTERRUPTED)
    except (ClosedPipe, BrokenPipeError):
        os._exit(CLOSED_PIPE)  # at once: an exit that flushes stdout would fail again
    except MemoryError:
        fail("out of memory", "resources", 7)
    except OSError as error:
        code = 9 if error.errno in (errno.ENOSPC, errno.EDQUOT) else 1
        fail(str(error), "output" if code == 9 else "failed", code)
    except Exception as error:
        if type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in str(error):
            fail("out of memory", "resources", 7)
        text = f"{type(error).__name__}: {error}"
        fail(text, "bug", 1, "please report this with the output of --traceback")


def fail(text: str, name: str, code: int, hint: str | None = None) -> None:
    """One line on stderr, perhaps a hint, and the exit code."""
    if MESSAGES.traceback and sys.exc_info()[0]:
        import traceback

        traceback.print_exc()
    click.echo(f"sic: error: {shown(text)} [{name}]", err=True)
    if hint:
        click.echo(f"  hint: {hint}", err=True)
    sys.exit(code)
