"""sic decode"""

from __future__ import annotations

from typing import Any

import click
from click.core import ParameterSource

from ..batch.tasks import DecodeTask
from ..errors import UsageError
from ..pipeline.limits import Limits
from ..pipeline.options import DecodeOptions
from .choices import Level, output_options, realism_option
from .common import global_options, run_options
from .folders import Command, many, process
from .options_io import Io, io_options
from .options_limits import limit_options

SUFFIXES = frozenset([".sic"])


@click.command()
@click.argument("inputs", metavar="INPUT...", nargs=-1)
@click.option("-l", "--level", type=Level(), help="Decode at this level (default: the highest).")
@click.option(
    "--format",
    "format_",
    help="png, jpg, webp, avif, tiff, ppm, ... (default: by suffix, else png).",
)
@click.option(
    "--details",
    type=click.Choice(["mean", "sample"]),
    default="mean",
    help="sample: another picture that the same file allows, by --seed.",
    show_default=True,
)
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), help="Which sample (default: 1).")
@realism_option("0: smallest error, highest PSNR; 1: most natural.")
@click.option("--preview", is_flag=True, help="The preview alone: a sixteenth of the size.")
@click.option(
    "--scale",
    type=click.Choice(["1", "2", "4"]),
    default="1",
    callback=lambda _, __, value: int(value),
    help="Show the preview at so many times its size.",
    show_default=True,
)
@output_options
@click.option("--strict", is_flag=True, help="Refuse cut or damaged files.")
@io_options
@run_options
@limit_options
@global_options
def command(
    inputs: tuple[str, ...],
    io: Io,
    format_: str | None,
    threads: int,
    limits: Limits,
    **choices: Any,
) -> int:
    """Decode .sic files (- for standard input), or folders of them.

    A cut or damaged file gives its best whole level, a notice, and exit code 3.

    \b
    Examples:
      sic decode photo.sic                       photo.png at the highest level
      sic decode photo.sic -o preview.jpg -l 3   level 3 as JPEG
      sic decode photo.sic --preview -o thumb.png
      sic decode photo.sic --details sample --seed 7 -o other.png
      sic decode -r out/ -o pictures/ --format jpg
    """
    check_preview(choices)
    options = DecodeOptions(**choices)
    level = "max" if options.level is None else str(options.level)
    level = "preview" if options.preview else level
    suffix = f".{format_ or 'png'}"
    if many(inputs, io) and format_ is not None:
        check_format(format_)
    task = DecodeTask(options, format_, threads, limits)
    return process(
        Command("decode", task, SUFFIXES, suffix, level, detail, options.device), io, inputs
    )


def check_preview(choices: dict[str, Any]) -> None:
    """Raise UsageError where an option was typed that would say nothing beside others.

    A level that a configuration or a variable sets is no mistake: `--preview` goes before it."""
    source = click.get_current_context().get_parameter_source("level")
    if choices["preview"] and choices["level"] and source is ParameterSource.COMMANDLINE:
        raise UsageError("--preview is level 0; leave out --level or --preview")
    if choices["scale"] != 1 and not choices["preview"]:
        raise UsageError("--scale is of previews; add --preview")


def check_format(format_: str) -> None:
    """Raise UsageError at once, not once a file, for a format that is not written."""
    from ..picture.save import format_for

    format_for("", format_)


def detail(record: dict[str, Any]) -> str:
    """What -v says of a file that was decoded."""
    text = f"level {record['level']} of {record['levels_total']}"
    if record["fetched_bytes"] is not None:
        text += f", {record['fetched_bytes']} of {record['source_bytes']} bytes fetched"
    return text
