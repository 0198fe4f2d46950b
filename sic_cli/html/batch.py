"""The page of a folder run: what `sic encode --report` wrote, failures first."""

from __future__ import annotations

import io
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from ..picture.kinds import READERS
from ..storage.files import printable
from .images import data_uri
from .render import render

BARS = 12
THUMBNAIL = 256
"""Pixels of the longer side."""
MAX_THUMBNAIL_SOURCE = 40_000_000
"""Pixels of a picture that is still read for a thumbnail."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of the histogram, in the drawing's units."""

    x: float
    y: float
    width: float
    height: float
    label: str
    count: int


@dataclass(frozen=True, slots=True)
class Item:
    """One row of the table, as text."""

    input: str
    output: str
    status: str
    code: int
    text: str
    dimensions: str
    before: str
    after: str
    bpp: str
    level: str
    notices: str
    thumbnail: str


def _text(value: Any) -> str:
    return "" if value is None else printable(str(value))


def item(document: dict[str, Any], thumbnails: bool) -> Item:
    """A row of a `sic.encode/1` document; whatever is missing in it stays empty."""
    error = document.get("error") or {}
    width, height = document.get("width_px"), document.get("height_px")
    bpp = document.get("bpp")
    codes = [str(w.get("code", "")) for w in document.get("warnings") or () if isinstance(w, dict)]
    name = document.get("input")
    return Item(
        input=_text(name),
        output=_text(document.get("output")),
        status=_text(document.get("status") or ("done" if document.get("ok") else "failed")),
        code=int(document.get("code") or 0),
        text=_text(error.get("text")),
        dimensions=f"{width}x{height}" if width and height else "",
        before=_text(document.get("source_bytes")),
        after=_text(document.get("output_bytes")),
        bpp=f"{bpp:.4f}" if isinstance(bpp, (int, float)) else "",
        level=_text(document.get("level")),
        notices=" ".join(codes),
        thumbnail=thumbnail(str(name)) if thumbnails and name else "",
    )


def thumbnail(path: str) -> str:
    """A small WebP as a data URI, or nothing if the source cannot be read any more."""
    try:
        if not Path(path).is_file():
            return ""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path, formats=READERS) as picture:
                if picture.width * picture.height > MAX_THUMBNAIL_SOURCE:
                    return ""
                picture.draft("RGB", (THUMBNAIL, THUMBNAIL))
                small = picture.convert("RGB")
                small.thumbnail((THUMBNAIL, THUMBNAIL))
                file = io.BytesIO()
                small.save(file, "WEBP", quality=70, method=4)
    except Exception:  # readers of damaged files raise whatever they run into
        return ""
    return data_uri(file.getvalue(), "image/webp")


def histogram(values: Sequence[float]) -> list[Bar]:
    """Equal steps from 0 to the largest value."""
    if not values:
        return []
    step = max(values) / BARS or 1.0
    counts = Counter(min(BARS - 1, int(v / step)) for v in values)
    width, most = 620 / BARS, max(counts.values())
    return [
        Bar(
            round(i * width + 2, 1),
            round(172 - 165 * counts[i] / most, 1),
            round(width - 4, 1),
            round(165 * counts[i] / most, 1),
            f"{(i + 0.5) * step:.2g}",
            counts[i],
        )
        for i in range(BARS)
    ]


def batch_page(
    documents: Sequence[dict[str, Any]], title: str, max_rows: int, thumbnails: bool
) -> str:
    """Documents of one run or several; the last one of an input stands."""
    last: dict[str, dict[str, Any]] = {}
    for number, document in enumerate(documents):
        last[str(document.get("input") or number)] = document
    found = list(last.values())
    items = [item(d, thumbnails and i < max_rows) for i, d in enumerate(found)]
    order = sorted(items, key=lambda one: one.status != "failed")
    counts = Counter(one.status for one in items)
    done = [d for d in found if d.get("source_bytes") and d.get("output_bytes")]
    before, after = (sum(int(d[k]) for d in done) for k in ("source_bytes", "output_bytes"))
    totals = f"{before} bytes -> {after} bytes ({100 * after / before:.1f} %)" if before else ""
    models = {
        f"{m.get('name')} ({m.get('id')})" for d in found if isinstance(m := d.get("model"), dict)
    }
    return render(
        "batch.html",
        title=title,
        counts=", ".join(f"{n} {status}" for status, n in sorted(counts.items())),
        totals=totals,
        failures=[one for one in order if one.status == "failed"],
        bars=histogram([float(d["bpp"]) for d in found if isinstance(d.get("bpp"), (int, float))]),
        files=order[:max_rows],
        left_out=max(0, len(order) - max_rows),
        thumbnails=thumbnails,
        models=sorted(models),
    )
