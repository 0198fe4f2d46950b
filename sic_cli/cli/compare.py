"""sic compare"""

from __future__ import annotations

from pathlib import PurePath

import click

from ..errors import ModelError, Notice, UsageError
from ..metrics.names import METRICS, finite, named
from ..schemas.documents import head
from ..storage.files import check_output, write_beside, write_output
from .choices import Level, page_options, realism_option
from .common import MESSAGES, global_options, json_option, run_options, set_threads


@click.command()
@click.argument("sources", metavar="A B...", nargs=-1, required=True)
@click.option("-o", "--output", metavar="FILE.html", help="Also a page to look at them.")
@click.option("-l", "--level", type=Level(top=False), help="Of .sic files (default: highest).")
@realism_option("Of .sic files; 0: smallest error, 1: most natural.")
@click.option(
    "--metrics",
    default="psnr,ms-ssim",
    show_default=True,
    help=f"Of {', '.join(METRICS)}, by commas, or all.",
)
@json_option("compare")
@page_options("sic compare")
@run_options
@global_options
def command(
    sources: tuple[str, ...],
    output: str | None,
    level: int | None,
    realism: float,
    metrics: str,
    as_json: bool,
    embed_limit: int,
    title: str,
    force: bool,
    device: str,
    threads: int,
) -> None:
    """Compare pictures B, C, ... with A. Each is a picture or a .sic file, which is decoded.

    The page has a divider, zoom, a flicker key and the difference times 8, and works offline.

    \b
    Examples:
      sic compare photo.png photo.sic
      sic compare photo.png photo.sic photo.avif --metrics all -o compare.html
      sic compare photo.png photo.sic -l 4 --realism 0 --json
    """
    names = named(metrics)
    if len(sources) < 2:
        raise UsageError("compare takes two files or more")
    if sources.count("-") > 1:
        raise UsageError("only one input can be standard input")
    if output:
        if output == "-" and as_json:
            raise UsageError("--json and -o - exclude each other")
        for source in sources:
            check_output(output, source, force)
    from ..html.opened import compared, opened
    from ..metrics.meter import missing

    set_threads(threads)
    absent = missing(names)
    for name, why in absent.items():
        MESSAGES.notice(Notice(f"metric {name} is left out: {why}", "W-missing"))
    if len(absent) == len(names):
        raise ModelError("none of the metrics can be computed here", "--metrics psnr")
    files = [opened(source, level, device, realism) for source in sources]
    notices = [n for file in files for n in file.notices]
    for notice in notices:
        MESSAGES.notice(notice)
    reference = files[0]
    seen = compared(reference, files[1:], [n for n in names if n not in absent])
    if as_json:
        document = head("sic.compare/1", sources[0], output, warnings=notices) | {
            "reference": sources[0],
            "realism": realism,
            "missing_metrics": absent,
            "candidates": [
                {"path": source, "bytes": one.size, "bpp": one.bpp}
                | {m.key: finite(one.values.get(n)) for n, m in METRICS.items()}
                | {"max_abs_diff": one.most}
                for source, one in zip(sources[1:], seen, strict=True)
            ],
        }
        MESSAGES.document(document)
    elif output != "-":
        present = [METRICS[n] for n in names if n not in absent]
        width = max(len(one.name) for one in seen)
        heads = "".join(f"{m.title:>15}" for m in present)
        click.echo(f"{'against ' + reference.name:<{width}}{heads}{'max diff':>10}{'bytes':>12}")
        for one in seen:
            values = "".join(f"{m.formatted(one.values[m.name]):>15}" for m in present)
            click.echo(f"{one.name:<{width}}{values}{one.most:>10}{one.size:>12}")
    if output:
        from ..html.compare import compare_page
        from ..html.images import Images

        images = Images(embed_limit, f"{PurePath(output).name}.files" if output != "-" else "")
        page = compare_page(reference.seen, seen, absent, title, images)
        write_beside(output, images.files)
        write_output(output, page.encode())
