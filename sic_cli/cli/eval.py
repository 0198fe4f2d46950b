"""sic eval"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click

from ..batch.cluster import Cluster, Needs
from ..batch.run import Runner
from ..errors import InputError, ModelError, Notice, OutputError, UsageError
from ..metrics.names import METRICS, named
from ..pipeline.options import EFFORTS
from ..storage.files import printable, replace_file
from ..storage.urls import is_url, join, suffix
from .common import MESSAGES, global_options, run_options, set_threads

SUFFIXES = {
    *(".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".avif", ".ppm", ".pgm"),
    *(".gif", ".qoi", ".jp2", ".j2k", ".tga"),
}


def pictures(sources: tuple[str, ...], recursive: bool) -> list[str]:
    """Files as they were named, and those in folders that have a picture's suffix, by name.

    Raises InputError if there is none.
    """
    found: list[str] = []
    for source in sources:
        if is_url(source):
            found += _remote(source, recursive)
            continue
        path = Path(source)
        if path.is_dir():
            inside = path.rglob("*") if recursive else path.iterdir()
            try:
                found += sorted(
                    str(p) for p in inside if p.suffix.lower() in SUFFIXES and p.is_file()
                )
            except OSError as error:
                raise InputError(f"{printable(source)}: {error.strerror}") from None
        elif path.exists():
            found.append(source)
        else:
            raise InputError(f"{printable(source)}: No such file or folder")
    if not found:
        raise InputError(
            f"no pictures in {', '.join(map(printable, sources))}",
            None if recursive else "-r looks into folders inside",
        )
    return list(dict.fromkeys(found))


def _remote(url: str, recursive: bool) -> list[str]:
    """The same of a URL."""
    if suffix(url) in SUFFIXES:
        return [url]
    from ..storage import store

    if not store.state(url).folder:
        return [url]
    names = sorted(name for name, _ in store.below(url) if suffix(name) in SUFFIXES)
    return [join(url, name) for name in names if recursive or "/" not in name]


def levels_of(text: str) -> list[int] | None:
    """`1,4,8` or `all`."""
    if text.strip().lower() == "all":
        return None
    try:
        return sorted({int(part) for part in text.split(",")})
    except ValueError:
        raise UsageError(f"--levels {text}: not numbers such as 1,4,8, nor all") from None


def efforts_of(text: str) -> tuple[int, ...]:
    """`1,5` -> (1, 5), each once. Raises UsageError."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and int(part) in EFFORTS for part in parts):
        raise UsageError(f"--effort {text}: not whole numbers from 1 to 9, such as 1,5")
    return tuple(dict.fromkeys(int(part) for part in parts))


def realism_of(text: str) -> tuple[float, ...]:
    """`0,1`: each once, in this order."""
    try:
        found = tuple(dict.fromkeys(float(part) for part in text.split(",")))
    except ValueError:
        found = (math.nan,)
    if not all(0 <= one <= 1 for one in found):
        raise UsageError(f"--realism {text}: not numbers from 0 to 1, such as 0,1")
    return found


def bar() -> Callable[[int, int, str], None]:
    """A line on stderr if that is a terminal, else nothing."""
    if not MESSAGES.bars():
        return lambda done, total, text: None

    def show(done: int, total: int, text: str) -> None:
        click.echo(f"\r\x1b[K{done}/{total} {printable(text)}"[:200], err=True, nl=False)

    return show


