"""What travels beside the pixels, as chunks of a .sic file and back (FORMAT.md, section 3)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..codec.bitstream.fields import (
    CHUNK_ALPHA,
    CHUNK_DENSITY,
    CHUNK_EXIF,
    CHUNK_HEAD_MOST,
    CHUNK_ICC,
    CHUNK_XMP,
    CHUNKS_HDR,
    MAX_CHUNKS_BYTES,
    Chunk,
    get_varint,
    put_varint,
)
from ..codec.bitstream.reader import Parsed
from ..errors import CorruptError, TargetError
from ..picture.metadata import Metadata

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..picture.load import Picture

DENSITY_UNIT = 1000
"""Densities are stored in thousandths of a pixel per inch."""


def to_chunks(picture: Picture, name: str) -> tuple[Chunk, ...]:
    """Transparency and metadata of a picture. Raises TargetError if they are more than a file holds."""
    chunks = _chunks_of(picture.metadata)
    if picture.alpha is not None:
        from ..picture.alpha import pack

        chunks.insert(0, Chunk(CHUNK_ALPHA, pack(picture.alpha)))
    if sum(len(c.data) + CHUNK_HEAD_MOST for c in chunks) > MAX_CHUNKS_BYTES:
        largest = max(chunks, key=lambda c: len(c.data))
        clear = largest.type == CHUNK_ALPHA
        what = "transparency" if clear else f"metadata ({largest.type.decode()})"
        raise TargetError(
            f"{name}: {len(largest.data)} bytes of {what}; a .sic file holds {MAX_CHUNKS_BYTES} "
            "beside the picture",
            "--alpha flatten" if clear else "--metadata icc, or none",
        )
    return tuple(chunks)


def alpha_of(parsed: Parsed, name: str) -> NDArray[np.uint8] | None:
    """Transparency, uint8 (H, W), or None: opaque. Raises CorruptError."""
    data = parsed.chunk(CHUNK_ALPHA)
    if data is None:
        return None

    from ..picture.alpha import unpack

    try:
        return unpack(data, parsed.header.width, parsed.header.height)
    except CorruptError as error:
        raise CorruptError(f"{name}: {error}") from None


def _chunks_of(metadata: Metadata) -> list[Chunk]:
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


def metadata_of(chunks: Iterable[Chunk]) -> Metadata:
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
