"""Transparency: what the codec sees under it, and how it is packed without loss.

Colours under wholly clear pixels are nobody's to see, but they cost bytes and bleed over edges. They
are filled from their neighbours: the picture is halved again and again, clear pixels left out of the
averages, until none is left; then each size fills the holes of the next larger one.
"""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor

from ..errors import CorruptError, UsageError

WEBP_SIDE = 16383
"""Largest side of a WebP picture; larger ones are packed as PNG, measured a third larger."""
EFFORT = {"quality": 25, "method": 4}
"""Of the WebP encoder. On noise quality 75 takes many times as long, and 100 with method 6 did not
end within a minute for a megapixel, for nothing; on masks they save little."""
UNSEEN = (127, 127, 127)
"""Colour of a picture of which nothing is seen."""


def background_of(text: str) -> tuple[int, int, int]:
    """`#RRGGBB` or a CSS name -> colour. Raises UsageError."""
    try:
        red, green, blue = tuple[int, ...](ImageColor.getrgb(text))
    except ValueError:  # no colour, or one with transparency
        raise UsageError(f"background {text!r} is not a colour such as white or #336699") from None
    return red, green, blue


def fill(pixels: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """pixels: uint8 (H, W, 3), alpha: uint8 (H, W) -> pixels, new colours where alpha is 0."""
    if alpha.all():
        return pixels
    if not alpha.any():
        return np.broadcast_to(np.array(UNSEEN, np.uint8), pixels.shape).copy()
    seen = Image.fromarray(np.where(alpha, np.uint8(255), np.uint8(0)))
    return np.asarray(_filled(Image.fromarray(pixels), seen))


def _filled(colours: Image.Image, seen: Image.Image) -> Image.Image:
    """colours: RGB; seen: L, 0 where a colour is to be found."""
    if seen.getextrema()[0] == 255:
        return colours
    both = colours.copy()
    both.putalpha(seen)
    half = both.convert("RGBa").reduce(2).convert("RGBA")
    half_seen = half.getchannel("A").point(lambda v: 255 if v else 0)
    small = _filled(half.convert("RGB"), half_seen)
    large = small.resize((small.width * 2, small.height * 2), Image.Resampling.BILINEAR)
    return Image.composite(colours, large.crop((0, 0, *colours.size)), seen)


def flatten(
    pixels: NDArray[np.uint8], alpha: NDArray[np.uint8], background: tuple[int, int, int]
) -> NDArray[np.uint8]:
    """Put pixels, uint8 (H, W, 3), on a background."""
    picture = Image.fromarray(pixels)
    base = Image.new("RGB", picture.size, background)
    return np.asarray(Image.composite(picture, base, Image.fromarray(alpha)))


def pack(alpha: NDArray[np.uint8]) -> bytes:
    """uint8 (H, W) -> a whole file without loss: WebP, or PNG where a side is too long for it."""
    picture, file = Image.fromarray(alpha), io.BytesIO()
    if max(picture.size) <= WEBP_SIDE:
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
            return np.array(picture.convert("L"))
    except CorruptError:
        raise
    except Exception as error:  # readers of damaged files raise whatever they run into
        raise CorruptError(f"transparency cannot be read ({error})") from None
