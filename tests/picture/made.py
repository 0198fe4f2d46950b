"""Odd picture files, made in memory."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image

from tests.tiny import made_picture

LIMITS = (65535, 178_000_000)
RGB = Image.fromarray(made_picture(20, 31, 1))
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"'
    b' exif:GPSLatitude="52,31N"/></x:xmpmeta>'
)


def file_of(image: Image.Image, format_: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, format_, **options)
    return out.getvalue()


def opened(data: bytes) -> Image.Image:
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        return image


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def deep_png(samples: np.ndarray, between: bytes = b"") -> bytes:
    """A 16-bit PNG file of samples (H, W, C); between: chunks before the pixels."""
    height, width, channels = samples.shape
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    rows = b"".join(b"\0" + row.tobytes() for row in samples.astype(">u2"))
    head = struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", head)
        + between
        + png_chunk(b"IDAT", zlib.compress(rows))
        + png_chunk(b"IEND", b"")
    )


def deep_tiff(samples: np.ndarray, order: str = "<") -> bytes:
    """An uncompressed 16-bit RGB TIFF file of samples (H, W, 3)."""
    height, width, _ = samples.shape
    body = samples.astype(f"{order}u2").tobytes()
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8 + len(body) + 6)
    bits = struct.pack(f"{order}HHH", 16, 16, 16)
    rows = [
        (256, 4, 1, width), (257, 4, 1, height), (258, 3, 3, 8 + len(body)), (259, 4, 1, 1),
        (262, 4, 1, 2), (273, 4, 1, 8), (277, 4, 1, 3), (278, 4, 1, height), (279, 4, 1, len(body)),
    ]  # fmt: skip
    entries = b"".join(struct.pack(f"{order}HHII", *row) for row in rows)
    directory = struct.pack(f"{order}H", len(rows)) + entries + bytes(4)
    return head + body + bits + directory


def camera_exif(turn: int = 6, preview: bytes = b"") -> Image.Exif:
    exif = Image.Exif()
    exif[0x010F] = "a camera maker"
    exif[0x0112] = turn
    exif.get_ifd(0x8769)[0x9286] = b"a comment of the user"
    exif.get_ifd(0x8825)[1] = "N"
    exif.get_ifd(0x8825)[2] = (52.0, 31.0, 12.25)
    return exif


def cmyk_profile() -> bytes:
    """A CMYK profile in which full cyan is red: nobody takes it for the plain formula."""

    def tag(kind: bytes, body: bytes) -> bytes:
        data = kind + bytes(4) + body
        return data + bytes(-len(data) % 4)

    ramp = bytes(range(256))
    fixed = [int(v * 65536) for v in (0.9642, 1.0, 0.8249)]
    grid = bytearray()
    for corner in range(16):
        cyan, magenta, yellow, black = (corner >> k & 1 for k in (3, 2, 1, 0))
        light = 0 if black else 100 - 45 * cyan - 15 * magenta - 15 * yellow
        red = 60 if cyan and not black else 0
        grid += bytes((round(light * 2.55), 128 + red, 128 + red // 2))
    unit = struct.pack(">9i", *(65536 * (i % 4 == 0) for i in range(9)))
    lut = bytes((4, 3, 2, 0)) + unit + ramp * 4 + bytes(grid) + ramp * 3
    text = b"test\0"
    tags = {
        b"desc": tag(b"desc", struct.pack(">I", len(text)) + text + bytes(78)),
        b"cprt": tag(b"text", text),
        b"wtpt": tag(b"XYZ ", struct.pack(">3i", *fixed)),
        b"A2B0": tag(b"mft1", lut),
    }
    place = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        table += struct.pack(">4sII", name, place + len(body), len(data))
        body += data
    head = struct.pack(">I4sI4s4s4s12s4s", place + len(body), b"", 0x02400000, b"prtr", b"CMYK",
                       b"Lab ", bytes(12), b"acsp")  # fmt: skip
    head += bytes(28) + struct.pack(">3i", *fixed)
    return head + bytes(128 - len(head)) + table + body
