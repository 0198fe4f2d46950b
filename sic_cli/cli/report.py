"""sic report"""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import click

from ..errors import InputError, Notice, UsageError
from ..metrics.names import METRICS, named
from ..storage.files import check_output, printable, read_input, write_beside, write_output
from .choices import page_options, realism_option
from .common import MESSAGES, global_options, run_options, set_threads
from .eval import levels_of

if TYPE_CHECKING:
    from ..html.images import Images


@click.command()
@click.argument("sources", metavar="INPUT...", nargs=-1, required=True)
@click.option("-o", "--output", required=True, metavar="FILE.html", help="Page to write, or -.")
@click.option("--reference", metavar="PICTURE", help="The original of a .sic file.")
@click.option(
    "--metrics",
    default="psnr,ms-ssim",
    show_default=True,
    help=f"Against --reference; of {', '.join(METRICS)}, by commas, or all.",
)
@click.option("--levels", default="all", show_default=True, help="Of a .sic file, such as 1,4,8.")
@realism_option("Of a .sic file; 0: smallest error, 1: most natural.")
@click.option("--max-rows", type=click.IntRange(0), default=2000, show_default=True)
@click.option(
    "--thumbnails",
    type=click.Choice(["none", "small"]),
    default="small",
    show_default=True,
    help="Of the sources of a folder run, where they are still there.",
)
@page_options(None)
@run_options
@global_options
def command(
    sources: tuple[str, ...],
    output: str,
    reference: str | None,
    metrics: str,
    levels: str,
    realism: float,
    title: str | None,
    max_rows: int,
    thumbnails: str,
    embed_limit: int,
    force: bool,
    device: str,
    threads: int,
) -> None:
    """Make one page, which works offline, of INPUT.

    INPUT is a .sic file (a slider over its levels, beside the original with --reference), the
    results.jsonl of `sic eval`, or what `sic encode --report` wrote. Several results make one page.

    \b
    Examples:
      sic report photo.sic --reference photo.png -o photo.html
      sic report report/results.jsonl -o curves.html
      sic report out.jsonl -o batch.html
    """
    names, chosen = named(metrics), levels_of(levels)
    for source in sources:
        check_output(output, source, force)
    from ..evaluation.run import MAX_INPUT
    from ..html.opened import is_sic

    first = read_input(sources[0], MAX_INPUT)
    set_threads(threads)
    if is_sic(first):
        if len(sources) > 1:
            raise UsageError("a page is of one .sic file; use sic compare for several")
        from ..html.images import Images

        images = Images(embed_limit, f"{PurePath(output).name}.files" if output != "-" else "")
        page = _file(first, sources[0], reference, names, chosen, title, images, device, realism)
        write_beside(output, images.files)
    else:
        if reference:
            raise UsageError("--reference belongs to a .sic file")
        try:
            page = _results(sources, title, max_rows, thumbnails == "small")
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            where = ", ".join(map(printable, sources))
            raise InputError(f"{where}: not as sic writes results ({error})") from None
    write_output(output, page.encode())


def _file(
    data: bytes,
    source: str,
    reference: str | None,
    names: tuple[str, ...],
    chosen: list[int] | None,
    title: str | None,
    images: Images,
    device: str,
    realism: float,
) -> str:
    from dataclasses import replace

    from ..codec.bitstream.reader import open_sic
    from ..html.compare import file_page
    from ..html.opened import levels_of as seen_levels
    from ..html.opened import opened
    from ..html.render import base
    from ..metrics.meter import missing

    name = printable(source)
    parsed = open_sic(data, name)
    original = opened(reference, None, device, realism) if reference else None
    absent = missing(names) if original else {}
    seen, fault = seen_levels(
        parsed, chosen, device, realism, original, [n for n in names if n not in absent]
    )
    notes = [f"metric {n} is missing: {why}" for n, why in absent.items()]
    notes += [f"{why}" for why in (fault or parsed.fault,) if why]
    for note in notes:
        code = "W-truncated" if note in (fault, parsed.fault) else "W-missing"
        MESSAGES.notice(Notice(f"{name}: {note}", code))
    header = parsed.header
    facts = f"{header.width}x{header.height} pixels, levels 1 to {parsed.level} of {header.levels}, model {header.model.hex()}, realism {realism:g}"
    first = replace(original.seen, name=f"original {original.name}") if original else None
    return file_page(seen, first, facts, notes, title or base(source), images)


def _results(sources: tuple[str, ...], title: str | None, max_rows: int, thumbnails: bool) -> str:
    from ..evaluation.rows import SCHEMA, SUMMARY, documents, rows_of

    found: list[dict[str, Any]] = [d for source in sources for d in documents(source)]
    schemas = {str(d.get("schema", "")).partition("/")[0] for d in found}
    where = ", ".join(map(printable, sources))
    if schemas & {SCHEMA.partition("/")[0], SUMMARY.partition("/")[0]}:
        from ..evaluation.summary import summary
        from ..html.evaluation import page

        rows = list(rows_of(found, where).values())
        if not rows:
            raise InputError(f"{where}: holds no rows of sic.eval/1")
        last = [d for d in found if d.get("schema") == SUMMARY]
        about = {n: c.get("about") for d in last for n, c in (d.get("codecs") or {}).items()}
        kinds = {
            kind: {n: w for d in last for n, w in (d.get(f"missing_{kind}") or {}).items()}
            for kind in ("codecs", "metrics")
        }
        return page(rows, summary(rows, kinds, about), title or "sic eval", None, max_rows)
    batch = [
        d
        for d in found
        if str(d.get("schema", "")).startswith("sic.") and "summary" not in str(d.get("schema"))
    ]
    if not batch:
        raise InputError(
            f"{where}: neither a .sic file nor results of sic",
            "give results.jsonl of sic eval, or what sic encode --report wrote",
        )
    from ..html.batch import batch_page

    return batch_page(batch, title or "sic report", max_rows, thumbnails)
