"""How lively texture is (training/texture.py, where it is explained), and how pixels should move for it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..inference.config import STRIDE
from ..inference.convolution import Array

SCALES = 3
WINDOW = 8
HALF = WINDOW // 2
FLOOR = np.float32(2.0)
"""Energy, in grey levels squared, below which nobody sees a difference."""
OPPONENT = np.array(
    ((0.299, 0.587, 0.114), (0.5, -0.419, -0.081), (-0.169, -0.331, 0.5)), np.float32
)
"""Brightness and two colour differences of RGB."""
AXES = ((2,), (1,), (2, 1))
"""Of the three kinds of `differences`."""


class Texture:
    """The texture of a picture, float32 (H, W, 3), sides multiples of 16."""

    def __init__(self, original: Array) -> None:
        self._wanted = [
            [energy(d) for d in differences(plane, STRIDE >> scale)]
            for scale, plane in planes(original)
        ]

    def distance(self, made: Array) -> tuple[float, Array]:
        """How far the texture of `made` is from it, and the gradient of that, float32 (H, W, 3)."""
        count = 3 * len(self._wanted)
        total, gradients = 0.0, []
        for (scale, plane), wanted in zip(planes(made), self._wanted, strict=False):
            gradient = np.zeros_like(plane)
            found = differences(plane, STRIDE >> scale)
            for axes, (d, wanted_energy) in zip(AXES, zip(found, wanted, strict=True), strict=True):
                p = energy(d) + FLOOR
                ratio = np.float32(0.5) * np.log(p / (wanted_energy + FLOOR))
                total += float(np.square(ratio, dtype=np.float64).mean()) / count
                ratio /= p
                ratio *= np.float32(2 / (count * ratio.size * WINDOW**2))
                gradient += differences_backward(window_sum_backward(ratio, d.shape) * d, axes)
            gradients.append(gradient)
        if not gradients:
            return 0.0, np.zeros_like(made)
        return total, planes_backward(gradients, made.shape)


def planes(picture: Array) -> Iterator[tuple[int, Array]]:
    """Scale, and there brightness (and, from half size on, colour) as (planes, h, w)."""
    opponent = np.einsum("oc,hwc->ohw", OPPONENT, picture)
    for scale in range(SCALES):
        if scale:
            _, height, width = opponent.shape
            pairs = opponent.reshape(3, height // 2, 2, width // 2, 2)
            opponent = pairs.mean((2, 4), dtype=np.float32)
        if min(opponent.shape[1:]) <= WINDOW:
            return
        yield scale, opponent if scale else opponent[:1]


def planes_backward(gradients: list[Array], shape: tuple[int, ...]) -> Array:
    """From the gradients of `planes` to that of the picture."""
    above = np.zeros((3, *gradients[-1].shape[1:]), np.float32)
    for scale in reversed(range(len(gradients))):
        above[: len(gradients[scale])] += gradients[scale]
        if scale:
            above = np.repeat(np.repeat(above / np.float32(4), 2, 1), 2, 2)
    opponent: Array = np.einsum("oc,ohw->hwc", OPPONENT, above)
    return opponent.reshape(shape)


def differences(plane: Array, patch: int) -> list[Array]:
    """Of neighbours across, down and diagonally, (planes, h - 0 or 1, w - 0 or 1); 0 over the edges of
    patches."""
    across = np.diff(plane, axis=2)
    across[:, :, patch - 1 :: patch] = 0
    down = np.diff(plane, axis=1)
    down[:, patch - 1 :: patch] = 0
    diagonal = np.diff(across, axis=1)
    diagonal[:, patch - 1 :: patch] = 0
    return [across, down, diagonal]


def energy(d: Array) -> Array:
    """Mean squares in windows that overlap by half."""
    rows, across = (side // HALF for side in d.shape[1:])
    square = np.square(d[:, : rows * HALF, : across * HALF])
    parts = square.reshape(len(d), rows, HALF, across, HALF).sum((2, 4), dtype=np.float32)
    parts = parts[:, 1:] + parts[:, :-1]
    mean: Array = (parts[:, :, 1:] + parts[:, :, :-1]) / np.float32(WINDOW**2)
    return mean


def window_sum_backward(windows: Array, shape: tuple[int, ...]) -> Array:
    """What each place gets from the windows that it is in: the inverse way of a sum."""
    count, rows, across = windows.shape
    parts = np.zeros((count, rows + 1, across + 1), np.float32)
    for down in (0, 1):
        for right in (0, 1):
            parts[:, down : down + rows, right : right + across] += windows
    out = np.zeros(shape, np.float32)
    whole = np.repeat(np.repeat(parts, HALF, 1), HALF, 2)
    out[:, : whole.shape[1], : whole.shape[2]] = whole
    return out


def differences_backward(d: Array, axes: tuple[int, ...]) -> Array:
    """The inverse way of differences along some axes."""
    for axis in axes:
        edge = [(0, 0)] * 3
        edge[axis] = (1, 1)
        d = -np.diff(np.pad(d, edge), axis=axis)
    return d
