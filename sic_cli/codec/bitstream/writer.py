"""Header, chunks and layers -> bytes."""

from __future__ import annotations

from collections.abc import Iterable

from .fields import (
    CRC_BYTES,
    FLAG_GREY,
    SIGNATURE,
    Chunk,
    Header,
    Layer,
    crc,
    put_varint,
)


def write_header(header: Header) -> bytes:
    """Signature, fields and CRC (FORMAT.md, section 2)."""
    fields = b"".join(
        (
            bytes((header.version, FLAG_GREY if header.grey else 0)),
            put_varint(header.width),
            put_varint(header.height),
            bytes((header.levels,)),
            header.model,
        )
    )
    return SIGNATURE + fields + crc(fields).to_bytes(CRC_BYTES, "big")


def write_chunk(chunk: Chunk, header_crc: int) -> bytes:
    """FORMAT.md, section 3."""
    head = chunk.type + put_varint(len(chunk.data))
    check = crc(chunk.data, crc(head, header_crc))
    return head + check.to_bytes(CRC_BYTES, "big") + chunk.data


def write_layer(layer: Layer, header_crc: int) -> bytes:
    """FORMAT.md, section 4."""
    head = b"".join(
        (
            bytes((layer.level, layer.psnr)),
            layer.digest.to_bytes(4, "big"),
            put_varint(len(layer.payload)),
        )
    )
    check = crc(layer.payload, crc(head, header_crc))
    return head + check.to_bytes(CRC_BYTES, "big") + layer.payload


def write(header: Header, chunks: Iterable[Chunk], layers: Iterable[Layer]) -> bytes:
    """A whole file. Layers must be those of levels 0, 1, 2, ... without a gap."""
    first = write_header(header)
    header_crc = int.from_bytes(first[-CRC_BYTES:], "big")
    parts = [first, *(write_chunk(c, header_crc) for c in chunks)]
    parts += (write_layer(layer, header_crc) for layer in layers)
    return b"".join(parts)
