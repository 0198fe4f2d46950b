"""sic encode"""

from __future__ import annotations

import click

from ..bitstream.fields import CHUNK_ICC, MAX_CHUNKS_BYTES, MAX_PIXELS, MAX_SIDE, Chunk
from ..bitstream.reader import parse
from ..bitstream.truncate import level_within
from ..errors import TargetError
from ..files import check_output, read_input, shown, write_output
from .common import (
    MESSAGES,
    Rate,
    Size,
    beside,
    global_options,
    one_of,
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
@click.option("--target-size", type=Size(), help="At most this many bytes, such as 40k.")
@click.option(
    "--target-bpp",
    type=Rate(),
    help="At most this many bits per pixel.",
)
@click.option(
    "--metadata",
    type=click.Choice(["all", "none"]),
    default="all",
    help="Keep the colour profile, or not.",
    show_default=True,
)
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
    target_size: int | None,
    target_bpp: float | None,
    metadata: str,
    seed: int,
    model: str | None,
    force: bool,
    device: str,
    threads: int,
) -> None:
    """Encode the picture INPUT (PNG, JPEG, WebP, TIFF, AVIF, ...; - for standard input).

    \b
    Examples:
      sic encode photo.jpg                     all 16 levels into photo.sic
      sic encode photo.jpg -o small.sic -l 6   levels 1 to 6
      sic encode photo.jpg --target-size 40k   as many levels as fit
    """
    one_of(target_size=target_size, target_bpp=target_bpp)
    if output is None:
        output = beside(source, ".sic")
    check_output(output, source, force)
    data = read_input(source, MAX_INPUT)

    from ..picture.load import load

    picture = load(data, shown(source), MAX_SIDE, MAX_PIXELS)
    for text, code in picture.notices:
        if code != "W-meta-lost" or metadata == "all":
            MESSAGES.notice(text, code)
    chunks: tuple[Chunk, ...] = ()
    if picture.icc and metadata == "all":
        if len(picture.icc) > MAX_CHUNKS_BYTES:
            raise TargetError(
                f"{shown(source)}: colour profile of {len(picture.icc)} bytes", "--metadata none"
            )
        chunks = (Chunk(CHUNK_ICC, picture.icc),)

    from ..codec.encode import encode
    from ..release.locate import find

    set_threads(threads)
    made = encode(
        picture.pixels,
        find(model),
        level=level,
        device=device,
        grey=picture.grey,
        seed=seed,
        chunks=chunks,
    )
    height, width = picture.pixels.shape[:2]
    parsed = parse(made)
    made = made[: parsed.ends[level_within(parsed, target_size, target_bpp) - 1]]
    write_output(output, made)
    reached = sum(end <= len(made) for end in parsed.ends)
    MESSAGES.detail(
        f"{shown(source)}: {width}x{height}, level {reached} of {parsed.header.levels}, "
        f"{len(made)} bytes, {len(made) * 8 / (width * height):.3f} bpp"
    )
