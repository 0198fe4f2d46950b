"""Peak signal-to-noise ratio."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def psnr(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    """Decibels between two uint8 arrays of one shape, over all samples; infinity if equal."""
    if a.shape != b.shape:
        raise ValueError(f"pictures of different shapes: {a.shape} and {b.shape}")
    mse = float(np.square(a.astype(np.float64) - b.astype(np.float64)).mean())
    return float("inf") if mse == 0 else float(10 * np.log10(255**2 / mse))
