"""MS-SSIM (Wang, Simoncelli and Bovik 2003) as learned codecs report it: RGB, Gaussian window of 11
samples with sigma 1.5, borders left out, five scales by 2x2 means, mean over channels at the end.

The values are those of the package `pytorch-msssim`, which is too little code to depend on.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
WINDOW, SIGMA = 11, 1.5
LEAST = (WINDOW - 1) * 2 ** (len(WEIGHTS) - 1) + 1
"""Pixels that the shorter side needs: 161."""

C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
Plane = NDArray[np.float32]
"""One channel, (h, w)."""


def _window() -> Plane:
    at = np.arange(WINDOW, dtype=np.float32) - WINDOW // 2
    weight: Plane = np.exp(-(at**2) / np.float32(2 * SIGMA**2))
    weight /= weight.sum()
    return weight


def _blur(x: Plane, window: Plane) -> Plane:
    """(h, w) -> (h - 10, w - 10), by rows and then by columns; the window is symmetric."""
    for _ in range(2):
        count, half = len(x) - WINDOW + 1, WINDOW // 2
        total = window[half] * x[half : half + count]
        for tap in range(half):
            total += window[tap] * (x[tap : tap + count] + x[WINDOW - 1 - tap :][:count])
        x = np.ascontiguousarray(total.T)
    return x


def _similarity(a: Plane, b: Plane, window: Plane) -> tuple[float, float]:
    """(SSIM, contrast and structure alone): means over positions. Their mean is taken off the samples:
    variances then lose nothing in 32-bit floats."""
    centre = np.float32(round(float(a.mean())))
    a, b = a - centre, b - centre
    mean_a, mean_b = _blur(a, window), _blur(b, window)
    var_a = _blur(a * a, window) - mean_a**2
    var_b = _blur(b * b, window) - mean_b**2
    both = _blur(a * b, window) - mean_a * mean_b
    structure = (2 * both + C2) / (var_a + var_b + C2)
    mean_a, mean_b = mean_a + centre, mean_b + centre
    light = (2 * mean_a * mean_b + C1) / (mean_a**2 + mean_b**2 + C1)
    return float((light * structure).mean()), float(structure.mean())


def _halved(x: Plane) -> Plane:
    """Means of 2x2 samples; an odd side gets a row of black before and behind it."""
    rows, columns = (side % 2 for side in x.shape)
    padded = np.pad(x, ((rows, rows), (columns, columns)))
    padded = padded[: len(padded) // 2 * 2, : padded.shape[1] // 2 * 2]
    half: Plane = padded.reshape(len(padded) // 2, 2, -1, 2).mean((1, 3), dtype=np.float32)
    return half


def ms_ssim(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float | None:
    """1 for equal pictures uint8 (H, W, 3); None if a side is shorter than `LEAST`."""
    if min(a.shape[:2]) < LEAST:
        return None
    window, found = _window(), []
    for channel in range(3):
        x, y = (p[:, :, channel].astype(np.float32) for p in (a, b))
        product = 1.0
        for scale, weight in enumerate(WEIGHTS, 1):
            whole, structure = _similarity(x, y, window)
            last = scale == len(WEIGHTS)
            product *= max(0.0, whole if last else structure) ** weight
            if not last:
                x, y = _halved(x), _halved(y)
        found.append(product)
    return float(np.mean(found))
