"""sic decode"""

from __future__ import annotations

from typing import Any

import click

from ..bitstream.fields import MAX_FILE
from ..convert import DecodeOptions, decode_file, open_sic
from ..errors import PartialError
from ..files import check_output, read_input, shown, write_output
from .choices import output_options
from .common import MESSAGES, beside, global_options, run_options, set_threads


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
@click.option(
    "--realism",
    type=click.FloatRange(0, 1),
    default=1.0,
    help="0: smallest error, highest PSNR; 1: most natural.",
    show_default=True,
)
@output_options
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
    realism: float,
    strict: bool,
    force: bool,
    device: str,
    threads: int,
    **choices: Any,
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
    data = read_input(source, MAX_FILE)
    open_sic(data, shown(source), strict)

    from ..picture.save import format_for

    kind = format_for(output if output != "-" else "", format_)
    set_threads(threads)
    made = decode_file(
        data,
        shown(source),
        kind,
        DecodeOptions(level, details, seed, strict, device, realism, **choices),
    )
    for notice in made.notices:
        MESSAGES.notice(notice)
    write_output(output, made.data)
    MESSAGES.detail(f"{shown(source)}: level {made.level} of {made.levels}")
    if made.fault:
        raise PartialError(f"{shown(source)}: {made.fault}; wrote level {made.level}")
