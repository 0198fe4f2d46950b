"""sic decode"""

from __future__ import annotations

import click

from ..bitstream.fields import CHUNK_ICC
from ..errors import CorruptError, PartialError, TargetError
from ..files import check_output, shown, write_output
from .common import (
    MESSAGES,
    beside,
    global_options,
    open_sic,
    require_level,
    run_options,
    set_threads,
)


@click.command()
@click.argument("source", metavar="INPUT")
@click.option("-o", "--output", help="File to write, or - (default: INPUT with .png).")
@click.option(
    "-l", "--level", type=click.IntRange(1, 64), help="Decode at this level (default: the highest)."
)
@click.option(
    "--format",
    "format_",
    help="png, jpg, webp, avif, tiff, ppm, ... (default: by suffix, else png).",
)
@click.option(
    "--details",
    type=click.Choice(["mean", "sample"]),
    default="mean",
    help="The most faithful picture, or one that the file allows, by --seed.",
    show_default=True,
)
@click.option(
    "--seed", type=click.IntRange(0, 2**32 - 1), help="Which sample (default: from the file)."
)
@click.option("--strict", is_flag=True, help="Refuse cut or damaged files.")
@click.option("-f", "--force", is_flag=True, help="Replace an existing output.")
@run_options
@global_options
def command(
    source: str,
    output: str | None,
    level: int | None,
    format_: str | None,
    details: str,
    seed: int | None,
    strict: bool,
    force: bool,
    device: str,
    threads: int,
) -> None:
    """Decode INPUT (a .sic file, or - for standard input).

    A cut or damaged file gives its best whole level, a notice, and exit code 3.

    \b
    Examples:
      sic decode photo.sic                       photo.png at the highest level
      sic decode photo.sic -o preview.jpg -l 3   level 3 as JPEG
      sic decode photo.sic --details sample --seed 7 -o other.png
    """
    if output is None:
        output = beside(source, f".{format_ or 'png'}")
    check_output(output, source, force)
    _, parsed = open_sic(source)
    require_level(source, parsed)
    if strict and parsed.fault and parsed.fault_kind != "trailing":
        raise CorruptError(f"{shown(source)}: {parsed.fault}")

    from ..picture.save import KEEPS_ICC, format_for, save

    kind = format_for(output if output != "-" else "", format_)
    if level is not None and level > parsed.header.levels:
        raise TargetError(
            f"level {level} was asked for, and the model has 1 to {parsed.header.levels}"
        )

    from ..codec.decode import decode

    set_threads(threads)
    made = decode(parsed, level=level, device=device, details=details, seed=seed)
    if strict and made.fault:
        raise CorruptError(f"{shown(source)}: {made.fault}")
    icc = parsed.chunk(CHUNK_ICC)
    if icc and kind not in KEEPS_ICC:
        MESSAGES.notice(f"{shown(output)}: {kind} files hold no colour profile", "W-meta-lost")
    write_output(output, save(made.pixels, kind, icc))
    MESSAGES.detail(f"{shown(source)}: level {made.level} of {parsed.header.levels}")
    if made.fault is None and parsed.fault_kind == "trailing":
        MESSAGES.notice(f"{shown(source)}: {parsed.fault}", "W-trailing")
        return
    fault = made.fault or parsed.fault
    if fault and made.level < (level or parsed.header.levels):
        raise PartialError(f"{shown(source)}: {fault}; wrote level {made.level}")
