"""What travels beside the pixels, as chunks of a .sic file and back (FORMAT.md, section 3)."""

from __future__ import annotations

from collections.abc import Iterable

from .bitstream.fields import (
    CHUNK_DENSITY,
    CHUNK_EXIF,
    CHUNK_ICC,
    CHUNK_XMP,
    CHUNKS_HDR,
    Chunk,
    get_varint,
    put_varint,
)
from .errors import CorruptError
from .picture.metadata import Metadata

DENSITY_UNIT = 1000
"""Densities are stored in thousandths of a pixel per inch."""


def to_chunks(metadata: Metadata) -> list[Chunk]:
    """Profile first, since a reader needs it first."""
    out = [
        Chunk(type_, data)
        for type_, data in (
            (CHUNK_ICC, metadata.icc),
            (CHUNK_EXIF, metadata.exif),
            (CHUNK_XMP, metadata.xmp),
        )
        if data
    ]
    if metadata.dpi:
        x, y = (max(1, round(v * DENSITY_UNIT)) for v in metadata.dpi)
        out.append(Chunk(CHUNK_DENSITY, put_varint(x) + (put_varint(y) if y != x else b"")))
    out += [Chunk(t, metadata.hdr[t.decode()]) for t in CHUNKS_HDR if t.decode() in metadata.hdr]
    return out


def from_chunks(chunks: Iterable[Chunk]) -> Metadata:
    """Of several chunks of one type the first counts; a density that cannot be read is left out."""
    first: dict[bytes, bytes] = {}
    for chunk in chunks:
        first.setdefault(chunk.type, chunk.data)
    return Metadata(
        icc=first.get(CHUNK_ICC) or None,
        exif=first.get(CHUNK_EXIF) or None,
        xmp=first.get(CHUNK_XMP) or None,
        dpi=_density(first.get(CHUNK_DENSITY, b"")),
        hdr={t.decode(): first[t] for t in CHUNKS_HDR if t in first},
    )


def _density(data: bytes) -> tuple[float, float] | None:
    try:
        x, place = get_varint(data, 0, "density")
        y = get_varint(data, place, "density")[0] if place < len(data) else x
    except (EOFError, CorruptError):
        return None
    return (x / DENSITY_UNIT, y / DENSITY_UNIT) if x and y else None
