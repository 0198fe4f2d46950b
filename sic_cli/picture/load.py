"""Picture file -> pixels, upright, with what belongs to them; or one clear refusal.

The rules are `kinds.KINDS`. Reading is here; colours, samples of 16 bits, transparency and metadata
have files of their own.
"""

from __future__ import annotations

import importlib
import importlib.util
import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from ..errors import InputError, Notice, ResourceError, SicError, UsageError
from . import colour, deep, tiff
from .alpha import background_of, fill, flatten
from .bands import channel, rgb
from .choices import Choices
from .kinds import FLOAT_MODES, GREY_MODES, GUESTS, NAMES, READERS, SAME_AS, STRANGERS
from .metadata import Metadata, from_info, hdr_notices, trailing_bytes
from .quiet import QUIET

ORIENTATION = 0x0112


@dataclass(frozen=True, slots=True)
class Picture:
    """pixels: uint8 (H, W, 3), all three equal if `grey`. alpha: uint8 (H, W), or None: opaque.
    notices: sentences on what was changed or left out."""

    pixels: NDArray[np.uint8]
    grey: bool
    alpha: NDArray[np.uint8] | None
    metadata: Metadata
    notices: tuple[Notice, ...] = ()

    @property
    def icc(self) -> bytes | None:
        """The colour profile."""
        return self.metadata.icc


def load(
    data: bytes,
    name: str,
    max_side: int,
    max_pixels: int,
    choices: Choices | None = None,
    check: Callable[[int, int, str], None] | None = None,
) -> Picture:
    """Decode a picture file.

    name: for messages. check: called with width, height and name before pixels are read; raises what
    it likes. Raises InputError for what is not a whole picture of a kind that sic encodes,
    ResourceError for one that is too large (before its pixels are read), UsageError for a frame or
    background that does not exist.
    """
    choices = choices or Choices()
    if not data:
        raise InputError(f"{name}: empty file")
    with QUIET:
        try:
            with Image.open(io.BytesIO(data), formats=_readers(data, name)) as picture:
                _check_size(picture, name, max_side, max_pixels)
                if tiff.is_raw(picture, data):
                    raise InputError(f"{name}: is a raw camera file", "develop it first")
                notices = [*_named(picture, data, name), *_seek(picture, name, choices)]
                _check_size(picture, name, max_side, max_pixels)
                if check is not None:
                    check(*picture.size, name)
                return _read(picture, data, name, choices, notices)
        except UnidentifiedImageError:
            raise InputError(
                f"{name}: not a picture that sic reads", f"readable are {', '.join(READERS)}"
            ) from None
        except Image.DecompressionBombError:
            raise ResourceError(f"{name}: more than {max_pixels} pixels") from None
        except (SicError, MemoryError):
            raise
        except Exception as error:  # readers of damaged files raise whatever they run into
            raise InputError(f"{name}: broken picture ({_line(error)})") from None


def from_image(
    picture: Image.Image,
    name: str,
    max_side: int,
    max_pixels: int,
    choices: Choices | None = None,
    check: Callable[[int, int, str], None] | None = None,
) -> Picture:
    """The same for a picture of Pillow's; raises as `load`."""
    with QUIET:
        _check_size(picture, name, max_side, max_pixels)
        if check is not None:
            check(*picture.size, name)
        try:
            return _read(picture, b"", name, choices or Choices(), [])
        except SicError:
            raise
        except MemoryError:
            raise ResourceError(f"{name}: out of memory") from None
        except Exception as error:  # loading may be due, and its readers raise anything
            raise InputError(f"{name}: broken picture ({_line(error)})") from None


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


def _readers(data: bytes, name: str) -> list[str]:
    """Readers for a file; those that a package brings are looked for only when it is needed."""
    for guest in GUESTS:
        if any(data.startswith(mark, at) for at, mark in guest.marks):
            if importlib.util.find_spec(guest.module) is None:
                raise InputError(
                    f"{name}: is a {guest.format} picture, which Pillow does not read by itself",
                    f"pip install {guest.package}",
                )
            module: Any = importlib.import_module(guest.module)
            if guest.format == "HEIF":
                module.register_heif_opener()
            return [guest.format]
    for (at, mark), what in STRANGERS:
        if data.startswith(mark, at):
            raise InputError(f"{name}: is {what}, not a picture that sic reads")
    if b"<svg" in data[:1024]:
        raise InputError(f"{name}: is a drawing (SVG), not a picture that sic reads")
    return list(READERS)


