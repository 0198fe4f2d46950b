"""Curves of a metric over rate: averages at fixed rates, both ways, and Bjontegaard's difference.

Two ways to average over pictures, which differ by up to 0.8 dB: (a) rate and metric are averaged over
the pictures at each setting, then interpolated in log rate: what published tables do; (b) each picture
is interpolated at the rate, then averaged.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

RATES = (0.15, 0.30, 0.45, 0.70)
Floats = NDArray[np.float64]


def at_rate(bpp: Sequence[float], values: Sequence[float], rate: float) -> float | None:
    """`values` at `rate`, linear in log bpp; None outside the range that was measured."""
    order = np.argsort(np.asarray(bpp, np.float64), kind="stable")
    x, y = np.asarray(bpp, np.float64)[order], np.asarray(values, np.float64)[order]
    if not len(x) or not x[0] <= rate <= x[-1]:
        return None
    return float(np.interp(np.log(rate), np.log(x), y))


def slopes(x: Floats, y: Floats) -> Floats:
    """Slopes of the monotone piecewise cubic (PCHIP) through some points, x rising.

    Fritsch and Butland 1984: weighted harmonic means inside, three-point formula at the ends.
    """
    h, d = np.diff(x), np.diff(y) / np.diff(x)
    if len(d) == 1:
        return np.array([d[0], d[0]])
    out = np.zeros_like(x)
    for i in range(1, len(x) - 1):
        if d[i - 1] * d[i] > 0:
            u, v = 2 * h[i] + h[i - 1], h[i] + 2 * h[i - 1]
            out[i] = (u + v) / (u / d[i - 1] + v / d[i])
    out[0] = _end(h[0], h[1], d[0], d[1])
    out[-1] = _end(h[-1], h[-2], d[-1], d[-2])
    return out


def _end(h0: float, h1: float, d0: float, d1: float) -> float:
    slope = ((2 * h0 + h1) * d0 - h0 * d1) / (h0 + h1)
    if slope * d0 <= 0:
        return 0.0
    return float(3 * d0 if d0 * d1 <= 0 and abs(slope) > 3 * abs(d0) else slope)


def pchip(x: Floats, y: Floats, at: Floats) -> Floats:
    """The cubic of `slopes` at some places inside [x[0], x[-1]]."""
    m = slopes(x, y)
    i = np.clip(np.searchsorted(x, at, side="right") - 1, 0, len(x) - 2)
    h = x[i + 1] - x[i]
    t = (at - x[i]) / h
    return (
        y[i] * (1 + 2 * t) * (1 - t) ** 2
        + m[i] * h * t * (1 - t) ** 2
        + y[i + 1] * t**2 * (3 - 2 * t)
        + m[i + 1] * h * t**2 * (t - 1)
    )


def integral(x: Floats, y: Floats, low: float, high: float) -> float:
    """Exact integral of the cubic from low to high: Simpson's rule on each piece."""
    edges = np.unique(np.concatenate(([low], x[(x > low) & (x < high)], [high])))
    a, b = edges[:-1], edges[1:]
    middle = pchip(x, y, (a + b) / 2)
    return float(((b - a) / 6 * (pchip(x, y, a) + 4 * middle + pchip(x, y, b))).sum())


def rising(bpp: Sequence[float], quality: Sequence[float]) -> tuple[Floats, Floats]:
    """(quality, log bpp) of the points that are better than every cheaper one."""
    kept_q, kept_r = list[float](), list[float]()
    for rate, value in sorted(zip(bpp, quality, strict=True)):
        if not kept_q or (value > kept_q[-1] and np.log(rate) > kept_r[-1]):
            kept_q.append(value)
            kept_r.append(float(np.log(rate)))
    return np.array(kept_q), np.array(kept_r)


def bd_rate(
    anchor: tuple[Sequence[float], Sequence[float]], test: tuple[Sequence[float], Sequence[float]]
) -> float | None:
    """Percent of rate that `test` needs more (+) or less (-) than `anchor` at equal quality.

    Each is (bpp, quality), more quality being better (hand in the negative of a distance). Log rate
    as a piecewise cubic of quality, over the common range (Bjontegaard, VCEG-M33; cubic of
    VCEG-AI11). None if there is no common range or fewer than two points.
    """
    (qa, ra), (qt, rt) = rising(*anchor), rising(*test)
    if min(len(qa), len(qt)) < 2:
        return None
    low, high = max(qa[0], qt[0]), min(qa[-1], qt[-1])
    if high <= low:
        return None
    mean = (integral(qt, rt, low, high) - integral(qa, ra, low, high)) / (high - low)
    return float((np.exp(mean) - 1) * 100)
