"""Pixels -> the bytes of a picture file in any format that Pillow writes."""

from __future__ import annotations

import io
from pathlib import PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import OutputError, UsageError

OPTIONS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"quality": 95, "method": 4},
    "AVIF": {"quality": 95, "subsampling": "4:4:4"},
    "PNG": {"compress_level": 6},
}
"""How each format is written, where Pillow's own default loses more than people expect."""


KEEPS_ICC = {"PNG", "JPEG", "WEBP", "AVIF", "TIFF"}
"""Formats in which Pillow writes a colour profile."""

OTHER_SIZES = {"ICO", "ICNS"}
"""Formats that do not keep the size of a picture."""


def format_for(output: str, wanted: str | None) -> str:
    """Pillow's name of the format: `wanted` (a suffix without dot), else by the output's suffix,
    else PNG. Raises UsageError for one that Pillow does not write."""
    Image.init()
    suffix = f".{wanted.lower()}" if wanted else PurePath(output).suffix.lower()
    if not suffix:
        return "PNG"
    name = Image.registered_extensions().get(suffix)
    if name is None or name not in Image.SAVE or name in OTHER_SIZES:
        raise UsageError(
            f"cannot write a picture as {suffix}", "use .png, .jpg, .webp, .avif, .tiff or .ppm"
        )
    return name


def save(pixels: NDArray[np.uint8], format_: str, icc: bytes | None) -> bytes:
    """pixels: uint8 (H, W) or (H, W, 3). Raises OutputError if the format cannot hold the picture."""
    file, options = io.BytesIO(), dict(OPTIONS.get(format_, {}))
    if icc:
        options["icc_profile"] = icc
    try:
        Image.fromarray(pixels).save(file, format_, **options)
    except (OSError, ValueError, KeyError, SystemError) as error:
        raise OutputError(f"the picture cannot be written as {format_}: {error}") from None
    return file.getvalue()
