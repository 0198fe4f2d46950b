"""What happens to each kind of picture: one table, used by the loader and printed in the README."""

from __future__ import annotations

from dataclasses import dataclass

READERS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "AVIF", "PPM", "GIF", "QOI", "JPEG2000", "TGA")
"""Pillow's readers that sic lets near a file; the others parse formats that hold no photographs."""


@dataclass(frozen=True, slots=True)
class Kind:
    """modes: Pillow modes; accepted: whether sic encodes it; text: what happens, for people."""

    modes: tuple[str, ...]
    accepted: bool
    text: str


KINDS = (
    Kind(("RGB",), True, "encoded as it is"),
    Kind(("L", "1"), True, "encoded as grey, decoded as grey"),
    Kind(("P",), True, "colours of the palette, encoded as RGB"),
    Kind(("RGBA", "LA", "PA", "La", "RGBa", "RGBX"), False, "has transparency"),
    Kind(("I", "I;16", "I;16B", "I;16L", "I;16N", "F"), False, "has more than 8 bits per sample"),
    Kind(("CMYK",), False, "is in CMYK colours"),
    Kind(("YCbCr", "LAB", "HSV"), False, "is not in RGB colours"),
)


def kind_of(mode: str) -> Kind:
    """The row for a Pillow mode."""
    for kind in KINDS:
        if mode in kind.modes:
            return kind
    return Kind((mode,), False, f"has mode {mode}, which sic does not know")
