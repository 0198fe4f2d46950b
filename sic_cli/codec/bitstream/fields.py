"""Every field of a .sic file, once: name, size, range, meaning (FORMAT.md, sections 2 to 5).

Reader, writer, `sic info` and the test of FORMAT.md all go by these lists.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from ...errors import CorruptError

SIGNATURE = b"\x89SIC\r\n\x1a\n"
"""Catches text-mode transfer, stripped high bits and other kinds of file, as PNG's does."""
VERSION = 1

MAX_FILE = 512 << 20  # more than twice what 178 megapixels take at the finest level
MAX_SIDE = 65_535  # larger sides overflow what picture formats around us can hold
MAX_PIXELS = 178_000_000  # twice the size at which Pillow warns of decompression bombs
MAX_LEVELS = 64  # chunk types begin at 65 ("A")
MAX_CHUNKS_BYTES = 16 << 20  # profiles and metadata of honest cameras stay far below
MAX_CHUNKS = 256  # there are only a few kinds
MAX_VARINT = 5  # bytes; holds 35 bits

FLAG_GREY = 1
KNOWN_FLAGS = FLAG_GREY

CRC_BYTES = 4
CHUNK_HEAD_MOST = 4 + MAX_VARINT + CRC_BYTES
MODEL_BYTES = 8


@dataclass(frozen=True, slots=True)
class Field:
    """One field. size: bytes, or 0 for a varint. low..high: accepted values."""

    name: str
    size: int
    low: int
    high: int
    meaning: str


HEADER_FIELDS = (
    Field("version", 1, 1, 255, "format version; this text describes 1"),
    Field("flags", 1, 0, KNOWN_FLAGS, "bit 0: grey picture; the others are 0"),
    Field("width", 0, 1, MAX_SIDE, "pixels per row"),
    Field("height", 0, 1, MAX_SIDE, "rows"),
    Field("levels", 1, 1, MAX_LEVELS, "levels that the model has (not: that the file has)"),
    Field("model", MODEL_BYTES, 0, 2**64 - 1, "first 8 bytes of the SHA-256 of the weights file"),
)

CHUNK_FIELDS = (
    Field("type", 4, 0, 2**32 - 1, "four letters; first letter upper case: critical"),
    Field("length", 0, 0, MAX_CHUNKS_BYTES, "bytes of data"),
    Field(
        "crc",
        CRC_BYTES,
        0,
        2**32 - 1,
        "CRC-32 of type, length and data, continued from the header's",
    ),
)

LAYER_FIELDS = (
    Field("level", 1, 0, MAX_LEVELS, "level that this layer completes: 0, 1, 2, ..."),
    Field("psnr", 1, 0, 255, "expected PSNR at this level in quarter decibels; 0: not known"),
    Field(
        "digest", 4, 0, 2**32 - 1, "CRC-32 over the decoded indices, continued from layer to layer"
    ),
    Field("length", 0, 0, MAX_FILE, "bytes of payload"),
    Field(
        "crc",
        CRC_BYTES,
        0,
        2**32 - 1,
        "CRC-32 of the fields above and the payload, continued from the header's",
    ),
)

CHUNK_ALPHA = b"ALPH"
CHUNK_ICC = b"iCCP"
CHUNK_EXIF = b"eXIF"
CHUNK_XMP = b"xMPp"
CHUNK_DENSITY = b"dENS"
CHUNKS_HDR = (b"cICP", b"mDCV", b"cLLI")


@dataclass(frozen=True, slots=True)
class ChunkKind:
    """A type of chunk that version 1 knows. kind: its name in `sic info`; meaning: its data."""

    type: bytes
    kind: str
    meaning: str


CHUNK_KINDS = (
    ChunkKind(
        CHUNK_ALPHA,
        "alpha",
        "opacity of every pixel, lossless: a whole still WebP file (lossless, three equal channels) "
        "or PNG file (grey, 8 bits) of exactly width x height pixels; 0 is clear, 255 opaque",
    ),
    ChunkKind(CHUNK_ICC, "icc", "the ICC profile of the picture, byte for byte"),
    ChunkKind(CHUNK_EXIF, "exif", "Exif: a TIFF structure, without the `Exif 00 00` of JPEG files"),
    ChunkKind(CHUNK_XMP, "xmp", "an XMP packet, UTF-8"),
    ChunkKind(
        CHUNK_DENSITY,
        "density",
        "a varint: thousandths of a pixel per inch; a second one for rows if they differ",
    ),
    *(
        ChunkKind(t, t.decode().lower(), f"the data of the chunk `{t.decode()}` of a PNG file")
        for t in CHUNKS_HDR
    ),
)
"""Every chunk of version 1 (FORMAT.md, section 3)."""


@dataclass(frozen=True, slots=True)
class Header:
    """What stands before chunks and layers. model: 8 bytes."""

    width: int
    height: int
    levels: int
    model: bytes
    grey: bool = False
    version: int = VERSION


@dataclass(frozen=True, slots=True)
class Chunk:
    """A named piece of data beside the picture. type: 4 ASCII letters."""

    type: bytes
    data: bytes

    @property
    def critical(self) -> bool:
        """A reader that does not know a critical chunk must refuse the file."""
        return self.type[:1].isupper()


@dataclass(frozen=True, slots=True)
class Layer:
    """What takes level `level - 1` to `level`; layer 0 holds the mean colours. psnr: quarter decibels, 0 if not known."""

    level: int
    payload: bytes
    digest: int
    psnr: int = 0


def crc(data: bytes, start: int = 0) -> int:
    """CRC-32 as in PNG and zlib, continued from `start`."""
    return zlib.crc32(data, start)


def put_varint(value: int) -> bytes:
    """LEB128: seven bits a byte, low bits first, high bit set on all but the last."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def get_varint(data: bytes, place: int, name: str) -> tuple[int, int]:
    """Value and the place behind it.

    Raises EOFError if the data ends first, CorruptError for a form that is too long or not the
    shortest one.
    """
    value = 0
    for index in range(MAX_VARINT):
        if place + index >= len(data):
            raise EOFError(name)
        byte = data[place + index]
        value |= (byte & 127) << (7 * index)
        if byte < 128:
            if byte == 0 and index:
                raise CorruptError(f"{name} at byte {place} is not in its shortest form")
            return value, place + index + 1
    raise CorruptError(f"{name} at byte {place} is longer than {MAX_VARINT} bytes")