@click.command()
@click.argument("sources", metavar="INPUT...", nargs=-1, required=True)
@click.option("-o", "--output", required=True, metavar="DIR", help="Folder of the report.")
@click.option("-r", "--recursive", is_flag=True, help="Also pictures in folders inside.")
@click.option(
    "--codecs",
    default="sic,jpeg,webp,avif,j2k",
    show_default=True,
    help="Of sic, jpeg, webp, avif, j2k, jxl.",
)
@click.option("--levels", default="all", show_default=True, help="Levels of sic, such as 1,4,8.")
@click.option(
    "--realism",
    default="1",
    show_default=True,
    help="Of sic's decoder, 0 to 1; several by commas, each a row of its own.",
)
@click.option(
    "--effort",
    "efforts",
    default="1",
    show_default=True,
    help="Of sic's encoder, 1 to 9; several by commas, each a row of its own.",
)
@click.option(
    "--steps",
    type=click.IntRange(1, 100),
    default=8,
    show_default=True,
    help="Quality steps of each other codec.",
)
@click.option(
    "--metrics", default="all", show_default=True, help=f"Of {', '.join(METRICS)}, by commas."
)
@click.option(
    "--repeat",
    type=click.IntRange(1, 100),
    default=1,
    show_default=True,
    help="Time each step so often; rows have the median.",
)
@click.option("--bd-rate", "anchors", multiple=True, metavar="CODEC", help="Only against these.")
@click.option("--csv", "csv_file", metavar="FILE", help="The rows once more as CSV.")
@click.option(
    "--show",
    type=click.IntRange(0, 1000),
    default=4,
    show_default=True,
    help="Pictures to look at in the page.",
)
@click.option("--title", default="sic eval", show_default=True, help="Heading of the page.")
@click.option("--json", "as_json", is_flag=True, help="Rows and summary as JSON Lines on stdout.")
@click.option("-m", "--model", help="Weights: a name from `sic models`, or a folder.")
@click.option(
    "--cluster",
    metavar="ADDRESS|local|local:N",
    help="Measure on a Dask cluster (tcp://host:8786), or on N processes here. Seconds are theirs.",
)
@run_options
@global_options
def command(
    sources: tuple[str, ...],
    output: str,
    recursive: bool,
    codecs: str,
    levels: str,
    realism: str,
    efforts: str,
    steps: int,
    metrics: str,
    repeat: int,
    anchors: tuple[str, ...],
    csv_file: str | None,
    show: int,
    title: str,
    as_json: bool,
    model: str | None,
    cluster: str | None,
    device: str,
    threads: int,
) -> int:
    """Measure sic and other codecs on INPUT: pictures, or folders of them.

    Every figure is of a real file's bytes. Of sic there is one file per picture, and each level is a
    cut of it. DIR gets results.jsonl, results.csv and report.html, which works offline. Run it again
    and only what is missing is measured. Seconds are of this machine, and of what else it does.

    \b
    Examples:
      sic eval photos/ -o report                     all levels, against JPEG, WebP, AVIF, JPEG 2000
      sic eval photos/ -o report --realism 0,1       smallest error and best look
      sic eval photos/ -o report --levels 1,4,8 --steps 5 --metrics psnr,ms-ssim
      sic eval a.png b.png -o report --codecs sic,avif --bd-rate avif
    """
    wanted, names = [c.strip().lower() for c in codecs.split(",") if c.strip()], named(metrics)
    chosen, decoders, searches = levels_of(levels), realism_of(realism), efforts_of(efforts)
    paths = pictures(sources, recursive)
    from ..codec.weights.locate import find
    from ..evaluation.contenders import contenders
    from ..evaluation.rows import Results, lines, table
    from ..evaluation.run import EvaluationPlan, evaluate
    from ..evaluation.summary import summary
    from ..html.evaluation import page
    from ..html.looks import look
    from ..metrics.meter import missing

    set_threads(threads)
    card = find(model) if "sic" in wanted else None
    wanted = list(dict.fromkeys(wanted))
    there, no_codecs = contenders(wanted, card, device, chosen, steps, decoders, searches)
    _known(anchors, wanted)
    no_metrics = missing(names)
    measured = [n for n in names if n not in no_metrics]
    for kind, reasons in (("codec", no_codecs), ("metric", no_metrics)):
        for name, why in reasons.items():
            MESSAGES.notice(Notice(f"{kind} {name} is left out: {why}", "W-missing"))
    if not measured:
        raise ModelError("none of the metrics can be computed here", "--metrics psnr")
    if not there:
        raise InputError("none of the codecs is on this machine")

    if is_url(output):
        raise UsageError(f"{printable(output)}: the report needs a folder here")
    folder = _folder(output)
    plan = EvaluationPlan(there, measured, repeat, folder / "files", frozenset(paths[:show]))
    results, progress = Results(folder / "results.jsonl"), bar()
    try:
        if cluster is None:
            rows, failed = evaluate(paths, plan, results, progress)
        else:
            from ..evaluation.spread import Recipe, spread

            recipe = Recipe(
                tuple(c for c in wanted if c not in no_codecs),
                card.id.hex() if card is not None else "",
                device,
                None if chosen is None else tuple(chosen),
                steps,
                tuple(decoders),
                tuple(searches),
                tuple((c.name, c.version) for c in there),
                os.getcwd(),
            )
            runner = partial(_on_cluster, cluster, recipe.model_id, device, threads)
            rows, failed = spread(paths, plan, recipe, runner, results, progress)
    finally:
        results.close()
        progress(0, 0, "")
    for error in failed.values():
        click.echo(f"sic: error: {error} [{error.name}]", err=True)
    if not rows:
        raise next(iter(failed.values()))
    about = {c.title: f"{c.about} ({c.version})" for c in there}
    last = summary(rows, {"codecs": no_codecs, "metrics": no_metrics}, about, list(anchors) or None)
    last["notes"] += [f"{printable(p)}: left out ({e})" for p, e in failed.items()]
    others = [row for key, row in results.rows.items() if key not in {r.key for r in rows}]
    _put(folder / "results.jsonl", lines([*others, *rows], [last]))
    _put(folder / "results.csv", table(rows))
    looks = look(rows, plan, folder)
    _put(folder / "report.html", page(rows, last, title, looks).encode())
    if csv_file:
        _put(Path(csv_file), table(rows))
    if as_json:
        click.echo(lines(rows, [last]).decode(), nl=False)
    else:
        click.echo(text(last), nl=False)
        MESSAGES.detail(f"report: {printable(str(folder / 'report.html'))}")
    return 1 if failed else 0


