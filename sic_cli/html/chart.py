"""Curves of a metric over bits per pixel as inline SVG: no script, the same bytes for the same rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 620, 380
LEFT, RIGHT, TOP, BOTTOM = 62, 14, 12, 44
TICKS = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.45, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0, 12.0, 24.0)
COLOURS = 7
"""Classes `c0` to `c6` in the style sheet."""


@dataclass(frozen=True, slots=True)
class Dot:
    """x, y in the drawing; tip: shown when pointed at."""

    x: float
    y: float
    tip: str


@dataclass(frozen=True, slots=True)
class Line:
    """One curve. colour: number of its class."""

    name: str
    colour: int
    dots: tuple[Dot, ...]

    @property
    def path(self) -> str:
        return " ".join(f"{d.x},{d.y}" for d in self.dots)


@dataclass(frozen=True, slots=True)
class Mark:
    """A tick: its place and its label."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Chart:
    """What the template draws."""

    title: str
    lines: tuple[Line, ...]
    xs: tuple[Mark, ...]
    ys: tuple[Mark, ...]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    bottom: int = HEIGHT - BOTTOM


def steps(low: float, high: float) -> list[float]:
    """Round numbers from low to high, about six."""
    raw = (high - low) / 6 or 1.0
    size = 10 ** math.floor(math.log10(raw))
    step = next(f * size for f in (1, 2, 2.5, 5, 10) if f * size >= raw)
    first = math.ceil(low / step)
    return [round(i * step, 10) for i in range(first, math.floor(high / step) + 1)]


def chart(
    title: str, curves: Sequence[tuple[str, Sequence[tuple[float, float, str]]]]
) -> Chart | None:
    """curves: (name, points (bpp, value, tip)); None if there is no point."""
    points = [p for _, found in curves for p in found]
    if not points:
        return None
    x0, x1 = min(p[0] for p in points) / 1.05, max(p[0] for p in points) * 1.05
    low, high = min(p[1] for p in points), max(p[1] for p in points)
    spare = (high - low) * 0.04 or 0.5
    low, high = low - spare, high + spare

    def across(bpp: float) -> float:
        share = math.log(bpp / x0) / math.log(x1 / x0)
        return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)

    def up(value: float) -> float:
        return round(HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - TOP - BOTTOM), 1)

    lines = tuple(
        Line(name, i % COLOURS, tuple(Dot(across(b), up(v), tip) for b, v, tip in sorted(found)))
        for i, (name, found) in enumerate(curves)
    )
    xs, last = [], -99.0
    for tick in TICKS:
        if x0 <= tick <= x1 and across(tick) - last >= 34:
            last = across(tick)
            xs.append(Mark(last, f"{tick:g}"))
    ys = tuple(Mark(up(v), f"{v:g}") for v in steps(low, high))
    return Chart(title, lines, tuple(xs), ys)
