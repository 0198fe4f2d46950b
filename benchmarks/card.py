"""What `sic eval` measured, as tables of the model card.

    sic eval DATA/kodak -o REPORT -m sic-5 --realism 0,1 --codecs sic,jpeg,webp,avif,j2k,jxl --show 12
    python benchmarks/card.py REPORT --release sic-5

Rows of other weights in REPORT are left out. The tables stand in README.md of the weights between two
marks, and are written anew each time. `make weights-table` does both.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from sic_cli.codec.weights.card import ModelCard
from sic_cli.codec.weights.locate import find
from sic_cli.evaluation.rows import SUMMARY, Row, documents, rows_of
from sic_cli.evaluation.summary import series_of, summary
from sic_cli.metrics.names import METRICS, Metric

BEGIN, END, RATE_TABLE = "<!-- report -->", "<!-- /report -->", "<!-- table -->"


def main() -> None:
    parser = argparse.ArgumentParser(description="Tables of sic eval into a model card.")
    parser.add_argument("report", type=Path, help="folder that `sic eval -o` wrote")
    parser.add_argument("--release", help="name of the weights (default: the newest)")
    parser.add_argument("--dry", action="store_true", help="print only")
    given = parser.parse_args()
    card = find(given.release)
    found = documents(str(given.report / "results.jsonl"))
    rows = own(rows_of(found, str(given.report)).values(), card)
    if not any(row.codec == "sic" for row in rows):
        raise SystemExit(f"{given.report}: no rows of {card.name} ({card.id.hex()})")
    text = tables(rows, abouts(found), commit())
    print(text)
    if not given.dry:
        path = card.folder / "README.md"
        known = path.read_text(encoding="utf-8") if path.exists() else f"# {card.name}\n"
        path.write_text(put(known, text), encoding="utf-8")


def own(rows: Iterable[Row], card: ModelCard) -> list[Row]:
    """Rows of these weights, by their realism whatever run they come from, and of other codecs."""
    return [
        replace(r, title=f"sic ({card.name}, realism {r.realism:g})") if r.model_id else r
        for r in rows
        if r.model_id in (None, card.id.hex())
    ]


def abouts(found: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Codec -> its settings in words, as the last summary of a report states them."""
    last = [d for d in found if d.get("schema") == SUMMARY]
    return {n: c["about"] for d in last for n, c in d["codecs"].items() if c.get("about")}


def commit() -> str:
    """The commit that this stands in, or nothing."""
    here = Path(__file__).parent
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty"], cwd=here, capture_output=True, text=True
        )
    except OSError:
        return ""
    return done.stdout.strip()


def tables(rows: Sequence[Row], about: dict[str, str], version: str) -> str:
    """Markdown: figures at fixed rates both ways, BD-rates, and what they were measured on."""
    last = summary(rows, {}, about)
    metrics = [m for m in METRICS.values() if any(m.key in v for v in last["at_rates"].values())]
    digest = hashlib.sha256("".join(sorted({r.picture for r in rows})).encode()).hexdigest()
    commits = f", commit {version}" if version else ""
    out = [
        f"`sic eval`, {last['pictures']} pictures (digest `{digest[:16]}` of their digests){commits}. "
        "Real bytes of whole files; of sic one file per picture, cut at each level. In each cell (a), "
        "averaged over the pictures at each setting and then interpolated in log bpp, and (b), "
        "interpolated in each picture and then averaged.",
        "",
    ]
    for metric in metrics:
        out += [*at_rates(last, metric), ""]
    out += [*bd_rates(last, metrics), "", *falls(rows), ""]
    out += [f"- {name}: {text}" for name, text in about.items() if name in last["codecs"]]
    out += [f"- {note}" for note in last["notes"]]
    return "\n".join(out).rstrip() + "\n"


def at_rates(last: dict[str, Any], metric: Metric) -> list[str]:
    """One metric of every codec; how many pictures reach the rate, where not all do."""
    better = "more" if metric.higher else "less"
    heads = " | ".join(f"{rate:.2f} bpp" for rate in last["rates_bpp"])
    out = [
        f"| {metric.title}, {better} is better | {heads} |",
        "|---" * (1 + len(last["rates_bpp"])) + "|",
    ]
    for name, found in last["at_rates"].items():
        if metric.key in found:
            one = found[metric.key]
            cells = [
                f"{metric.formatted(a)} / {metric.formatted(b)}"
                + (f" ({n})" if b is not None and n != last["pictures"] else "")
                for a, b, n in zip(one["a"], one["b"], one["b_pictures"], strict=True)
            ]
            out.append(f"| {name} | " + " | ".join(cells) + " |")
    return out


def bd_rates(last: dict[str, Any], metrics: Sequence[Metric]) -> list[str]:
    """Of the mean curves, and in brackets the median over the pictures."""
    out = [
        "| BD-rate, mean curve (median picture) | " + " | ".join(m.title for m in metrics) + " |",
        "|---" * (1 + len(metrics)) + "|",
    ]
    for test, anchors in last["bd_rate_percent"].items():
        for anchor, found in anchors.items():
            cells = []
            for metric in metrics:
                one = found.get(metric.key, {})
                mean, median = one.get("mean_curve"), one.get("median_picture")
                cells.append(
                    ("-" if mean is None else f"{mean:+.1f} %")
                    + ("" if median is None else f" ({median:+.1f})")
                )
            out.append(f"| {test} against {anchor} | " + " | ".join(cells) + " |")
    return out


def falls(rows: Sequence[Row]) -> list[str]:
    """For each decoder of sic: pictures of which a metric does not get better with every level."""
    out = []
    for series in series_of([row for row in rows if row.codec == "sic"])[0]:
        counts = []
        for name, metric in METRICS.items():
            curves = [[r.values.get(name) for r in own] for own in series.pictures.values()]
            whole = [[v for v in c if v is not None] for c in curves if None not in c]
            if whole:
                wrong = sum(any(metric.better(a, b) for a, b in pairwise(c)) for c in whole)
                counts.append(f"{metric.title} {wrong}")
        out.append(
            f"Pictures that do not get better with every level, {series.name}: {', '.join(counts)}."
        )
    return out


def put(readme: str, text: str) -> str:
    """A card with the tables in place of the ones that it has, or before the table of levels."""
    block = f"{BEGIN}\n{text}{END}"
    before, begun, rest = readme.partition(BEGIN)
    if begun and END in rest:
        return before + block + rest.partition(END)[2]
    before, mark, rest = readme.partition(RATE_TABLE)
    return before.rstrip("\n") + "\n\n" + block + "\n" + ("\n" + mark + rest if mark else "")


if __name__ == "__main__":
    main()
