"""What a file holds, from the heads of its chunks and layers alone (FORMAT.md, sections 2 to 5).

For files that are far away: the payloads between the heads need not be read. Only the header's checksum
is then known to be right. Anything odd ends the reading without a verdict; `reader.parse` has the words.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ...errors import CorruptError, ResourceError, VersionError
from .fields import CRC_BYTES, MAX_CHUNKS, MAX_CHUNKS_BYTES, MAX_LEVELS, Header, get_varint
from .reader import Parsed, read_header

HEADER_BYTES = 64
"""More than any header has."""
HEAD_BYTES = 24
"""More than the head of any chunk or layer has."""

At = Callable[[int, int], bytes]
"""The bytes from one place to before another; fewer where the file ends."""


@dataclass(frozen=True, slots=True)
class Heads:
    """As `Parsed`, without payloads.

    chunks: type and bytes of data. psnrs: the field of each whole layer. checked: whether every
    checksum is known to be right, not only the header's.
    """

    header: Header
    chunks: tuple[tuple[bytes, int], ...]
    psnrs: tuple[int, ...]
    header_end: int
    ends: tuple[int, ...]
    size: int
    fault: str | None
    fault_kind: str
    checked: bool

    @classmethod
    def of(cls, parsed: Parsed) -> Heads:
        """The same of a file that was read whole."""
        chunks = tuple((chunk.type, len(chunk.data)) for chunk in parsed.chunks)
        psnrs = tuple(layer.psnr for layer in parsed.layers)
        rest = (parsed.size, parsed.fault, parsed.fault_kind, True)
        return cls(parsed.header, chunks, psnrs, parsed.header_end, parsed.ends, *rest)


def heads(at: At, size: int, level: int = MAX_LEVELS) -> Heads | None:
    """The heads up to those of layer `level`; None if the file is cut or damaged, or cannot be read by
    this sic."""
    try:
        header, place, _ = read_header(at(0, min(size, HEADER_BYTES)))
        chunks: list[tuple[bytes, int]] = []
        psnrs: list[int] = []
        ends: list[int] = []
        while place < size and (head := at(place, place + HEAD_BYTES))[0] > MAX_LEVELS:
            length, end = get_varint(head, 4, "chunk")
            chunks.append((head[:4], length))
            place += end + CRC_BYTES + length
            if place > size or len(chunks) > MAX_CHUNKS or length > MAX_CHUNKS_BYTES:
                return None
        header_end = place
        while place < size and len(ends) <= min(level, header.levels):
            head = at(place, place + HEAD_BYTES)
            if head[0] != len(ends):
                return None
            length, end = get_varint(head, 6, "layer")
            place += end + CRC_BYTES + length
            if place > size:
                return None
            psnrs.append(head[1])
            ends.append(place)
    except (EOFError, IndexError, CorruptError, VersionError, ResourceError):
        return None
    if not ends or (place < size and len(ends) > header.levels):
        return None
    return Heads(
        header, tuple(chunks), tuple(psnrs), header_end, tuple(ends), size, None, "", False
    )
