"""What reading and writing pictures takes: `python -m tests.trust.appetite` prints a JSON line per way
(with `AT_ONCE` in its environment).

Each way is one kind of picture in, or one kind of file out. The figure is bytes per pixel, the file
itself counted, above where the process stood. Every larger block is given back to the system at once,
holes of the heap before each way, and bands are small: so a small picture tells what a large one takes.
Linux with glibc only.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from sic_cli.picture import bands
from sic_cli.picture.alpha import pack, unpack
from sic_cli.picture.choices import Choices
from sic_cli.picture.load import load
from sic_cli.picture.metadata import Metadata
from sic_cli.picture.save import Output, write
from tests.picture.made import deep_png, file_of
from tests.trust.meter import reset_peak, resident_kib

LIMITS = (65_535, 178_000_000)
SHAPE = (900, 1200)
LONG = (64, 17_000)
"""Too long for WebP, so that transparency is packed as that of large pictures is."""
AT_ONCE = {"MALLOC_MMAP_THRESHOLD_": "65536", "OMP_NUM_THREADS": "1"}
"""Environment that makes malloc give memory back."""


def soft(height: int, width: int, channels: int) -> NDArray[np.uint8]:
    """Soft contents, of which the last channel is 0 in some places and 255 in others."""
    y, x = np.ogrid[0:height, 0:width]
    waves = [
        127 + 100 * np.sin(y / (20 + c)) * np.cos(x / (31 - c)) for c in range(channels - 1)
    ] + [127 + 300 * np.sin(y / 40) * np.cos(x / 50)]
    return np.stack([np.clip(w, 0, 255).astype(np.uint8) for w in waves], axis=2)


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return file_of(Image.fromarray(soft(*SHAPE, 3)), "JPEG", exif=exif)


def deep(channels: int) -> bytes:
    """A PNG file of 16 bits."""
    wide = soft(*SHAPE, channels).astype(np.uint16) * 257
    return deep_png(wide)


SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
READ: dict[str, tuple[Callable[[], bytes], Choices]] = {
    "RGB": (lambda: file_of(Image.fromarray(soft(*SHAPE, 3)), "PNG"), Choices()),
    "RGBA": (lambda: file_of(Image.fromarray(soft(*SHAPE, 4)), "PNG"), Choices()),
    "RGBA, flattened": (
        lambda: file_of(Image.fromarray(soft(*SHAPE, 4)), "PNG"),
        Choices(alpha="flatten"),
    ),
    "RGBA with a profile, to sRGB": (
        lambda: file_of(Image.fromarray(soft(*SHAPE, 4)), "PNG", icc_profile=SRGB),
        Choices(icc="srgb"),
    ),
    "LA": (lambda: file_of(Image.fromarray(soft(*SHAPE, 2)), "PNG"), Choices()),
    "palette with a clear colour": (
        lambda: file_of(Image.fromarray(soft(*SHAPE, 3)).quantize(16), "PNG", transparency=3),
        Choices(),
    ),
    "RGB turned by Exif": (turned, Choices()),
    "RGBA WebP": (
        lambda: file_of(Image.fromarray(soft(*SHAPE, 4)), "WEBP", method=0),
        Choices(),
    ),
    "CMYK": (
        lambda: file_of(Image.fromarray(soft(*SHAPE, 3)).convert("CMYK"), "JPEG"),
        Choices(),
    ),
    "grey of 16 bits": (lambda: deep(1), Choices()),
    "RGB of 16 bits": (lambda: deep(3), Choices()),
    "RGBA of 16 bits": (lambda: deep(4), Choices()),
}


def taken(work: Callable[[], object], pixels: int) -> float:
    """Bytes per pixel by which the process grew at most."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    reset_peak()
    before = resident_kib("VmRSS")
    work()
    return (resident_kib("VmHWM") - before) * 1024 / pixels


def tell(name: str, taken_: float) -> None:
    print(json.dumps({"way": name, "bytes_per_pixel": round(taken_, 1)}), flush=True)


def main() -> None:
    bands.BAND_PIXELS = 1 << 13
    for name, (make, choices) in READ.items():
        data = make()
        pixels = SHAPE[0] * SHAPE[1]
        grown = taken(lambda d=data, c=choices: load(d, "x", *LIMITS, c), pixels)  # type: ignore[misc]
        tell(f"reading {name}", grown + len(data) / pixels)
    alpha = np.ascontiguousarray(soft(*LONG, 2)[..., 1])
    packed = pack(alpha)
    tell("packing transparency", 4 + taken(lambda: pack(alpha), alpha.size))
    tell("unpacking transparency", taken(lambda: unpack(packed, *LONG[::-1]), alpha.size))
    layers = soft(*SHAPE, 4)
    colours, alpha = np.ascontiguousarray(layers[..., :3]), np.ascontiguousarray(layers[..., 3])
    del layers
    for format_ in ("PNG", "JPEG"):
        grown = taken(
            lambda f=format_: write(colours, alpha, f, Metadata(), "x", Output()), alpha.size
        )  # type: ignore[misc]
        tell(f"writing RGBA as {format_}", 4 + grown)


if __name__ == "__main__":
    if any(os.environ.get(name) != value for name, value in AT_ONCE.items()):
        raise SystemExit(f"set {AT_ONCE} first")
    main()
