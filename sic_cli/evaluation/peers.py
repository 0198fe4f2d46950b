"""The codecs that sic is compared with, each through Pillow at its best reasonable setting.

The one table to touch to add a peer. Settings run from small files to large ones.
"""

from __future__ import annotations

import importlib
import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, features

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Peer:
    """name: on the command line; title: for people; format: Pillow's; settings: values of the one
    knob, small files first; knob: its name; options: everything else; about: both in words; here:
    "" if this machine has it, else why not; suffix: of its files; mime: if browsers show
    them; colour: options for pictures of three channels only."""

    name: str
    title: str
    format: str
    knob: str
    settings: tuple[float, ...]
    about: str
    options: Callable[[float], dict[str, Any]]
    here: Callable[[], str]
    suffix: str
    mime: str | None = None
    colour: dict[str, Any] = field(default_factory=dict)

    def encode(self, pixels: Pixels, setting: float) -> bytes:
        """pixels: uint8 (H, W) or (H, W, 3) -> a file."""
        file, colour = io.BytesIO(), self.colour if pixels.ndim == 3 else {}
        Image.fromarray(pixels).save(file, self.format, **self.options(setting), **colour)
        return file.getvalue()

    def decode(self, data: bytes) -> Pixels:
        """A file of `encode` -> uint8 (H, W, 3)."""
        with Image.open(io.BytesIO(data), formats=[self.format]) as picture:
            return np.asarray(picture.convert("RGB"))

    def step(self, setting: float) -> str:
        """The setting as rows name it: `quality 30`."""
        return f"{self.knob} {setting:g}"


def _codec(name: str, what: str) -> Callable[[], str]:
    def here() -> str:
        ok = features.check(name)
        return "" if ok else f"this Pillow is built without {what}"

    return here


def _jxl_here() -> str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            importlib.import_module("pillow_jxl")
    except (ImportError, OSError, RuntimeError) as error:
        return f"pillow-jxl-plugin is not installed ({error}); pip install pillow-jxl-plugin"
    return ""


def _quality(**fixed: Any) -> Callable[[float], dict[str, Any]]:
    return lambda setting: {"quality": int(setting), **fixed}


def _ratio(setting: float) -> dict[str, Any]:
    return {
        "quality_mode": "rates",
        "quality_layers": [setting],
        "irreversible": True,
        "no_jp2": True,
    }


PEERS = {
    p.name: p
    for p in (
        Peer(
            "jpeg",
            "JPEG",
            "JPEG",
            "quality",
            (1, 6, 10, 15, 22, 32, 45, 58, 70, 80, 88, 93),
            "libjpeg-turbo through Pillow: 4:4:4, progressive, optimised Huffman tables",
            _quality(subsampling=0, progressive=True, optimize=True),
            _codec("jpg", "libjpeg"),
            ".jpg",
            "image/jpeg",
        ),
        Peer(
            "webp",
            "WebP",
            "WEBP",
            "quality",
            (0, 1, 4, 10, 20, 30, 40, 50, 65, 75, 85, 90),
            "libwebp through Pillow: lossy, method 6 (chroma is always 4:2:0)",
            _quality(method=6),
            _codec("webp", "libwebp"),
            ".webp",
            "image/webp",
        ),
        Peer(
            "avif",
            "AVIF",
            "AVIF",
            "quality",
            (10, 15, 20, 25, 30, 40, 50, 60, 65, 70, 75, 80),
            "libavif and its encoder through Pillow: 4:4:4, speed 4, 8 bits",
            _quality(subsampling="4:4:4", speed=4, max_threads=1),
            _codec("avif", "libavif"),
            ".avif",
            "image/avif",
        ),
        Peer(
            "j2k",
            "JPEG 2000",
            "JPEG2000",
            "ratio",
            (320, 240, 180, 130, 95, 70, 50, 38, 28, 22, 17, 14),
            "OpenJPEG through Pillow: 9/7 wavelet, colour transform, one layer at a compression ratio, bare codestream",
            _ratio,
            _codec("jpg_2000", "OpenJPEG"),
            ".j2k",
            colour={"mct": 1},
        ),
        Peer(
            "jxl",
            "JPEG XL",
            "JXL",
            "quality",
            (5, 10, 20, 30, 40, 50, 60, 70, 78, 85, 90, 93),
            "libjxl through pillow-jxl-plugin: lossy, effort 7",
            _quality(effort=7, lossless=False, num_threads=1),
            _jxl_here,
            ".jxl",
        ),
    )
}


def some(values: tuple[float, ...], count: int) -> tuple[float, ...]:
    """`count` of some settings, evenly spread, both ends among them; all if there are fewer."""
    if count >= len(values):
        return values
    if count == 1:
        return (values[len(values) // 2],)
    at = [round(i * (len(values) - 1) / (count - 1)) for i in range(count)]
    return tuple(values[i] for i in at)
