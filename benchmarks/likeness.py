"""Does a picture show what another one shows, be it cropped, scaled, mirrored or in other colours?

Test pictures must never be trained on, and they may be crops of larger photographs. A hash of the
whole picture does not see that. So small squares of the known pictures (the prints) are looked for
at every place of a candidate, at many scales: first 16 pixels wide by correlation, all at once as
one product of matrices, then the likely ones 48 pixels wide without their coarse structure, which
is alike in any two skies.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

COARSE, FINE = 16, 48
LIKELY = 0.75
"""Correlation from which a place is looked at closely."""
ALIKE = 0.5
"""Correlation of fine structure from which two places show the same."""
STEP = 1.13
"""From one scale to the next: half of it is all that a print may be off by."""
CLOSE_LOOKS = 12


@dataclass(frozen=True, slots=True)
class Print:
    """A square of a known picture, coarse (normalised) and fine."""

    name: str
    coarse: np.ndarray
    fine: np.ndarray


def grey(picture: Image.Image) -> Image.Image:
    """Brightness alone, not larger than is needed."""
    small = picture.convert("L")
    factor = min(small.size) // 256
    return small.reduce(factor) if factor > 1 else small


def normal(windows: np.ndarray) -> np.ndarray:
    """(..., n) with mean 0 and length 1; what is flat becomes 0."""
    centred = windows - windows.mean(-1, keepdims=True)
    length = np.linalg.norm(centred, axis=-1, keepdims=True)
    return np.asarray(np.where(length > 2.0 * COARSE, centred / np.maximum(length, 1e-6), 0.0))


def structure(square: Image.Image) -> np.ndarray:
    """float32 pixels without what is coarse in them, and no edge much stronger than the rest: two
    horizons are not the same picture."""
    pixels = np.asarray(square, dtype=np.float32)
    fine = pixels - np.asarray(square.filter(ImageFilter.GaussianBlur(3)), dtype=np.float32)
    power = Image.fromarray(np.minimum(np.abs(fine) * 4, 255).astype(np.uint8))
    local = np.asarray(power.filter(ImageFilter.GaussianBlur(4)), dtype=np.float32) / 4
    return np.asarray(30 * fine / (local + 4), dtype=np.float32)


def prints(name: str, picture: Image.Image, parts: bool = True) -> list[Print]:
    """Of the largest squares and, with `parts`, of squares of 0.6 of their side in all corners."""
    small = grey(picture)
    width, height = small.size
    side = min(width, height)
    places = [((width - side) // 2, (height - side) // 2, side)]
    if max(width, height) > 1.2 * side:
        places += [(0, 0, side), (width - side, height - side, side)]
    if parts:
        part = round(0.6 * side)
        ends = [(x, y) for x in (0, width - part) for y in (0, height - part)]
        places += [(x, y, part) for x, y in [*ends, ((width - part) // 2, (height - part) // 2)]]
    found = []
    for x, y, edge in places:
        square = small.crop((x, y, x + edge, y + edge))
        coarse = np.asarray(square.resize((COARSE, COARSE), Image.Resampling.BOX), np.float32)
        fine = structure(square.resize((FINE, FINE), Image.Resampling.BOX))
        found.append(Print(name, normal(coarse.reshape(-1)), fine))
    return found


class Album:
    """Known pictures, and whether one of them is in another picture."""

    def __init__(self, known: Iterable[Print], least: float, mirrored: bool) -> None:
        """`least`: the smallest part of a candidate's shorter side that a print may cover."""
        self.known: list[Print] = []
        self.table = np.zeros((0, COARSE * COARSE), np.float32)
        self.least, self.mirrored = least, mirrored
        self.add(known)

    def add(self, known: Iterable[Print]) -> None:
        """Let candidates be compared with these as well."""
        new = list(known)
        self.known += new
        self.table = np.concatenate([self.table, *(p.coarse[None] for p in new)])

    def find(self, picture: Image.Image) -> tuple[str, float] | None:
        """Name of the known picture that this one shows, and how alike they are."""
        if not self.known:
            return None
        small = grey(picture)
        views = [small]
        if self.mirrored:
            views.append(small.transpose(Image.Transpose.FLIP_LEFT_RIGHT))
        best = max((match for view in views for match in self.matches(view)), default=None)
        return (best[1], best[0]) if best and best[0] >= ALIKE else None

    def matches(self, view: Image.Image) -> Iterator[tuple[float, str]]:
        """(likeness, name) at the most likely places."""
        hits: dict[int, tuple[float, int, int, float]] = {}
        share = 1.0
        while share > self.least / STEP:
            thumb, scale = shrunk(view, COARSE / share)
            windows = np.lib.stride_tricks.sliding_window_view(thumb, (COARSE, COARSE))
            down, right = windows.shape[:2]
            flat = normal(windows.reshape(down * right, -1)).astype(np.float32)
            scores = flat @ self.table.T
            places = scores.argmax(0)
            tops = scores[places, np.arange(len(self.known))]
            for which in np.flatnonzero(tops > LIKELY).tolist():
                top = float(tops[which])
                if which not in hits or top > hits[which][0]:
                    y, x = divmod(int(places[which]), right)
                    hits[which] = (top, x, y, scale)
            share /= STEP
        for which, (_, x, y, scale) in sorted(hits.items(), key=lambda h: -h[1][0])[:CLOSE_LOOKS]:
            yield closer(view, x * scale, y * scale, COARSE * scale, self.known[which])


def shrunk(view: Image.Image, short: float) -> tuple[np.ndarray, float]:
    """float32 pixels with a shorter side of `short`, and how many pixels of the view each spans."""
    scale = min(view.size) / round(short)
    size = tuple(max(COARSE, round(side / scale)) for side in view.size)
    thumb = view.resize((size[0], size[1]), Image.Resampling.BOX)
    return np.asarray(thumb, np.float32), scale


def closer(view: Image.Image, x: float, y: float, side: float, known: Print) -> tuple[float, str]:
    """Best correlation of fine structure around a place, at some scales and shifts."""
    best = 0.0
    fine = normal(known.fine.reshape(-1))
    for factor in (0.92, 0.96, 1.0, 1.04, 1.08):
        edge, margin = side * factor, side * 0.12
        left, top = x + (side - edge) / 2 - margin, y + (side - edge) / 2 - margin
        box = (
            max(0.0, left),
            max(0.0, top),
            min(float(view.width), left + edge + 2 * margin),
            min(float(view.height), top + edge + 2 * margin),
        )
        size = [max(FINE, round((box[i + 2] - box[i]) * FINE / edge)) for i in (0, 1)]
        around = structure(view.resize((size[0], size[1]), Image.Resampling.BOX, box))
        windows = np.lib.stride_tricks.sliding_window_view(around, (FINE, FINE))
        flat = normal(windows.reshape(-1, FINE * FINE))
        best = max(best, float((flat @ fine).max()))
    return best, known.name


def album(
    pictures: Iterable[tuple[str, Image.Image]], least: float, parts: bool, mirrored: bool
) -> Album:
    """All prints of all pictures."""
    found: Sequence[Print] = [p for name, i in pictures for p in prints(name, i, parts)]
    return Album(found, least, mirrored)
