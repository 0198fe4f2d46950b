"""Whole pictures a few rows at a time, so that work on them stands in memory once, not many times.

Pillow keeps three bytes of a pixel in four, and each of its steps makes a new picture.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

BAND_PIXELS = 1 << 20
"""Pixels of a band, some megabytes in each of the steps on it."""


def bands(width: int, height: int) -> Iterator[slice]:
    """Rows from top to bottom; each band begins at an even row, so that it can be halved."""
    rows = 2 * max(1, BAND_PIXELS // (2 * width))
    for top in range(0, height, rows):
        yield slice(top, min(height, top + rows))


def crop_rows(picture: Image.Image, rows: slice) -> Image.Image:
    """These rows as a picture of their own."""
    return picture.crop((0, rows.start, picture.width, rows.stop))


def rgb(picture: Image.Image) -> NDArray[np.uint8]:
    """L or RGB, perhaps with an alpha that is left out -> uint8 (H, W, 3)."""
    out = np.empty((picture.height, picture.width, 3), np.uint8)
    for rows in bands(*picture.size):
        part = crop_rows(picture, rows)
        out[rows] = np.asarray(part if part.mode == "RGB" else part.convert("RGB"))
    return out


def channel(picture: Image.Image, name: str) -> NDArray[np.uint8]:
    """One channel of a picture, or the picture made grey if `name` is "L" -> uint8 (H, W)."""
    out = np.empty((picture.height, picture.width), np.uint8)
    for rows in bands(*picture.size):
        part = crop_rows(picture, rows)
        out[rows] = np.asarray(part.convert("L") if name == "L" else part.getchannel(name))
    return out
