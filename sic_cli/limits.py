"""What one picture may ask of this machine: checked against its header, before memory is taken."""

from __future__ import annotations

from dataclasses import dataclass

from .bitstream.fields import MAX_PIXELS
from .errors import ResourceError

BASE_BYTES = 1_200_000_000
BYTES_PER_PIXEL = 12
"""The documented bound on what encoding or decoding holds (README, "Limits and security")."""


def most_memory(pixels: int) -> int:
    """Bytes that encoding or decoding so many pixels holds at most."""
    return BASE_BYTES + BYTES_PER_PIXEL * pixels


@dataclass(frozen=True, slots=True)
class Limits:
    """max_pixels: of one picture. max_memory: bytes, None for no limit; `jobs` pictures that are
    worked on at the same time share it."""

    max_pixels: int = MAX_PIXELS
    max_memory: int | None = None
    jobs: int = 1

    def check(self, width: int, height: int, name: str) -> None:
        """Raise ResourceError for a picture that is over a limit. name: for messages."""
        pixels = width * height
        if pixels > self.max_pixels:
            raise ResourceError(
                f"{name}: {width}x{height} pixels, --max-pixels allows {self.max_pixels}"
            )
        need = most_memory(pixels)
        if self.max_memory is not None and need > self.max_memory // self.jobs:
            share = f" / {self.jobs} jobs" if self.jobs > 1 else ""
            raise ResourceError(
                f"{name}: {width}x{height} pixels may need {need / 1e6:.0f} MB of memory, "
                f"--max-memory allows {self.max_memory / 1e6:.0f} MB{share}"
            )


DEFAULT = Limits()
"""Those of the format."""
