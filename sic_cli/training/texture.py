"""How lively texture is, as a loss: local energy of fine structure, whatever its exact place.

Squared error is least where a decoder shows the mean of all pictures that a file allows, which is too
smooth. Here only the energy of differences between neighbours counts, over small windows, at three
scales and in three directions: the squared logarithm of its ratio to the original's. What is least
is then the geometric mean of the energies that the file allows, not none at all.

Steps between patches must not stand in for texture: differences over the edges of patches are left
out. What happens there is for `loss.blocking_loss` to judge, so train with both.

Pixels alone are looked at, no network; colour from half size on. On one core forward and backward
take about a tenth of what a step of the decoder takes.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..codec.inference.config import STRIDE

SCALES = 3
WINDOW = 8
FLOOR = 2.0
"""Energy, in grey levels squared, below which nobody sees a difference."""
OPPONENT = ((0.299, 0.587, 0.114), (0.5, -0.419, -0.081), (-0.169, -0.331, 0.5))
"""Brightness and two colour differences of RGB."""


def statistics(made: Tensor, original: Tensor) -> Tensor:
    """Distance (B,) of two pictures (B, 3, H, W) in grey levels, sides multiples of 16, at least 32."""
    turn = torch.tensor(OPPONENT, device=made.device)
    a, b = (torch.einsum("oc,bchw->bohw", turn, p) for p in (made, original))
    planes = [(a[:, :1], b[:, :1])]
    for _ in range(1, SCALES):
        a, b = F.avg_pool2d(a, 2), F.avg_pool2d(b, 2)
        planes.append((a, b))
    total, count = torch.zeros(len(made), device=made.device), 0
    for scale, (a, b) in enumerate(planes):
        if min(a.shape[2:]) <= WINDOW:
            break
        for p, q in zip(energies(a, STRIDE >> scale), energies(b, STRIDE >> scale), strict=True):
            ratio = 0.5 * torch.log((p + FLOOR) / (q + FLOOR))
            total = total + ratio.square().mean((1, 2, 3))
            count += 1
    return total / count


def energies(picture: Tensor, patch: int) -> list[Tensor]:
    """Mean squares of differences across, down and diagonally, in overlapping windows; none of them
    over the edge of a patch."""
    across = picture[..., 1:] - picture[..., :-1]
    down = picture[:, :, 1:] - picture[:, :, :-1]
    diagonal = across[:, :, 1:] - across[:, :, :-1]
    rows, columns = (
        (torch.arange(1, n, device=picture.device) % patch != 0).to(picture.dtype)
        for n in picture.shape[2:]
    )
    inside = (columns, rows[:, None], rows[:, None] * columns)
    return [
        F.avg_pool2d(difference.square() * mask, WINDOW, WINDOW // 2)
        for difference, mask in zip((across, down, diagonal), inside, strict=True)
    ]
