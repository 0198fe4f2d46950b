"""Which kinds of picture are encoded and why the others are refused: the loader's one table."""

from __future__ import annotations

from dataclasses import dataclass

READERS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "AVIF", "PPM", "GIF", "QOI", "JPEG2000", "TGA")
"""Pillow's readers that sic lets near a file; the others parse formats that hold no photographs."""


@dataclass(frozen=True, slots=True)
class Kind:
    """modes: Pillow modes; refusal: how the sentence that refuses it goes on; None: encoded."""

    modes: tuple[str, ...]
    refusal: str | None


KINDS = (
    Kind(("RGB", "L", "1", "P"), None),
    Kind(("RGBA", "LA", "PA", "La", "RGBa", "RGBX"), "has transparency"),
    Kind(("I", "I;16", "I;16B", "I;16L", "I;16N", "F"), "has more than 8 bits per sample"),
    Kind(("CMYK",), "is in CMYK colours"),
    Kind(("YCbCr", "LAB", "HSV"), "is not in RGB colours"),
)


def kind_of(mode: str) -> Kind:
    """The row for a Pillow mode."""
    for kind in KINDS:
        if mode in kind.modes:
            return kind
    return Kind((mode,), f"has mode {mode}, which sic does not know")
