"""Pixels -> the bytes of a picture file in any format that Pillow writes, with all that it can hold."""

from __future__ import annotations

import io
import zlib
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from ..errors import Notice, OutputError, UsageError
from . import exif as edit
from .alpha import background_of, flatten
from .metadata import HDR_CHUNKS, Metadata
from .tiff import without_layout

OPTIONS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"quality": 95, "method": 4},
    "AVIF": {"quality": 95, "subsampling": "4:4:4"},
    "PNG": {"compress_level": 6},
}
"""How each format is written, where Pillow's own default loses more than people expect."""


KEEPS_ICC = {"PNG", "JPEG", "WEBP", "AVIF", "TIFF"}
"""Formats in which Pillow writes a colour profile; Exif and XMP go into the same ones."""

KEEPS_ALPHA = {"PNG", "WEBP", "AVIF", "TIFF", "TGA", "JPEG2000", "QOI"}
"""Formats that hold transparency of 256 steps."""

KEEPS_DPI = {"PNG", "JPEG", "TIFF", "BMP"}

OTHER_SIZES = {"ICO", "ICNS"}
"""Formats that do not keep the size of a picture."""

BEHIND_HEAD = 8 + 25
"""Where the second chunk of a PNG file stands."""


@dataclass(frozen=True, slots=True)
class Output:
    """background: for formats without transparency. quality: of JPEG, WebP, AVIF, 1 to 100.
    compression: of PNG, 0 to 9."""

    background: str = "white"
    quality: int | None = None
    compression: int | None = None


def format_for(output: str, wanted: str | None) -> str:
    """Pillow's name of the format: `wanted` (a suffix without dot), else by the output's suffix,
    else PNG. Raises UsageError for one that Pillow does not write."""
    Image.preinit()  # the usual five; loading all takes longer than a small picture
    suffix = f".{wanted.lower()}" if wanted else PurePath(output).suffix.lower()
    if not suffix:
        return "PNG"
    name = Image.EXTENSION.get(suffix) or Image.registered_extensions().get(suffix)
    if name is None or name not in Image.SAVE or name in OTHER_SIZES or name == "SIC":
        raise UsageError(
            f"cannot write a picture as {suffix}", "use .png, .jpg, .webp, .avif, .tiff or .ppm"
        )
    return name


def save(pixels: NDArray[np.uint8], format_: str, icc: bytes | None) -> bytes:
    """pixels: uint8 (H, W) or (H, W, 3). Raises OutputError if the format cannot hold the picture."""
    return write(pixels, None, format_, Metadata(icc=icc), "the picture")[0]


def write(
    pixels: NDArray[np.uint8],
    alpha: NDArray[np.uint8] | None,
    format_: str,
    metadata: Metadata,
    name: str,
    output: Output | None = None,
) -> tuple[bytes, list[Notice]]:
    """A picture file, and sentences on what its format cannot hold.

    pixels: uint8 (H, W) or (H, W, 3); alpha: uint8 (H, W). Raises OutputError if the format cannot
    hold the picture itself, UsageError for a background that is no colour.
    """
    output, notices = output or Output(), []
    if alpha is not None and format_ not in KEEPS_ALPHA:
        background = background_of(output.background)
        picture = Image.fromarray(flatten(pixels, alpha, background))
        if pixels.ndim == 2 and len(set(background)) == 1:
            picture = picture.convert("L")
        text = f"{name}: {format_} files hold no transparency; put on {output.background}"
        notices.append(Notice(text, "W-alpha-flat"))
    else:
        picture = layered(pixels, alpha)
    error: Exception | None = None
    for kept, lost in _attempts(metadata, format_):
        try:
            data = _write(picture, format_, kept, output)
        except (OSError, ValueError, KeyError, SystemError, SyntaxError, RuntimeError) as failure:
            error = error or failure
            continue
        if lost:
            text = f"{name}: {format_} files cannot hold its {', '.join(lost)}"
            notices.append(Notice(text, "W-meta-lost"))
        return data, notices
    raise OutputError(f"the picture cannot be written as {format_}: {error}") from None


def layered(pixels: NDArray[np.uint8], alpha: NDArray[np.uint8] | None) -> Image.Image:
    """A picture of mode L, RGB, LA or RGBA."""
    picture = Image.fromarray(pixels)
    if alpha is not None:
        picture.putalpha(Image.fromarray(alpha))
    return picture


def _attempts(metadata: Metadata, format_: str) -> list[tuple[Metadata, list[str]]]:
    """What is tried in turn: all that the format holds, then less; each with what it leaves out."""
    if format_ not in KEEPS_ICC:
        words = {"icc": "colour profile", "exif": "Exif", "xmp": "XMP", "hdr": "HDR description"}
        lost = [word for key, word in words.items() if getattr(metadata, key)]
        dpi = metadata.dpi if format_ in KEEPS_DPI else None
        return [(Metadata(dpi=dpi), lost)]
    lost = []
    if metadata.hdr and format_ != "PNG":
        metadata, lost = replace(metadata, hdr={}), ["HDR description"]
    out = [(metadata, lost)]
    if metadata.exif:
        small = edit.without_thumbnail(metadata.exif)
        out.append((replace(metadata, exif=small), [*lost, "Exif preview"]))
        metadata = replace(metadata, exif=None)
        out.append((metadata, [*lost, "Exif"]))
    for key, word in (("xmp", "XMP"), ("icc", "colour profile")):
        if getattr(metadata, key):
            less: dict[str, Any] = {key: None}
            metadata = replace(metadata, **less)
            out.append((metadata, [*out[-1][1], word]))
    return out


def _write(picture: Image.Image, format_: str, metadata: Metadata, output: Output) -> bytes:
    file, options = io.BytesIO(), dict(OPTIONS.get(format_, {}))
    if output.quality is not None and "quality" in options:
        options["quality"] = output.quality
    if output.compression is not None and format_ == "PNG":
        options["compress_level"] = output.compression
    if metadata.icc:
        options["icc_profile"] = metadata.icc
    if metadata.dpi and format_ in KEEPS_DPI:
        options["dpi"] = metadata.dpi
    if format_ == "TIFF":
        options |= _tiff_tags(metadata)
    else:
        if metadata.exif:
            options["exif"] = edit.PREFIX * (format_ == "JPEG") + metadata.exif
        if metadata.xmp and format_ == "PNG":
            options["pnginfo"] = PngImagePlugin.PngInfo()
            options["pnginfo"].add_itxt("XML:com.adobe.xmp", metadata.xmp.decode())
        elif metadata.xmp:
            options["xmp"] = metadata.xmp
    picture.save(file, format_, **options)
    data = file.getvalue()
    if metadata.hdr and format_ == "PNG":
        chunks = b"".join(_png_chunk(k, metadata.hdr[k]) for k in HDR_CHUNKS if k in metadata.hdr)
        data = data[:BEHIND_HEAD] + chunks + data[BEHIND_HEAD:]
    return data


def _tiff_tags(metadata: Metadata) -> dict[str, Any]:
    """Exif and XMP as tags of the TIFF file itself."""
    tags = Image.Exif()
    if metadata.exif:
        source = Image.Exif()
        source.load(metadata.exif)
        tags.load(without_layout(source) or b"")
    if metadata.xmp:
        tags[700] = metadata.xmp
    return {"exif": tags} if len(tags) else {}


def _png_chunk(kind: str, data: bytes) -> bytes:
    body = kind.encode() + data
    return len(data).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")
