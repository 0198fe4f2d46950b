"""The page of `sic eval`: curves, tables, and pictures at equal bytes beside each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..evaluation.rows import Row
from ..metrics.curves import RATES
from ..metrics.names import METRICS, Metric
from .chart import chart
from .images import Images
from .render import Frame, Scene, base, data_block, render

Pixels = NDArray[np.uint8]


def page(
    rows: Sequence[Row],
    summary: dict[str, Any],
    title: str,
    looks: tuple[Sequence[Scene], Images] | None = None,
    max_rows: int = 2000,
) -> str:
    """The HTML. looks: what `scenes` gave, or None for a page without pictures."""
    metrics = [m for m in METRICS.values() if any(m.key in v for v in summary["at_rates"].values())]
    charts = [_chart(m, summary) for m in metrics]
    data = data_block(looks[0], looks[1].sources, "") if looks and looks[0] else None
    return render(
        "evaluation.html",
        title=title,
        summary=summary,
        metrics=metrics,
        charts=[c for c in charts if c],
        rows=rows[:max_rows],
        left_out=max(0, len(rows) - max_rows),
        data=data,
        base=base,
    )


def _chart(metric: Metric, summary: dict[str, Any]) -> Any:
    curves = [
        (
            name,
            [
                (
                    p["bpp"],
                    p[metric.key],
                    f"{p['setting']}: {p['bpp']:.3f} bpp, {metric.formatted(p[metric.key])}",
                )
                for p in one["points"]
                if metric.key in p and 0.02 <= p["bpp"] <= 3
            ],
        )
        for name, one in summary["codecs"].items()
    ]
    return chart(metric.title, curves)


def at_rate(rows: Sequence[Row], rate: float) -> list[Row]:
    """One row of each codec: sic's highest level of at most `rate` (or its lowest), and of the others
    the file nearest to that in bytes."""
    by_codec: dict[str, list[Row]] = {}
    for row in rows:
        by_codec.setdefault(row.series, []).append(row)
    own = [r for r in rows if r.codec == "sic"] or list(rows)
    fitting = [r for r in own if r.bpp <= rate]
    lead = max(fitting, key=lambda r: r.bpp) if fitting else min(own, key=lambda r: r.bpp)

    def nearest(found: Sequence[Row]) -> Row:
        return min(found, key=lambda r: abs(log(r.file_bytes / lead.file_bytes)))

    return [nearest(found) for found in by_codec.values()]


def note(row: Row) -> str:
    """What is said about a frame."""
    values = [
        f"{m.title} {m.formatted(row.values[n])}"
        for n, m in METRICS.items()
        if row.values.get(n) is not None
    ]
    return f"{row.setting}, {row.file_bytes} bytes, {row.bpp:.3f} bpp; {', '.join(values)}"


def scenes(
    rows: Sequence[Row],
    pictures: Sequence[tuple[str, Pixels]],
    shown_file: Callable[[Row], tuple[bytes, str] | Pixels],
    images: Images,
) -> list[Scene]:
    """One scene per picture and rate.

    pictures: (digest, original); shown_file: what a row's file looks like, as (bytes, mime) of a file
    that browsers show, or as pixels.
    """
    out = []
    for digest, pixels in pictures:
        own = [r for r in rows if r.picture == digest]
        if not own:
            continue
        original, known = images.pixels(pixels), dict[tuple[Any, ...], int]()
        for rate in RATES:
            frames = [Frame("original", f"{own[0].width_px}x{own[0].height_px} pixels", original)]
            for row in at_rate(own, rate):
                if row.key not in known:
                    seen = shown_file(row)
                    known[row.key] = (
                        images.file(*seen) if isinstance(seen, tuple) else images.pixels(seen)
                    )
                frames.append(Frame(row.title, note(row), known[row.key]))
            left = min(2, len(frames) - 1)
            out.append(Scene(f"{base(own[0].input)} near {rate:.2f} bpp", tuple(frames), left, 1))
    return out