def _check_size(picture: Image.Image, name: str, max_side: int, max_pixels: int) -> None:
    width, height = picture.size
    if width < 1 or height < 1:
        raise InputError(f"{name}: has no pixels")
    if max(width, height) > max_side or width * height > max_pixels:
        raise ResourceError(
            f"{name}: {width}x{height} pixels; the limits are {max_side} a side and "
            f"{max_pixels} in all"
        )


def _named(picture: Image.Image, data: bytes, name: str) -> list[Notice]:
    out, format_ = [], str(picture.format)
    suffix = PurePath(name).suffix.lower()
    known = {s for row in NAMES.values() for s in row}
    if suffix in known and suffix not in NAMES.get(SAME_AS.get(format_, format_), (suffix,)):
        out.append(Notice(f"{name}: is a {format_} file in spite of its name", "W-ext"))
    if trailing := trailing_bytes(data):
        out.append(Notice(f"{name}: {trailing} bytes behind its end are ignored", "W-trailing"))
    return out


def _seek(picture: Image.Image, name: str, choices: Choices) -> list[Notice]:
    frames = getattr(picture, "n_frames", 1)
    if choices.frame == "error":
        if frames > 1:
            raise InputError(f"{name}: holds {frames} pictures", "choose one with --frame N")
        return []
    if choices.frame is not None and choices.frame >= frames:
        raise UsageError(
            f"{name}: there is no picture {choices.frame}; it holds {frames}, counted from 0"
        )
    if choices.frame:
        picture.seek(choices.frame)
    if frames > 1 and choices.frame is None:
        return [Notice(f"{name}: only the first of {frames} pictures", "W-frames")]
    return []


def _read(
    picture: Image.Image, data: bytes, name: str, choices: Choices, notices: list[Notice]
) -> Picture:
    """Everything behind opening, in the order of the table."""
    if picture.mode in FLOAT_MODES:
        raise InputError(
            f"{name}: has floating-point samples, which sic does not encode",
            "scale it to 16 or 8 bits first",
        )
    samples, tiff_exif = None, tiff.described(picture)
    depth = deep.bits(picture, data[:65536])
    if depth > 8:
        text = f"{name}: {depth} bits per sample"
        if choices.depth16 == "error":
            raise InputError(f"{text}; sic keeps 8", "--depth16 allow encodes it all the same")
        frame = choices.frame if isinstance(choices.frame, int) else 0
        samples = deep.whole_samples(picture, data, frame, name)
        if choices.depth16 == "warn":
            how = "cut to 8 by the reader" if samples is None else "rounded to 8"
            notices.append(Notice(f"{text}, {how}", "W-depth16"))
    picture.load()
    if data:  # a file of ours, whose other frames nobody asks for
        vars(picture).pop("_decoder", None)  # of WebP and AVIF; it holds two more whole pictures
    metadata = from_info(picture.info, data)
    if tiff_exif:
        metadata = replace(metadata, exif=tiff_exif)
    if samples is not None:
        colours, alpha = deep.split(samples, picture.info.get("transparency"))
        del samples  # half of it is a second reading
    else:
        picture, metadata, found_notices = _plain(picture, metadata, name, choices)
        notices += found_notices
        colours, alpha = _split(picture)
    colours, metadata, found_notices = _profiled(colours, metadata, name, choices)
    notices += found_notices
    pixels, grey, alpha = _transparency(colours, alpha, choices)
    if choices.orient == "apply":
        turn = _orientation(picture)
        pixels = _turned(pixels, turn)
        alpha = None if alpha is None else _turned(alpha, turn)
        metadata = metadata.upright()
    notices += hdr_notices(metadata, name)
    metadata, found_notices = metadata.chosen(choices.metadata, choices.strip_gps, name)
    return Picture(np.ascontiguousarray(pixels), grey, alpha, metadata, (*notices, *found_notices))


