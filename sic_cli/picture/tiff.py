"""What is particular about TIFF files: their tags are their Exif, and raw camera files are among them."""

from __future__ import annotations

from typing import Any

from PIL import Image

EXIF, GPS, ORIENTATION = 0x8769, 0x8825, 0x0112
SUB_FILE_TYPE, SUB_DIRECTORIES, DNG_VERSION = 254, 330, 50706
LAYOUT = {
    *range(254, 260), 262, 266, *range(273, 281), 284, 317, *range(320, 326), 330, 338, 339, 347,
    513, 514, *range(529, 533), 700, 33723, 34377, 34675, ORIENTATION,
}  # fmt: skip
"""Tags that say how pixels are stored, or that are kept elsewhere or not at all."""


def is_raw(picture: Image.Image, data: bytes) -> bool:
    """True for raw camera files, whose first picture is a small preview."""
    tags: Any = getattr(picture, "tag_v2", {})
    preview = SUB_DIRECTORIES in tags and int(tags.get(SUB_FILE_TYPE, 0)) & 1
    return bool((data[8:10] == b"CR" and tags) or DNG_VERSION in tags or preview)


def described(picture: Image.Image) -> bytes | None:
    """The tags of a TIFF file that describe the picture, as Exif; call it before pixels are read."""
    if not hasattr(picture, "tag_v2") or picture.info.get("exif"):
        return None
    try:
        return without_layout(picture.getexif())
    except Exception:  # damaged tags; the pixels may be whole
        return None


def without_layout(exif: Image.Exif) -> bytes | None:
    """Exif written anew without the tags that belong to one file's pixels; None: nothing is left."""
    kept = Image.Exif()
    for tag, value in exif.items():
        if tag not in LAYOUT:
            kept[tag] = exif.get_ifd(tag) if tag in (EXIF, GPS) else value
    return kept.tobytes().removeprefix(b"Exif\0\0") if len(kept) else None
