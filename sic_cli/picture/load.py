"""Picture file -> pixels, upright, with its colour profile; or one clear refusal."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from ..errors import InputError, Notice, ResourceError
from .kinds import READERS, kind_of


@dataclass(frozen=True, slots=True)
class Picture:
    """pixels: uint8 (H, W, 3), all three equal if `grey`. icc: profile or None. notices: sentences
    on what was left out."""

    pixels: NDArray[np.uint8]
    grey: bool
    icc: bytes | None
    notices: tuple[Notice, ...] = ()


def load(data: bytes, name: str, max_side: int, max_pixels: int) -> Picture:
    """Decode a picture file.

    name: for messages. Raises InputError for what is not a whole picture of a kind that sic encodes,
    ResourceError for one that is too large (before its pixels are read).
    """
    if not data:
        raise InputError(f"{name}: empty file")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(data), formats=READERS) as picture:
                _check_size(picture, name, max_side, max_pixels)
                _check_kind(picture, name, data[:65536])
                picture.load()
                return _upright(picture, name)
        except UnidentifiedImageError:
            raise InputError(
                f"{name}: not a picture that sic reads", f"readable are {', '.join(READERS)}"
            ) from None
        except Image.DecompressionBombError:
            raise ResourceError(f"{name}: more than {max_pixels} pixels") from None
        except (InputError, ResourceError, MemoryError):
            raise
        except Exception as error:  # readers of damaged files raise whatever they run into
            raise InputError(f"{name}: broken picture ({error})") from None


def _check_size(picture: Image.Image, name: str, max_side: int, max_pixels: int) -> None:
    width, height = picture.size
    if width < 1 or height < 1:
        raise InputError(f"{name}: has no pixels")
    if max(width, height) > max_side or width * height > max_pixels:
        raise ResourceError(
            f"{name}: {width}x{height} pixels; the limits are {max_side} a side and "
            f"{max_pixels} in all"
        )


def _check_kind(picture: Image.Image, name: str, head: bytes) -> None:
    frames = getattr(picture, "n_frames", 1)
    if frames > 1 and picture.format != "MPO":
        raise InputError(f"{name}: has {frames} frames; sic encodes single pictures")
    if _deep(picture, head):
        raise InputError(
            f"{name}: has more than 8 bits per sample, which sic does not encode yet",
            "convert it to 8 bits first",
        )


def _bits_of(head: bytes, format_: str) -> int:
    """Bits per sample that the head of a JPEG 2000 or AVIF file states; 8 if it does not."""
    if format_ == "AVIF":  # the box `pixi`: version and flags, number of channels, bits of each
        place = head.find(b"pixi")
        return head[place + 9] if place >= 0 and len(head) > place + 9 else 8
    place = head.find(b"\xff\x4f\xff\x51")  # SOC, SIZ; bits - 1 of component 1 stand 42 bytes on
    return (head[place + 42] & 127) + 1 if place >= 0 and len(head) > place + 42 else 8


def _deep(picture: Image.Image, head: bytes) -> bool:
    """True for more than 8 bits per sample, which Pillow would cut to 8 without a word."""
    if picture.format == "BMP":
        return False  # "BGR;16" is 5, 6 and 5 bits
    for tile in getattr(picture, "tile", ()):
        raw = tile[3] if len(tile) > 3 else ()
        for value in raw if isinstance(raw, tuple) else (raw,):
            if isinstance(value, str) and ";16" in value:
                return True
            if picture.format == "PPM" and isinstance(value, int) and value > 255:
                return True
    if picture.format in ("JPEG2000", "AVIF") and _bits_of(head, picture.format) > 8:
        return True
    bits = getattr(picture, "tag_v2", {}).get(258, (8,))
    return bool(max(bits if isinstance(bits, tuple) else (bits,)) > 8)


def _upright(picture: Image.Image, name: str) -> Picture:
    upright = ImageOps.exif_transpose(picture)
    icc = picture.info.get("icc_profile") or None
    lost = [k for k in ("exif", "xmp") if picture.info.get(k)]
    notices = []
    if lost:
        text = f"{name}: {' and '.join(lost)} metadata not carried over"
        notices.append(Notice(text, "W-meta-lost"))
    frames = getattr(picture, "n_frames", 1)
    if frames > 1:
        notices.append(Notice(f"{name}: only the first of {frames} pictures", "W-frames"))
    if upright.has_transparency_data:
        layered = upright.convert("RGBA")
        if layered.getchannel("A").getextrema() != (255, 255):
            raise InputError(
                f"{name}: has transparency, which sic does not encode yet",
                "flatten it on a background first",
            )
        upright = layered.convert("L" if upright.mode in ("L", "LA") else "RGB")
    kind = kind_of(upright.mode)
    if kind.refusal:
        raise InputError(f"{name}: {kind.refusal}, which sic does not encode yet")
    grey = upright.mode in ("L", "1")
    pixels = np.asarray(upright.convert("L" if grey else "RGB"))
    if grey:
        pixels = np.repeat(pixels[:, :, None], 3, axis=2)
    return Picture(np.ascontiguousarray(pixels), grey, icc, tuple(notices))
