"""Small edits of Exif and XMP that leave every other byte where it was.

Exif is a TIFF structure full of absolute offsets, and makers' notes have their own; writing it anew
would move them. So a tag is changed in its place, or an entry taken out of its list. Standard
library only.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

ORIENTATION, GPS = 0x0112, 0x8825
THUMBNAIL_AT, THUMBNAIL_BYTES = 0x0201, 0x0202
PREFIX = b"Exif\0\0"
SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
"""Bytes of a value of each TIFF type."""

_XMP_ORIENTATION = re.compile(rb"(tiff:Orientation(?:\s*=\s*[\"']|>)\s*)[2-8]")
_XMP_GPS = (
    re.compile(rb"\s+exif:GPS\w+\s*=\s*(?:\"[^\"]*\"|'[^']*')"),
    re.compile(rb"<exif:(GPS\w+)\b[^>]*?(?:/>|>.*?</exif:\1\s*>)", re.DOTALL),
)


@dataclass(frozen=True, slots=True)
class _Entry:
    """One entry of a directory. at: its first byte; value: its number, or where its data stands."""

    tag: int
    at: int
    kind: int
    count: int
    value: int

    @property
    def bytes(self) -> int:
        return SIZES.get(self.kind, 0) * self.count


@dataclass(frozen=True, slots=True)
class _Directory:
    """at: first byte; next_at: where the offset of the next directory stands."""

    at: int
    entries: tuple[_Entry, ...]
    next_at: int


def _order(exif: bytes) -> str:
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None:
        raise ValueError("not a TIFF structure")
    return order


def _directory(exif: bytes, order: str, at: int) -> _Directory:
    """Raises ValueError or struct.error for what does not stand inside `exif`."""
    (count,) = struct.unpack_from(f"{order}H", exif, at)
    entries = []
    for index in range(count):
        place = at + 2 + 12 * index
        tag, kind, number, value = struct.unpack_from(f"{order}HHII", exif, place)
        entries.append(_Entry(tag, place, kind, number, value))
    next_at = at + 2 + 12 * count
    if next_at + 4 > len(exif):
        raise ValueError("a directory ends behind the data")
    return _Directory(at, tuple(entries), next_at)


def _first(exif: bytes) -> tuple[str, _Directory]:
    order = _order(exif)
    return order, _directory(exif, order, *struct.unpack_from(f"{order}I", exif, 4))


def stripped(exif: bytes) -> bytes:
    """Without the `Exif 00 00` that JPEG files put before it."""
    while exif.startswith(PREFIX):
        exif = exif[len(PREFIX) :]
    return exif


def upright(exif: bytes) -> bytes:
    """With the orientation 1 in its place; as it was if it has none or cannot be read."""
    out = bytearray(exif)
    try:
        order, directory = _first(exif)
    except (ValueError, struct.error):
        return exif
    for entry in directory.entries:
        if entry.tag == ORIENTATION and entry.count == 1 and entry.kind in (3, 4):
            struct.pack_into(f"{order}{'H' if entry.kind == 3 else 'I'}", out, entry.at + 8, 1)
    return bytes(out)


def has(exif: bytes, tag: int) -> bool:
    """True if the first directory holds `tag`."""
    try:
        return any(entry.tag == tag for entry in _first(exif)[1].entries)
    except (ValueError, struct.error):
        return False


def without_gps(exif: bytes) -> bytes:
    """Without the entry that leads to the position, and with zeros where the position stood.

    Raises ValueError if it cannot be read: then nobody can say that it holds no position.
    """
    try:
        order, directory = _first(exif)
        out = bytearray(exif)
        for entry in reversed(directory.entries):
            if entry.tag != GPS:
                continue
            for row in _directory(exif, order, entry.value).entries:
                if row.bytes > 4:
                    end = min(len(out), row.value + row.bytes)
                    out[row.value : end] = bytes(max(0, end - row.value))
                out[row.at : row.at + 12] = bytes(12)
            out[entry.value : entry.value + 2] = bytes(2)
            tail = out[entry.at + 12 : directory.next_at + 4]
            out[entry.at : directory.next_at + 4] = tail + bytes(12)
            (count,) = struct.unpack_from(f"{order}H", out, directory.at)
            struct.pack_into(f"{order}H", out, directory.at, count - 1)
            directory = _directory(bytes(out), order, directory.at)
    except struct.error as error:
        raise ValueError(str(error)) from None
    return bytes(out)


def without_thumbnail(exif: bytes) -> bytes:
    """Without the second directory and, if it ends the data, the small picture that it names."""
    try:
        order, directory = _first(exif)
        (at,) = struct.unpack_from(f"{order}I", exif, directory.next_at)
        if not at:
            return exif
        rows = {row.tag: row.value for row in _directory(exif, order, at).entries}
    except (ValueError, struct.error):
        return exif
    out = bytearray(exif)
    out[directory.next_at : directory.next_at + 4] = bytes(4)
    start, length = rows.get(THUMBNAIL_AT, 0), rows.get(THUMBNAIL_BYTES, 0)
    if start > 8 and start + length >= len(exif):
        del out[start:]
    return bytes(out)


def xmp_orientation(xmp: bytes) -> int:
    """The orientation that a packet states; 1 if it states none."""
    found = re.search(rb"tiff:Orientation(?:\s*=\s*[\"']|>)\s*([1-8])", xmp)
    return int(found[1]) if found else 1


def xmp_upright(xmp: bytes) -> bytes:
    """With the orientation 1 in its place."""
    return _XMP_ORIENTATION.sub(rb"\g<1>1", xmp)


def xmp_without_gps(xmp: bytes) -> bytes:
    """Without the position. Raises ValueError if something of it stays."""
    for pattern in _XMP_GPS:
        xmp = pattern.sub(b"", xmp)
    if b":GPS" in xmp:
        raise ValueError("a position in a form that is not known")
    return xmp
