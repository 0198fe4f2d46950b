"""sic truncate: click and the standard library only."""

from __future__ import annotations

import click

from ..bitstream.truncate import level_within, truncate
from ..errors import CorruptError, Notice, UsageError
from ..files import check_output, shown, write_output
from .common import MESSAGES, Rate, Size, global_options, one_of, open_sic, require_level


@click.command()
@click.argument("source", metavar="INPUT")
@click.option("-o", "--output", required=True, help="File to write, or -.")
@click.option("-l", "--level", type=click.IntRange(1, 64), help="Keep levels 1..LEVEL.")
@click.option("--target-size", type=Size(), help="Keep as many levels as fit into this size.")
@click.option("--target-bpp", type=Rate(), help="The same in bits per pixel.")
@click.option("-f", "--force", is_flag=True, help="Replace an existing output.")
@global_options
def command(
    source: str,
    output: str,
    level: int | None,
    target_size: int | None,
    target_bpp: float | None,
    force: bool,
) -> None:
    """Cut INPUT (a .sic file, or -) to a lower level.

    The result is byte for byte what encoding to that level gives.
    """
    one_of(level=level, target_size=target_size, target_bpp=target_bpp)
    if level is None and target_size is None and target_bpp is None:
        raise UsageError("say how much to keep: --level, --target-size or --target-bpp")
    check_output(output, source, force)
    data, parsed = open_sic(source)
    require_level(source, parsed)
    if parsed.fault_kind == "damage":
        wanted = level if level is not None else parsed.level
        if wanted > parsed.level:
            raise CorruptError(f"{shown(source)}: {parsed.fault}")
        MESSAGES.notice(Notice(f"{shown(source)}: {parsed.fault}", "W-truncated"))
    level = level or level_within(parsed, target_size, target_bpp)
    made = truncate(data, level, parsed)
    write_output(output, made)
    MESSAGES.detail(
        f"{shown(source)}: level {parsed.level} -> {level}, {len(data)} -> {len(made)} bytes"
    )
