"""A .sic file as a list of fields that may be set to anything, and its bytes with right checksums.

Random damage never gets past a checksum. These forgeries do: they are what a hostile encoder would
write. Written from FORMAT.md, without the package's writer, so that fields out of range can be written.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from sic_cli.codec.bitstream.fields import SIGNATURE
from sic_cli.codec.bitstream.reader import parse

EDGES = (0, 1, 2, 127, 128, 255, 256, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1, 2**35 - 1)
"""Numbers at which readers break."""


def varint(value: int, spare: int = 0) -> bytes:
    """Seven bits a byte; `spare` needless bytes make it longer than its shortest form."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value | 128 if spare else value)
    return bytes(out) + b"\x80" * (spare - 1) + bytes(1 if spare else 0)


@dataclass(slots=True)
class ForgedChunk:
    """claimed: the length that is written, if it is not the true one."""

    type: bytes
    data: bytes
    claimed: int | None = None


@dataclass(slots=True)
class ForgedLayer:
    level: int
    psnr: int
    digest: int
    payload: bytes
    claimed: int | None = None


@dataclass(slots=True)
class Forgery:
    """Fields in the order of the file. tail: bytes behind everything; cut: bytes to keep."""

    width: int
    height: int
    levels: int
    model: bytes
    version: int = 1
    flags: int = 0
    chunks: list[ForgedChunk] = field(default_factory=list)
    layers: list[ForgedLayer] = field(default_factory=list)
    tail: bytes = b""
    cut: int | None = None
    spare: int = 0

    def data(self) -> bytes:
        """The file."""
        head = bytes((self.version & 255, self.flags & 255))
        head += varint(self.width, self.spare) + varint(self.height)
        head += bytes((self.levels & 255,)) + self.model
        check = zlib.crc32(head)
        parts = [SIGNATURE, head, check.to_bytes(4, "big")]
        for chunk in self.chunks:
            top = chunk.type + varint(length(chunk.claimed, chunk.data))
            parts += [top, _crc(chunk.data, top, check), chunk.data]
        for layer in self.layers:
            top = bytes((layer.level & 255, layer.psnr & 255))
            top += (layer.digest & 0xFFFFFFFF).to_bytes(4, "big")
            top += varint(length(layer.claimed, layer.payload))
            parts += [top, _crc(layer.payload, top, check), layer.payload]
        return (b"".join(parts) + self.tail)[: self.cut]


def length(claimed: int | None, data: bytes) -> int:
    """What the length field says."""
    return len(data) if claimed is None else claimed


def _crc(data: bytes, top: bytes, start: int) -> bytes:
    return zlib.crc32(data, zlib.crc32(top, start)).to_bytes(4, "big")


def taken_apart(data: bytes) -> Forgery:
    """A good file as a forgery that gives the same bytes."""
    parsed = parse(data)
    head = parsed.header
    return Forgery(
        head.width,
        head.height,
        head.levels,
        head.model,
        head.version,
        data[9],
        [ForgedChunk(c.type, c.data) for c in parsed.chunks],
        [ForgedLayer(x.level, x.psnr, x.digest, x.payload) for x in parsed.layers],
    )


def number(rng: np.random.Generator, old: int) -> int:
    """Another value for a field: an edge, a neighbour, a flipped bit, or anything."""
    ways: list[Callable[[], int]] = [
        lambda: int(rng.choice(EDGES)),
        lambda: old + 1,
        lambda: max(0, old - 1),
        lambda: old ^ 1 << int(rng.integers(32)),
        lambda: int(rng.integers(2**16)),
    ]
    return ways[int(rng.integers(len(ways)))]()


def mutate(forgery: Forgery, rng: np.random.Generator) -> str:
    """Change one thing; what was changed."""
    way = int(rng.integers(14))
    if way < 5:
        name = ("width", "height", "levels", "flags", "version")[way]
        setattr(forgery, name, number(rng, getattr(forgery, name)))
        return name
    if way == 5:
        forgery.model = rng.bytes(8)
        return "model"
    if way == 6:
        type_ = rng.choice(
            [b"iCCP", b"aaaa", b"Evil", b"A\0bc", b"zzZZ", b"ALPH", b"eXIF", b"xMPp", b"dENS"]
        )
        size = int(rng.choice([0, 1, 300, 70_000]))
        chunk = ForgedChunk(bytes(type_), rng.bytes(size))
        if rng.random() < 0.3:
            chunk.claimed = number(rng, size)
        forgery.chunks.insert(int(rng.integers(len(forgery.chunks) + 1)), chunk)
        return "chunk"
    if way == 7:
        forgery.cut = int(rng.integers(len(forgery.data()) + 1))
        return "cut"
    if way == 8:
        forgery.tail = rng.bytes(int(rng.integers(1, 200)))
        return "tail"
    if not forgery.layers:
        return "nothing"
    index = int(rng.integers(len(forgery.layers)))
    layer = forgery.layers[index]
    if way == 9:
        layer.payload = rng.bytes(int(rng.choice([0, 1, 3, 4, 5, 64, 4000])))
        return f"payload of layer {layer.level}"
    if way == 10:
        name = ("level", "psnr", "digest", "claimed")[int(rng.integers(4))]
        old = getattr(layer, name)
        setattr(layer, name, number(rng, len(layer.payload) if old is None else old))
        return f"{name} of layer {index}"
    if way == 11:
        forgery.layers.pop(index)
        return f"without layer {layer.level}"
    if way == 12:
        forgery.layers.insert(index, layer)
        return f"layer {layer.level} twice"
    other = int(rng.integers(len(forgery.layers)))
    forgery.layers[index], forgery.layers[other] = forgery.layers[other], layer
    return f"layers {index} and {other} exchanged"