def _plain(
    picture: Image.Image, metadata: Metadata, name: str, choices: Choices
) -> tuple[Image.Image, Metadata, list[Notice]]:
    """CMYK and LAB to RGB."""
    if picture.mode == "LAB":
        return _kept_info(picture.convert("RGB"), picture), replace(metadata, icc=None), []
    if picture.mode != "CMYK":
        return picture, metadata, []
    found_notices, out, how = [], None, "by the plain formula"
    if metadata.icc and choices.icc != "ignore":
        fault = colour.fault_of(metadata.icc, "CMYK")
        try:
            if fault is None:
                out, how = colour.to_srgb(picture, metadata.icc), "through its profile"
        except ValueError:
            fault = "cannot be used"
        if fault:
            found_notices.append(Notice(f"{name}: its colour profile {fault}", "W-icc-bad"))
    found_notices.append(Notice(f"{name}: CMYK colours converted to sRGB {how}", "W-cmyk"))
    out = picture.convert("RGB") if out is None else out
    return _kept_info(out, picture), replace(metadata, icc=None), found_notices


def _kept_info(made: Image.Image, source: Image.Image) -> Image.Image:
    made.info = source.info
    return made


def _split(picture: Image.Image) -> tuple[Image.Image, NDArray[np.uint8] | None]:
    """Any 8-bit mode -> L or RGB, and alpha if there is any; then the first is LA or RGBA."""
    grey = "L" if picture.mode in GREY_MODES else "RGB"
    if not picture.has_transparency_data:
        return picture if picture.mode == grey else picture.convert(grey), None
    if picture.mode == "La":
        picture = picture.convert("LA")
    kind = "LA" if grey == "L" else "RGBA"
    layered = picture if picture.mode == kind else picture.convert(kind)
    return layered, channel(layered, "A")


def _profiled(
    colours: Image.Image, metadata: Metadata, name: str, choices: Choices
) -> tuple[Image.Image, Metadata, list[Notice]]:
    """`--icc`: keep the profile, convert the pixels, or forget it."""
    icc = metadata.icc
    if not icc:
        return colours, metadata, []
    if choices.icc == "ignore":
        return colours, replace(metadata, icc=None), []
    mode = "L" if colours.mode in GREY_MODES else "RGB"
    fault = colour.fault_of(icc, mode)
    if choices.icc == "srgb":
        metadata = replace(metadata, icc=None)
        try:
            if fault is None:
                plain = colours if colours.mode == mode else colours.convert(mode)
                made = colour.to_srgb(plain, icc)
                text = f"{name}: colours converted to sRGB"
                return made, metadata, [Notice(text, "W-icc-converted")]
        except ValueError:
            fault = "cannot be used"
    if fault:
        text = f"{name}: its colour profile {fault}; the colours are taken for sRGB"
        return colours, metadata, [Notice(text, "W-icc-bad")]
    return colours, metadata, []


def _transparency(
    colours: Image.Image, alpha: NDArray[np.uint8] | None, choices: Choices
) -> tuple[NDArray[np.uint8], bool, NDArray[np.uint8] | None]:
    """`--alpha` -> pixels (H, W, 3), grey or not, alpha."""
    grey = colours.mode in GREY_MODES
    pixels = rgb(colours)
    if alpha is None or alpha.min() == 255 or choices.alpha == "drop":
        return pixels, grey, None
    if choices.alpha == "flatten":
        background = background_of(choices.background)
        return flatten(pixels, alpha, background), grey and len(set(background)) == 1, None
    fill(pixels, alpha)
    return pixels, grey, alpha


def _orientation(picture: Image.Image) -> int:
    try:
        return int(picture.getexif().get(ORIENTATION, 1))
    except Exception:  # Exif that cannot be read turns nothing
        return 1


def _turned(array: NDArray[np.uint8], turn: int) -> NDArray[np.uint8]:
    """The eight orientations of Exif: transpose first, then mirror columns or rows."""
    if turn in (5, 6, 7, 8):
        array = array.swapaxes(0, 1)
    if turn in (2, 3, 6, 7):
        array = array[:, ::-1]
    if turn in (3, 4, 7, 8):
        array = array[::-1]
    return np.ascontiguousarray(array)
