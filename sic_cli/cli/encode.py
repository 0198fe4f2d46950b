"""sic encode"""

from __future__ import annotations

from typing import Any

import click

from ..bitstream.fields import MAX_PIXELS
from ..convert import EncodeOptions, encode_file
from ..files import check_output, read_input, shown, write_output
from ..targets import conflicts, goals, told
from .choices import picture_options
from .common import (
    MESSAGES,
    Rate,
    Size,
    beside,
    global_options,
    run_options,
    set_threads,
)

MAX_INPUT = 8 * MAX_PIXELS + (64 << 20)


@click.command()
@click.argument("source", metavar="INPUT")
@click.option("-o", "--output", help="File to write, or - (default: INPUT with .sic).")
@click.option(
    "-l", "--level", type=click.IntRange(1, 64), help="Write levels 1..LEVEL (default: all)."
)
@click.option(
    "-q",
    "--quality",
    type=click.IntRange(1, 100),
    help="Share of the levels, in percent; not JPEG's scale.",
)
@click.option("--target-size", type=Size(), help="At most this many bytes, such as 40k.")
@click.option(
    "--target-bpp",
    type=Rate(),
    help="At most this many bits per pixel.",
)
@click.option(
    "-t",
    "--target",
    "targets",
    multiple=True,
    metavar="psnr=DB|ssim=X|lpips=X",
    help="Smallest level that meets all of these, measured on decoded pixels (whole levels only).",
)
@click.option("--best-effort", is_flag=True, help="Take the nearest level if none meets them.")
@click.option("--measure", is_flag=True, help="State the true PSNR of every level in the file.")
@picture_options
@click.option(
    "--seed", type=click.IntRange(0, 2**32 - 1), default=0, help="Default seed of sampled details."
)
@click.option("-m", "--model", help="Weights: a name from `sic models`, or a folder.")
@click.option("-f", "--force", is_flag=True, help="Replace an existing output.")
@run_options
@global_options
def command(
    source: str,
    output: str | None,
    level: int | None,
    quality: int | None,
    target_size: int | None,
    target_bpp: float | None,
    targets: tuple[str, ...],
    best_effort: bool,
    measure: bool,
    seed: int,
    model: str | None,
    force: bool,
    device: str,
    threads: int,
    **choices: Any,
) -> None:
    """Encode the picture INPUT (PNG, JPEG, WebP, TIFF, AVIF, ...; - for standard input).

    \b
    Examples:
      sic encode photo.jpg                     all 16 levels into photo.sic
      sic encode photo.jpg -o small.sic -l 6   levels 1 to 6
      sic encode photo.jpg --target-size 40k   as many levels as fit
      sic encode photo.jpg -t psnr=34          as few levels as reach 34 dB
      sic encode photo.jpg -t ssim=0.97 -t lpips=0.15 --target-bpp 0.6
    """
    conflicts(quality, level, target_size, target_bpp, targets)
    wishes = goals(targets)
    if output is None:
        output = beside(source, ".sic")
    check_output(output, source, force)
    data = read_input(source, MAX_INPUT)
    set_threads(threads)
    made = encode_file(
        data,
        shown(source),
        EncodeOptions(
            level=level,
            target_size=target_size,
            target_bpp=target_bpp,
            seed=seed,
            model=model,
            device=device,
            quality=quality,
            targets=wishes,
            best_effort=best_effort,
            measure=measure,
            **choices,
        ),
    )
    for notice in made.notices:
        MESSAGES.notice(notice)
    write_output(output, made.data)
    MESSAGES.detail(
        f"{shown(source)}: {made.width}x{made.height}, level {made.level} of {made.levels}, "
        f"{len(made.data)} bytes, {made.bpp:.3f} bpp{told(made.target)}"
    )
