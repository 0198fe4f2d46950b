"""sic truncate: click and the standard library only."""

from __future__ import annotations

from typing import Any

import click

from ..batch.truncate_task import TruncateTask
from ..errors import UsageError
from .choices import Level
from .common import Rate, Size, global_options, one_of
from .folders import Command, process
from .options_io import Io, io_options

SUFFIXES = frozenset([".sic"])


@click.command()
@click.argument("inputs", metavar="INPUT...", nargs=-1)
@click.option("-l", "--level", type=Level(top=False), help="Keep levels 1..LEVEL.")
@click.option("--target-size", type=Size(), help="Keep as many levels as fit into this size.")
@click.option("--target-bpp", type=Rate(), help="The same in bits per pixel.")
@click.option(
    "--best-effort", is_flag=True, help="Of a file with fewer levels than --level take all."
)
@click.option(
    "--in-place",
    is_flag=True,
    help="Replace each file by what is kept of it, whole or not at all. Damaged and cut files stay; "
    "a link that is named is followed, one inside a folder is passed over.",
)
@io_options
@global_options
def command(
    inputs: tuple[str, ...],
    io: Io,
    level: int | None,
    target_size: int | None,
    target_bpp: float | None,
    best_effort: bool,
    in_place: bool,
) -> int:
    """Cut .sic files (- for standard input), or folders of them, to a lower level.

    The result is byte for byte what encoding to that level gives.

    \b
    Examples:
      sic truncate photo.sic -o small.sic -l 4
      sic truncate photo.sic -o small.sic --target-size 40k
      sic truncate -r archive --in-place -l 8 --best-effort
      cat photo.sic | sic truncate - -o - -l 4 | sic info -
    """
    one_of(level=level, target_size=target_size, target_bpp=target_bpp)
    if level is None and target_size is None and target_bpp is None:
        raise UsageError("say how much to keep: --level, --target-size or --target-bpp")
    task = TruncateTask(level, target_size, target_bpp, best_effort, in_place)
    at = "max" if level is None else str(level)
    command = Command(
        "truncate", task, SUFFIXES, ".sic", at, detail, named_output=True, in_place=in_place
    )
    return process(command, io, inputs)


def detail(record: dict[str, Any]) -> str:
    """What -v says of a file that was cut."""
    return (
        f"level {record['from_level']} -> {record['to_level']}, {record['from_bytes']} -> "
        f"{record['output_bytes']} bytes"
    )
