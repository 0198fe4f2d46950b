"""Samples of 16 bits, read as such: Pillow keeps them for grey pictures alone.

Of 16-bit colour Pillow gives the upper byte of each sample, without a word. The raw modes for the
other byte order take the lower byte of the same data, so two readings give all of it.
"""

from __future__ import annotations

import io
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import InputError
from .bands import bands, crop_rows

WIDE = ("I", "I;16", "I;16B", "I;16L", "I;16N")
NATIVE_LOWER = ";16B" if sys.byteorder == "little" else ";16L"
LOWER = {";16B": ";16L", ";16L": ";16B", ";16N": NATIVE_LOWER}
"""The raw mode that takes the other byte; libtiff gives samples in the machine's order, 16N."""


def raw_modes(picture: Image.Image) -> list[str]:
    """The raw mode of each tile of a picture that is not loaded yet."""
    out = []
    for tile in getattr(picture, "tile", ()):
        args = tile[3] if len(tile) > 3 else ()
        first = args[0] if isinstance(args, tuple) and args else args
        out.append(first if isinstance(first, str) else "")
    return out


def bits(picture: Image.Image, head: bytes) -> int:
    """Bits per sample of a picture that is not loaded yet: 8, or how many it has above that."""
    if picture.format == "BMP":
        return 8  # "BGR;16" is 5, 6 and 5 bits
    if picture.format in ("JPEG2000", "AVIF"):
        return max(8, _bits_of(head, picture.format))
    raw = raw_modes(picture)
    if any(";12" in mode for mode in raw):
        return 12
    if picture.mode in WIDE or any(";16" in mode for mode in raw):
        return 16
    if picture.format == "PPM" and any(
        isinstance(v, int) and v > 255
        for tile in getattr(picture, "tile", ())
        for v in (tile[3] if isinstance(tile[3], tuple) else (tile[3],))
    ):
        return 16
    stated = getattr(picture, "tag_v2", {}).get(258, (8,))
    return int(max(8, *(stated if isinstance(stated, tuple) else (stated,))))


def _bits_of(head: bytes, format_: str) -> int:
    """Bits per sample that the head of a JPEG 2000 or AVIF file states; 8 if it does not."""
    if format_ == "AVIF":  # the box `pixi`: version and flags, number of channels, bits of each
        place = head.find(b"pixi")
        return head[place + 9] if place >= 0 and len(head) > place + 9 else 8
    place = head.find(b"\xff\x4f\xff\x51")  # SOC, SIZ; bits - 1 of component 1 stand 42 bytes on
    return (head[place + 42] & 127) + 1 if place >= 0 and len(head) > place + 42 else 8


def to_8(samples: NDArray[Any], most: int = 65535) -> NDArray[np.uint8]:
    """Rounded, where dropping the lower byte would darken."""
    wide = samples.astype(np.uint32)
    out: NDArray[np.uint8] = ((wide * 255 + most // 2) // most).astype(np.uint8)
    return out


@dataclass(frozen=True, slots=True)
class Samples:
    """A picture of 16 bits that is taken a few rows at a time: at once it would stand in memory
    several times. upper: the picture, or the upper bytes; lower: the lower bytes of colour pictures.
    grey_alpha: both hold grey and alpha as two pairs of bytes. bits: 12 or 16, of grey pictures."""

    upper: Image.Image
    lower: Image.Image | None = None
    grey_alpha: bool = False
    bits: int = 16

    @property
    def channels(self) -> int:
        """1 to 4; with 2 and 4 the last is alpha."""
        return 2 if self.grey_alpha else len(self.upper.getbands())

    def rows(self, rows: slice) -> NDArray[np.uint16]:
        """uint16 (H, W, C)."""
        upper = np.asarray(crop_rows(self.upper, rows))
        if self.grey_alpha:
            return _joined(upper[..., ::2], upper[..., 1::2])
        if self.lower is not None:
            return _joined(upper, np.asarray(crop_rows(self.lower, rows)))
        grey = upper.astype(np.int64)[..., None]
        return ((grey * 65535 + 2047) // 4095 if self.bits == 12 else grey).astype(np.uint16)


def whole_samples(picture: Image.Image, data: bytes, frame: int, name: str) -> Samples | None:
    """All of a 16-bit picture that is not loaded yet; None where Pillow's own 8 bits are all there
    is. Raises InputError for whole numbers out of range."""
    raw, mode = raw_modes(picture), picture.mode
    if mode in WIDE:
        low, high = _range(picture)
        if low < 0 or high > 65535:
            raise InputError(
                f"{name}: has samples from {low} to {high}; sic encodes 0 to 65535",
                "scale it to 16 or 8 bits first",
            )
        return Samples(picture, bits=12 if any(";12" in m for m in raw) else 16)
    if mode not in ("RGB", "RGBA") or not raw or picture.format not in ("PNG", "TIFF"):
        return None
    try:
        if set(raw) == {"LA;16B"}:
            return Samples(_again(data, picture.format, frame, ["RGBA"] * len(raw)), None, True)
        ends = {m[-4:] for m in raw}
        if len(ends) != 1 or not ends <= set(LOWER) or raw[0].startswith("RGBa"):
            return None
        lower = _again(data, picture.format, frame, [m[:-4] + LOWER[m[-4:]] for m in raw])
    except (ValueError, OSError):
        return None  # no such raw mode here, or no file to read again
    return Samples(picture, lower)


def _range(picture: Image.Image) -> tuple[int, int]:
    """Least and largest number in it."""
    parts = (np.asarray(crop_rows(picture, rows)) for rows in bands(*picture.size))
    ends = [(int(part.min()), int(part.max())) for part in parts]
    return min(low for low, _ in ends), max(high for _, high in ends)


def split(samples: Samples, clear: Any) -> tuple[Image.Image, NDArray[np.uint8] | None]:
    """Samples -> L, RGB or RGBA of 8 bits, and alpha if there is any. Colour pictures are changed in
    place, `samples` with them. clear: the colour of 16 bits that is to be transparent, or None."""
    width, height = size = samples.upper.size
    count = samples.channels
    keyed = count in (1, 3) and isinstance(clear, int | tuple)
    made = Image.new("L", size) if samples.lower is None else samples.upper
    alpha = np.empty((height, width), np.uint8) if keyed or count in (2, 4) else None
    for rows in bands(width, height):
        part = samples.rows(rows)
        made.paste(Image.fromarray(to_8(part[..., 0] if count < 3 else part)), (0, rows.start))
        if alpha is not None:
            alpha[rows] = 255 * (part != clear).any(axis=2) if keyed else to_8(part[..., -1])
    return made, alpha


def _joined(upper: NDArray[np.uint8], lower: NDArray[np.uint8]) -> NDArray[np.uint16]:
    out = upper.astype(np.uint16)
    out <<= 8
    out |= lower
    return out


def _again(data: bytes, format_: str, frame: int, raw: list[str]) -> Image.Image:
    """The same picture, read with other raw modes."""
    with Image.open(io.BytesIO(data), formats=(format_,)) as picture:
        if frame:
            picture.seek(frame)
        tiles: Any = picture.tile  # type: ignore[attr-defined]
        changed = []
        for tile, mode in zip(tiles, raw, strict=True):
            args = (mode, *tile[3][1:]) if isinstance(tile[3], tuple) else mode
            changed.append(tile._replace(args=args))
        picture.tile = changed  # type: ignore[attr-defined]
        picture.load()
        return picture
