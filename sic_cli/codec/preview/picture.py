"""Planes of layer 0 to colours, a sixteenth of the picture's size (FORMAT.md, section 7.6)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MATRIX = np.array([[14860, -18128, 9332], [14911, 309, -19782], [15001, 19013, 11341]], np.int32)
"""Red, green and blue of a sixteenth of a step of brightness, red - blue, green - magenta, in units of 2**-16
grey levels. Least squares over training pictures."""
SHIFT = 16
MIDDLE = (255 << SHIFT) // 2
LUMA = np.array([19595, 38470, 7471], np.uint32)
"""ITU-R BT.601 in units of 2**-16."""


def colours(indices: NDArray[np.int16], grey: bool = False) -> NDArray[np.uint8]:
    """Indices (3, h, w) -> uint8 (h, w, 3), or (h, w) of a grey picture: one pixel for 16 x 16."""
    size = np.abs(indices.astype(np.int32))
    value = np.sign(indices) * (16 * size + 8)
    pixels = np.einsum("cp,phw->hwc", MATRIX, value.astype(np.int32))
    pixels += MIDDLE + (1 << (SHIFT - 1))
    pixels >>= SHIFT
    out = np.clip(pixels, 0, 255).astype(np.uint8)
    return out if not grey else grey_of(out)


def grey_of(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """uint8 (H, W): luma of pixels that should be grey."""
    return ((pixels.astype(np.uint32) @ LUMA + 32768) >> 16).astype(np.uint8)


def enlarged(pixels: NDArray[np.uint8], width: int, height: int, scale: int) -> NDArray[np.uint8]:
    """A preview at `scale` (1, 2, 4, 8, 16) times its size, less what lies beyond the picture.

    width, height: of the picture. The filter is the bicubic convolution with a = -1/2 (Keys 1981), pixel
    centres at half coordinates, as Pillow's `BICUBIC`.
    """
    from PIL import Image

    size = (-(-width * scale // 16), -(-height * scale // 16))
    box = (0.0, 0.0, size[0] / scale, size[1] / scale)
    image = Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC, box)
    return np.asarray(image)


def shrunk(alpha: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """Opacity uint8 (H, W) at the size of a preview: means of what each pixel covers."""
    from PIL import Image

    return np.asarray(Image.fromarray(alpha).resize((width, height), Image.Resampling.BOX))
