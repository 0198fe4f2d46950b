"""MS-SSIM (Wang, Simoncelli and Bovik 2003) as learned codecs report it: RGB, Gaussian window of 11
samples with sigma 1.5, borders left out, five scales by 2x2 means, mean over channels at the end.

The values are those of the package `pytorch-msssim`, which is too little code to depend on.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
WINDOW, SIGMA = 11, 1.5
LEAST = (WINDOW - 1) * 2 ** (len(WEIGHTS) - 1) + 1
"""Pixels that the shorter side needs: 161."""

C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
CENTRE = 128.0
"""Taken off the samples: variances then lose nothing in 32-bit floats."""


def _window() -> Tensor:
    at = torch.arange(WINDOW, dtype=torch.float32) - WINDOW // 2
    weight = torch.exp(-(at**2) / (2 * SIGMA**2))
    return weight / weight.sum()


def _blur(x: Tensor, window: Tensor) -> Tensor:
    """(C, 1, H, W): channels as a batch, which is faster than as groups."""
    return F.conv2d(F.conv2d(x, window.view(1, 1, -1, 1)), window.view(1, 1, 1, -1))


def _similarity(a: Tensor, b: Tensor, window: Tensor) -> tuple[Tensor, Tensor]:
    """(SSIM, contrast and structure alone), each (C, 1): means over positions."""
    mean_a, mean_b = _blur(a, window), _blur(b, window)
    var_a = _blur(a * a, window) - mean_a**2
    var_b = _blur(b * b, window) - mean_b**2
    both = _blur(a * b, window) - mean_a * mean_b
    structure = (2 * both + C2) / (var_a + var_b + C2)
    mean_a, mean_b = mean_a + CENTRE, mean_b + CENTRE
    light = (2 * mean_a * mean_b + C1) / (mean_a**2 + mean_b**2 + C1)
    return (light * structure).mean((2, 3)), structure.mean((2, 3))


def ms_ssim(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float | None:
    """1 for equal pictures uint8 (H, W, 3); None if a side is shorter than `LEAST`."""
    if min(a.shape[:2]) < LEAST:
        return None
    window = _window()
    x, y = (
        torch.from_numpy(np.array(p)).permute(2, 0, 1)[:, None].float() - CENTRE for p in (a, b)
    )
    parts = []
    for scale in range(len(WEIGHTS)):
        whole, structure = _similarity(x, y, window)
        last = scale == len(WEIGHTS) - 1
        parts.append(torch.relu(whole if last else structure))
        if not last:
            spare = [side % 2 for side in x.shape[2:]]
            x, y = (F.avg_pool2d(p + CENTRE, 2, padding=spare) - CENTRE for p in (x, y))
    weights = torch.tensor(WEIGHTS, dtype=torch.float64).view(-1, 1, 1)
    return float((torch.stack(parts) ** weights).prod(0).mean())
