"""Pictures inside a page: as data of their own, or as files beside it where there are too many bytes."""

from __future__ import annotations

import base64
import io
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray
from PIL import Image

WEBP_SIDE = 16_383
"""The longest side that WebP holds."""


def data_uri(data: bytes, mime: str) -> str:
    """A file as the source of an `img` element."""
    return f"data:{mime};base64,{base64.b64encode(data).decode()}"


class Images:
    """Sources of `img` elements in the order in which they were added.

    limit: bytes that the page may hold; folder: name of the folder that the rest goes to.
    files: name -> bytes, for the caller to write into that folder.
    """

    def __init__(self, limit: int, folder: str) -> None:
        self.limit, self.folder = limit, folder
        self.sources: list[str] = []
        self.files: dict[str, bytes] = {}
        self._held = 0

    def pixels(self, pixels: NDArray[np.uint8]) -> int:
        """Exactly these pixels, uint8 (H, W) or (H, W, 3). -> its number."""
        small = max(pixels.shape[:2]) <= WEBP_SIDE
        file = io.BytesIO()
        if small:
            Image.fromarray(pixels).save(file, "WEBP", lossless=True, quality=40, method=2)
        else:
            Image.fromarray(pixels).save(file, "PNG")
        return self.file(file.getvalue(), "image/webp" if small else "image/png")

    def file(self, data: bytes, mime: str) -> int:
        """A file that browsers show. -> its number."""
        number = len(self.sources)
        if self._held + len(data) <= self.limit:
            self._held += len(data)
            self.sources.append(data_uri(data, mime))
        else:
            name = f"{number:04}.{mime.rpartition('/')[2]}"
            self.files[name] = data
            self.sources.append(f"{quote(self.folder)}/{name}")
        return number
