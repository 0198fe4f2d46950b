"""sic encode"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import click

from ..batch.tasks import EncodeTask
from ..codec.weights.locate import find
from ..picture import kinds
from ..pipeline.limits import Limits
from ..pipeline.options import EFFORTS, EncodeOptions
from ..pipeline.rate_control import Reached, conflicts, describe_reached, parse_targets
from .choices import Level, picture_options, realism_option
from .common import Rate, Size, global_options, run_options
from .folders import Command, many, process
from .options_io import Io, io_options
from .options_limits import limit_options
from .progress import searching

GUESTS = tuple(suffix for guest in kinds.GUESTS for suffix in guest.suffixes)
"""Read with packages of their own; without those refused with a reason, not passed over."""

SUFFIXES = frozenset(GUESTS).union(*kinds.SUFFIXES.values())
"""What is taken from folders."""


@click.command()
@click.argument("inputs", metavar="INPUT...", nargs=-1)
@click.option("-l", "--level", type=Level(), help="Write levels 1..LEVEL (default: all).")
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
@click.option(
    "-e",
    "--effort",
    type=click.IntRange(EFFORTS[0], EFFORTS[-1]),
    default=1,
    show_default=True,
    help="How long to search for a better file; decoding takes no longer.",
)
@realism_option("Measure targets as decode shows them with this --realism.")
@picture_options
@click.option("-m", "--model", help="Weights: a name from `sic models`, or a folder.")
@io_options
@run_options
@limit_options
@global_options
def command(inputs: tuple[str, ...], io: Io, threads: int, limits: Limits, **choices: Any) -> int:
    """Encode pictures (PNG, JPEG, WebP, TIFF, AVIF, ...; - for standard input), or folders of them.

    \b
    Examples:
      sic encode photo.jpg                     all 16 levels into photo.sic
      sic encode photo.jpg -o small.sic -l 6   levels 1 to 6
      sic encode photo.jpg --target-size 40k   as many levels as fit
      sic encode photo.jpg -t psnr=34          as few levels as reach 34 dB
      sic encode photo.jpg --effort 5          better for its size, in up to ten times the time
      sic encode photo.jpg -t ssim=0.97 -t lpips=0.15 --target-bpp 0.6
      sic encode -r photos/ -o out/ -j 2       a folder, into the same folders below out/
      sic encode -r photos/ -o out/ --resume   the same again: what is new or changed
    """
    options = options_of(choices)
    model_id = find(options.model).id.hex() if many(inputs, io) else ""
    level = "max" if options.level is None else str(options.level)
    alone = not many(inputs, io) and options.effort > EFFORTS[0]
    with searching() if alone else nullcontext() as report_progress:
        task = EncodeTask(options, threads, model_id, limits, report_progress)
        order = Command("encode", task, SUFFIXES, ".sic", level, detail, options.device)
        return process(order, io, inputs)


def options_of(choices: dict[str, Any]) -> EncodeOptions:
    """Click's parameters -> the options of the codec; the names are the same."""
    limits = (
        choices[name] for name in ("quality", "level", "target_size", "target_bpp", "targets")
    )
    conflicts(*limits)
    return EncodeOptions(**{**choices, "targets": parse_targets(choices["targets"])})


def detail(record: dict[str, Any]) -> str:
    """What -v says of a file that was encoded."""
    return (
        f"{record['width_px']}x{record['height_px']}, level {record['level']} of "
        f"{record['levels_total']}, {record['output_bytes']} bytes, {record['bpp']:.3f} bpp"
        + describe_reached([Reached(**target) for target in record["targets"]])
    )
