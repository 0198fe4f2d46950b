"""Transparency: what the codec sees under it, and how it is packed without loss.

Colours under wholly clear pixels are nobody's to see, but they cost bytes and bleed over edges. They
are filled from their neighbours: the picture is halved again and again, clear pixels left out of the
averages, until none is left; then each size fills the holes of the next larger one.
"""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor, UnidentifiedImageError

from ..errors import CorruptError, UsageError
from .bands import bands, channel, crop_rows

WEBP_SIDE = 16383
"""Largest side of a WebP picture; larger ones are packed as PNG, measured a third larger."""
WEBP_PIXELS = 25_000_000
"""Most pixels that are packed as WebP: its encoder takes up to 36 bytes for each (12 where little
changes), and the bound on memory (`pipeline/limits.py`) would be passed at 33 megapixels."""
EFFORT = {"quality": 25, "method": 4}
"""Of the WebP encoder. On noise quality 75 takes many times as long, and 100 with method 6 did not
end within a minute for a megapixel, for nothing; on masks they save little."""
BILINEAR = Image.Resampling.BILINEAR
UNSEEN = (127, 127, 127)
"""Colour of a picture of which nothing is seen."""


def background_of(text: str) -> tuple[int, int, int]:
    """`#RRGGBB` or a CSS name -> colour. Raises UsageError."""
    try:
        red, green, blue = tuple[int, ...](ImageColor.getrgb(text))
    except ValueError:  # no colour, or one with transparency
        raise UsageError(f"background {text!r} is not a colour such as white or #336699") from None
    return red, green, blue


def fill(pixels: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> None:
    """Give pixels, uint8 (H, W, 3), new colours where alpha, uint8 (H, W), is 0; in place."""
    if alpha.any():
        _fill(pixels, alpha)
    else:
        pixels[:] = UNSEEN


def _fill(colours: NDArray[np.uint8], seen: NDArray[np.uint8]) -> None:
    """seen: 0 where a colour is to be found; it is not 0 everywhere."""
    if seen.all():
        return
    height, width = seen.shape
    half, half_seen = _halved(colours, seen)
    _fill(half, half_seen)
    small = Image.fromarray(half)
    del half, half_seen
    for rows in bands(width, height):
        large = np.asarray(_doubled(small, rows.start // 2, (rows.stop + 1) // 2))
        hidden = seen[rows] == 0
        colours[rows][hidden] = large[: rows.stop - rows.start, :width][hidden]


def _doubled(small: Image.Image, first: int, last: int) -> Image.Image:
    """Rows `first` to `last` of a picture, at twice its size: first across, then down, as Pillow does
    with a whole picture; of parts it may go the other way, and round otherwise."""
    top, bottom = max(0, first - 1), min(small.height, last + 1)
    wide = crop_rows(small, slice(top, bottom)).resize((2 * small.width, bottom - top), BILINEAR)
    box = (0, first - top, wide.width, last - top)
    return wide.resize((wide.width, 2 * (last - first)), BILINEAR, box)


def _halved(
    colours: NDArray[np.uint8], seen: NDArray[np.uint8]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Means of 2x2 pixels, those left out that are not seen; and where there was any to see."""
    height, width = seen.shape
    size = ((height + 1) // 2, (width + 1) // 2)
    half, half_seen = np.empty((*size, 3), np.uint8), np.empty(size, np.uint8)
    for rows in bands(width, height):
        both = Image.fromarray(colours[rows])
        both.putalpha(Image.fromarray(np.where(seen[rows], np.uint8(255), np.uint8(0))))
        made = np.asarray(both.convert("RGBa").reduce(2).convert("RGBA"))
        below = slice(rows.start // 2, rows.start // 2 + len(made))
        half[below], half_seen[below] = made[..., :3], made[..., 3]
    return half, half_seen


def flatten(
    pixels: NDArray[np.uint8], alpha: NDArray[np.uint8], background: tuple[int, int, int]
) -> NDArray[np.uint8]:
    """Pixels, uint8 (H, W, 3) or (H, W), on a background -> uint8 (H, W, 3)."""
    out = np.empty((*alpha.shape, 3), np.uint8)
    for rows in bands(alpha.shape[1], alpha.shape[0]):
        part = Image.fromarray(pixels[rows])
        part = part if part.mode == "RGB" else part.convert("RGB")
        base = Image.new("RGB", part.size, background)
        out[rows] = np.asarray(Image.composite(part, base, Image.fromarray(alpha[rows])))
    return out


def pack(alpha: NDArray[np.uint8]) -> bytes:
    """uint8 (H, W) -> a whole file without loss: WebP, or PNG where WebP cannot or takes too much
    memory."""
    picture, file = Image.fromarray(alpha), io.BytesIO()
    if max(picture.size) <= WEBP_SIDE and alpha.size <= WEBP_PIXELS:
        picture.convert("RGB").save(file, "WEBP", lossless=True, **EFFORT)
    else:
        picture.save(file, "PNG", optimize=True)
    return file.getvalue()


def unpack(data: bytes, width: int, height: int) -> NDArray[np.uint8]:
    """What `pack` packed. Raises CorruptError, before pixels are read if the size is wrong."""
    try:
        with Image.open(io.BytesIO(data), formats=("WEBP", "PNG")) as picture:
            if picture.size != (width, height):
                raise CorruptError(
                    f"transparency of {picture.width}x{picture.height} pixels in a picture of "
                    f"{width}x{height}"
                )
            return channel(picture, "L")
    except CorruptError:
        raise
    except UnidentifiedImageError:  # its text names a place in memory
        raise CorruptError("transparency is neither WebP nor PNG") from None
    except Exception as error:  # readers of damaged files raise whatever they run into
        raise CorruptError(f"transparency cannot be read ({error})") from None