def _on_cluster(
    address: str, model_id: str, device: str, threads: int, work: Callable[[Any], Any]
) -> Runner:
    needs = Needs(model_id, device.startswith("cuda"), threads)
    cluster = Cluster(address, needs, MESSAGES.notice)
    return Runner(work, lambda: cluster, lambda: cluster.most)


def _folder(output: str) -> Path:
    folder = Path(output)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{printable(output)}: {error.strerror}") from None
    return folder


def _put(path: Path, data: bytes) -> None:
    try:
        replace_file(str(path.resolve()), data)
    except OSError as error:
        raise OutputError(f"{printable(str(path))}: {error.strerror}") from None


def _known(anchors: tuple[str, ...], codecs: list[str]) -> None:
    for anchor in anchors:
        if anchor not in codecs:
            raise UsageError(f"--bd-rate {anchor}: not among --codecs {','.join(codecs)}")


def text(last: dict[str, Any]) -> str:
    """The summary as people read it on a terminal."""
    rates = last["rates_bpp"]
    out = [f"{last['pictures']} pictures, averaged at each setting, then interpolated in log bpp"]
    for metric in METRICS.values():
        rows = [(n, v[metric.key]["a"]) for n, v in last["at_rates"].items() if metric.key in v]
        if rows:
            out.append(f"{metric.title:<24}" + "".join(f"{r:>9.2f}" for r in rates) + "  bpp")
            out += [
                f"  {name:<22}" + "".join(f"{metric.formatted(v):>9}" for v in values)
                for name, values in rows
            ]
    for test, others in last["bd_rate_percent"].items():
        for anchor, found in others.items():
            parts = [
                f"{metric.title} {found[metric.key]['mean_curve']:+.1f} %"
                for metric in METRICS.values()
                if found.get(metric.key, {}).get("mean_curve") is not None
            ]
            out.append(
                f"BD-rate of {test} against {anchor}: {', '.join(parts) or 'no common range'}"
            )
    out += [f"note: {note}" for note in last["notes"]]
    return "\n".join(out) + "\n"
