"""The README's table against other codecs, from a small file that stays in the repository.

    python benchmarks/readme_table.py          # README.md from benchmarks/results/readme.csv
    python benchmarks/readme_table.py REPORT   # first that file, from what `sic eval -o REPORT` measured

A row of the file is a metric, a codec, and the metric at each of the rates of `sic eval`: averaged over the
pictures at each setting, then interpolated in log bpp. A test holds the README to the file.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from card import own

from sic_cli.codec.weights.locate import find
from sic_cli.evaluation.rows import documents, rows_of
from sic_cli.evaluation.summary import summary
from sic_cli.metrics.curves import RATES
from sic_cli.metrics.names import METRICS

HERE = Path(__file__).resolve().parent
FIGURES, README = HERE / "results" / "readme.csv", HERE.parent / "README.md"
BEGIN, END = "<!-- table: written by make readme-table -->", "<!-- end of table -->"
SHOWN = ("psnr", "lpips")
"""Metrics of the table, by name."""
DIGITS = {"psnr": 2, "lpips": 3}
HEAD = ["metric", "codec", *(f"{rate:.2f}" for rate in RATES)]

Figures = list[tuple[str, str, list[float | None]]]
"""(metric, codec, the metric at each rate or None where the codec does not reach it)."""


def measured(report: Path, name: str | None) -> Figures:
    """Figures of a report of `sic eval`: of the weights NAME, and of all other codecs."""
    found = documents(str(report / "results.jsonl"))
    rows = own(rows_of(found, str(report)).values(), find(name))
    last: dict[str, Any] = summary(rows, {}, {})["at_rates"]
    return [
        (metric, codec, values[METRICS[metric].key]["a"])
        for metric in SHOWN
        for codec, values in last.items()
        if METRICS[metric].key in values
    ]


def write(figures: Figures, path: Path = FIGURES) -> None:
    """The file from figures."""
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(HEAD)
        for metric, codec, values in figures:
            out.writerow([metric, codec, *("" if v is None else f"{v:.4f}" for v in values)])


def read(path: Path = FIGURES) -> Figures:
    """Figures from the file. Raises ValueError for another head or an unknown metric."""
    with path.open(newline="", encoding="utf-8") as file:
        first, *rows = csv.reader(file)
    if first != HEAD or not {row[0] for row in rows} <= set(SHOWN):
        raise ValueError(f"{path}: not the figures of the README")
    return [(m, codec, [float(v) if v else None for v in values]) for m, codec, *values in rows]


def table(figures: Figures) -> str:
    """The part of the README between its two marks."""
    lines = [BEGIN]
    for metric in dict.fromkeys(name for name, _, _ in figures):
        known = METRICS[metric]
        better = "higher" if known.higher else "lower"
        title = known.title.replace(" (dB)", ", dB")
        lines += [
            f"| {title} ({better} is better) at | "
            + " | ".join(f"{r:.2f} bpp" for r in RATES)
            + " |",
            "|---" * (1 + len(RATES)) + "|",
            *(
                f"| {codec} | " + " | ".join(_shown(metric, v) for v in values) + " |"
                for name, codec, values in figures
                if name == metric
            ),
            "",
        ]
    return "\n".join([*lines[:-1], END])


def _shown(metric: str, value: float | None) -> str:
    return "-" if value is None else f"{value:.{DIGITS[metric]}f}"


def readme(figures: Figures, text: str) -> str:
    """The README with its table anew. Raises ValueError where it has no marks."""
    before, begun, rest = text.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not (begun and ended):
        raise ValueError("the README has no place for the table")
    return before + table(figures) + after


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="The README's table against other codecs.")
    parser.add_argument("report", nargs="?", type=Path, help="folder that `sic eval -o` wrote")
    parser.add_argument("--release", help="name of the weights (default: the newest)")
    given = parser.parse_args(arguments)
    if given.report:
        write(measured(given.report, given.release))
    text = README.read_text(encoding="utf-8")
    README.write_text(readme(read(), text), encoding="utf-8")


if __name__ == "__main__":
    main()
