"""Averages of rows at fixed rates, both ways, and BD-rates: the last line of a report's results."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import log10
from typing import Any

import numpy as np

from ..metrics.curves import RATES, at_rate, bd_rate
from ..metrics.names import METRICS
from ..schemas.documents import head
from .rows import SUMMARY, Row


@dataclass(frozen=True, slots=True)
class Point:
    """Means over all pictures at one setting; values: metric name -> mean."""

    setting: str
    bpp: float
    encode_s: float
    decode_s: float
    values: dict[str, float]


@dataclass(frozen=True, slots=True)
class Series:
    """One codec. points: settings that every picture has, by rising rate; pictures: picture ->
    its rows by rising rate."""

    name: str
    codec: str
    points: tuple[Point, ...]
    pictures: dict[str, tuple[Row, ...]]

    def curve(self, metric: str) -> tuple[list[float], list[float]]:
        """(bpp, metric) of the points that have it."""
        with_it = [p for p in self.points if metric in p.values]
        return [p.bpp for p in with_it], [p.values[metric] for p in with_it]


def series_of(rows: Iterable[Row]) -> tuple[list[Series], list[str]]:
    """Curves over the pictures that every codec has rows of, and notes on what was left out."""
    found: dict[str, dict[str, dict[str, Row]]] = {}
    names: dict[str, str] = {}
    for row in rows:
        found.setdefault(row.series, {}).setdefault(row.picture, {})[row.setting] = row
        names[row.picture] = row.input
    notes: list[str] = []
    common = [p for p in names if all(p in pictures for pictures in found.values())]
    if len(common) < len(names):
        notes.append(
            f"{len(names) - len(common)} of {len(names)} pictures are left out of all averages: "
            "not every codec has them"
        )
    out = []
    for name, pictures in found.items():
        if not common:
            break
        steps = [s for s in pictures[common[0]] if all(s in pictures[p] for p in common)]
        every = {s for p in common for s in pictures[p]}
        if len(steps) < len(every):
            notes.append(
                f"{name}: {len(every) - len(steps)} settings are left out: not every picture has them"
            )
        points = [_point(s, [pictures[p][s] for p in common]) for s in steps]
        own = {
            p: tuple(sorted((pictures[p][s] for s in steps), key=lambda r: r.bpp)) for p in common
        }
        codec = next(iter(pictures[common[0]].values())).codec
        out.append(Series(name, codec, tuple(sorted(points, key=lambda p: p.bpp)), own))
    return out, notes


def _point(setting: str, rows: Sequence[Row]) -> Point:
    values = {}
    for name in METRICS:
        known = [v for r in rows if (v := r.values.get(name)) is not None]
        if len(known) == len(rows):
            values[name] = statistics.fmean(known)
    return Point(
        setting,
        statistics.fmean(r.bpp for r in rows),
        statistics.fmean(r.encode_s for r in rows),
        statistics.fmean(r.decode_s for r in rows),
        values,
    )


def by_setting(series: Series, metric: str, rate: float) -> float | None:
    """Way (a): means at each setting, then interpolated in log bpp."""
    return at_rate(*series.curve(metric), rate) if series.points else None


def by_picture(series: Series, metric: str, rate: float) -> tuple[float | None, int]:
    """Way (b): each picture interpolated at the rate, then the mean; over how many pictures."""
    found = [
        value
        for rows in series.pictures.values()
        if (value := at_rate(*_curve(rows, metric), rate)) is not None
    ]
    return (statistics.fmean(found), len(found)) if found else (None, 0)


def _curve(rows: Sequence[Row], metric: str) -> tuple[list[float], list[float]]:
    known = [(r.bpp, v) for r in rows if (v := r.values.get(metric)) is not None]
    return [b for b, _ in known], [v for _, v in known]


def quality(metric: str, values: Sequence[float]) -> list[float]:
    """Values as BD-rates take them: more is better; MS-SSIM in decibels."""
    if metric == "ms-ssim":
        return [-10 * log10(max(1 - v, 1e-9)) for v in values]
    return [v if METRICS[metric].higher else -v for v in values]


def compared(anchor: Series, test: Series, metric: str) -> tuple[float | None, float | None]:
    """BD-rate of `test` against `anchor` in percent: of the mean curves, and the median over pictures
    of each picture's own."""

    def of(pick: Callable[[Series], tuple[list[float], list[float]]]) -> float | None:
        (ra, qa), (rt, qt) = pick(anchor), pick(test)
        return bd_rate((ra, quality(metric, qa)), (rt, quality(metric, qt)))

    singles = []
    for picture, rows in test.pictures.items():
        (ra, qa), (rt, qt) = _curve(anchor.pictures[picture], metric), _curve(rows, metric)
        value = bd_rate((ra, quality(metric, qa)), (rt, quality(metric, qt)))
        if value is not None:
            singles.append(value)
    return of(lambda s: s.curve(metric)), float(np.median(singles)) if singles else None


def summary(
    rows: Sequence[Row],
    missing: Mapping[str, Mapping[str, str]],
    about: Mapping[str, str],
    anchors: Sequence[str] | None = None,
) -> dict[str, Any]:
    """The document `sic.eval-summary/1`.

    missing: {"codecs": {name: why}, "metrics": {name: why}}; about: title -> its settings in words;
    anchors: codecs that BD-rates refer to (default: all others).
    """
    series, notes = series_of(rows)
    names = [n for n in METRICS if any(n in p.values for s in series for p in s.points)]
    at = {}
    for one in series:
        at[one.name] = {
            METRICS[n].key: {
                "a": [_rounded(by_setting(one, n, r)) for r in RATES],
                "b": [_rounded(by_picture(one, n, r)[0]) for r in RATES],
                "b_pictures": [by_picture(one, n, r)[1] for r in RATES],
            }
            for n in names
        }
    rates: dict[str, Any] = {}
    tests = [s for s in series if s.codec == "sic"] or series[:1]
    for test in tests:
        for anchor in series:
            if anchor is test or (anchors is not None and anchor.codec not in anchors):
                continue
            values = {n: compared(anchor, test, n) for n in names}
            rates.setdefault(test.name, {})[anchor.name] = {
                METRICS[n].key: {"mean_curve": _rounded(a, 2), "median_picture": _rounded(b, 2)}
                for n, (a, b) in values.items()
            }
    return head(SUMMARY, None) | {
        "pictures": len(series[0].pictures) if series else 0,
        "rates_bpp": list(RATES),
        "codecs": {
            s.name: {
                "about": about.get(s.name),
                "points": [
                    {
                        "setting": p.setting,
                        "bpp": round(p.bpp, 6),
                        "encode_s": round(p.encode_s, 5),
                        "decode_s": round(p.decode_s, 5),
                    }
                    | {METRICS[n].key: _rounded(v, 6) for n, v in p.values.items()}
                    for p in s.points
                ],
            }
            for s in series
        },
        "at_rates": at,
        "bd_rate_percent": rates,
        "missing_codecs": dict(missing.get("codecs", {})),
        "missing_metrics": dict(missing.get("metrics", {})),
        "notes": notes,
    }


def _rounded(value: float | None, digits: int = 5) -> float | None:
    return None if value is None else round(value, digits)
