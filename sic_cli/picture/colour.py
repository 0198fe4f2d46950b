"""Colours that are not RGB, and colour profiles: what LittleCMS, through Pillow, makes of them."""

from __future__ import annotations

import io

from PIL import Image, ImageCms

SPACES = {"RGB": ("RGB",), "L": ("GRAY", "RGB"), "CMYK": ("CMYK",)}
"""Profiles that may describe pixels of a mode; many grey files carry one for RGB."""


def fault_of(icc: bytes, mode: str) -> str | None:
    """Why a profile does not describe pixels of a mode (RGB, L or CMYK), or None."""
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc)).profile
        space = profile.xcolor_space.strip()
    except Exception:  # the library raises OSError and its own for what it cannot read
        return "cannot be read"
    return None if space in SPACES[mode] else f"is for {space} colours"


def to_srgb(picture: Image.Image, icc: bytes) -> Image.Image:
    """Pixels of mode RGB, L or CMYK -> the same colours in sRGB, perceptual intent.

    Grey comes back as grey. Raises ValueError if the profile cannot be used so.
    """
    grey = picture.mode == "L"
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        if grey and source.profile.xcolor_space.strip() == "RGB":
            picture = picture.convert("RGB")
        out = ImageCms.profileToProfile(
            picture,
            source,
            ImageCms.createProfile("sRGB"),
            renderingIntent=ImageCms.Intent.PERCEPTUAL,
            outputMode="RGB",
        )
    except (ImageCms.PyCMSError, OSError) as error:
        raise ValueError(str(error)) from None
    if out is None:
        raise ValueError("no picture came back")
    return out.convert("L") if grey else out
