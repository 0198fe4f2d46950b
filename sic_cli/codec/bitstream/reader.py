"""Bytes -> header, chunks and layers, as far as they are whole (FORMAT.md, sections 2 to 5).

A damaged or cut layer ends the reading: the levels before it stand, and `fault` says what and where.
Nothing is allocated by a number that was not checked.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...errors import CorruptError, ResourceError, SicError, VersionError
from .fields import (
    CHUNK_KINDS,
    CRC_BYTES,
    FLAG_GREY,
    HEADER_FIELDS,
    KNOWN_FLAGS,
    MAX_CHUNKS,
    MAX_CHUNKS_BYTES,
    MAX_FILE,
    MAX_LEVELS,
    MAX_PIXELS,
    MODEL_BYTES,
    SIGNATURE,
    VERSION,
    Chunk,
    Header,
    Layer,
    crc,
    get_varint,
)

KNOWN_CHUNKS = {row.type for row in CHUNK_KINDS}


@dataclass(frozen=True, slots=True)
class Parsed:
    """A file, as far as it is whole.

    header_end: byte behind header and chunks; ends: byte behind each layer; size: bytes of the file;
    fault: one sentence on what ended the reading early, or None; fault_kind: "" (none), "cut" (bytes
    are missing), "damage" (bytes are wrong) or "trailing" (bytes follow the last possible layer).
    """

    header: Header
    chunks: tuple[Chunk, ...]
    layers: tuple[Layer, ...]
    header_end: int
    ends: tuple[int, ...]
    size: int
    fault: str | None
    fault_kind: str

    @property
    def level(self) -> int:
        """The highest whole level; -1 if not even layer 0 is whole."""
        return len(self.layers) - 1

    def chunk(self, type_: bytes) -> bytes | None:
        """Data of the first chunk of a type."""
        return next((c.data for c in self.chunks if c.type == type_), None)

    def require_level(self) -> None:
        """Raise CorruptError unless there is at least layer 0."""
        if not self.layers:
            raise CorruptError(f"no whole level: {self.fault or 'the file ends before layer 0'}")


def read_header(data: bytes) -> tuple[Header, int, int]:
    """Header, the byte behind it and its CRC.

    Raises CorruptError, VersionError where a newer sic is needed, ResourceError for a size above
    the format's limit.
    """
    if not data:
        raise CorruptError("empty file")
    if not data.startswith(SIGNATURE):
        if SIGNATURE.startswith(data):
            raise CorruptError(f"too short: {len(data)} bytes, not even a signature")
        raise CorruptError(
            "not a .sic file (wrong signature)", "sic encode makes .sic files of pictures"
        )
    start = place = len(SIGNATURE)
    if len(data) > place and data[place] > VERSION:
        raise VersionError(
            f"format version {data[place]}, and this sic reads up to {VERSION}",
            "install a newer sic",
        )
    values: dict[str, int] = {}
    wrong: CorruptError | None = None
    try:
        for field in HEADER_FIELDS:
            at = place
            if field.size:
                if len(data) < place + field.size:
                    raise EOFError(field.name)
                value = int.from_bytes(data[place : place + field.size], "big")
                place += field.size
            else:
                value, place = get_varint(data, place, field.name)
            if field.name == "flags" and value & ~KNOWN_FLAGS:
                raise VersionError(
                    f"flags {value:#04x} at byte {at}: unknown to this sic", "install a newer sic"
                )
            if wrong is None and not field.low <= value <= field.high:
                wrong = CorruptError(
                    f"{field.name} at byte {at} is {value}, allowed are {field.low} to {field.high}"
                )
            values[field.name] = value
        if len(data) < place + CRC_BYTES:
            raise EOFError("header checksum")
    except EOFError as missing:
        raise CorruptError(f"too short: it ends inside the header ({missing})") from None
    check = crc(data[start:place])
    if check != int.from_bytes(data[place : place + CRC_BYTES], "big"):
        raise CorruptError(f"damaged header: wrong checksum at byte {place}")
    if wrong:  # said only of a header whose checksum is right; else it is damage
        raise wrong
    if values["width"] * values["height"] > MAX_PIXELS:
        raise ResourceError(
            f"{values['width']}x{values['height']} pixels, allowed are {MAX_PIXELS} in all"
        )
    header = Header(
        width=values["width"],
        height=values["height"],
        levels=values["levels"],
        model=values["model"].to_bytes(MODEL_BYTES, "big"),
        grey=bool(values["flags"] & FLAG_GREY),
        version=values["version"],
    )
    return header, place + CRC_BYTES, check


def _read_chunk(data: bytes, place: int, header_crc: int) -> tuple[Chunk, int]:
    """One chunk and the byte behind it. Raises EOFError or CorruptError."""
    type_ = data[place : place + 4]
    if len(type_) < 4:
        raise EOFError("chunk")
    if not (type_.isalpha() and type_.isascii()):
        raise CorruptError(f"damaged chunk at byte {place}: its type is not four letters")
    name = type_.decode()
    length, head_end = get_varint(data, place + 4, f"length of chunk {name}")
    if length > MAX_CHUNKS_BYTES:
        raise CorruptError(f"chunk {name} at byte {place} claims {length} bytes")
    end = head_end + CRC_BYTES + length
    if end > len(data):
        raise EOFError(f"chunk {name}")
    stored = int.from_bytes(data[head_end : head_end + CRC_BYTES], "big")
    body = data[head_end + CRC_BYTES : end]
    if crc(body, crc(data[place:head_end], header_crc)) != stored:
        raise CorruptError(f"damaged chunk {name} at byte {place}: wrong checksum")
    chunk = Chunk(type_, body)
    if chunk.critical and type_ not in KNOWN_CHUNKS:
        raise VersionError(
            f"critical chunk {name} at byte {place} is unknown", "install a newer sic"
        )
    return chunk, end


def _read_layer(data: bytes, place: int, level: int, header_crc: int) -> tuple[Layer, int]:
    """The layer of `level` and the byte behind it. Raises EOFError or CorruptError."""
    if data[place] != level:
        raise CorruptError(f"layer {level} should begin at byte {place} and does not")
    if len(data) < place + 6:
        raise EOFError(f"layer {level}")
    length, head_end = get_varint(data, place + 6, f"length of layer {level}")
    if length > MAX_FILE:
        raise CorruptError(f"layer {level} at byte {place} claims {length} bytes")
    end = head_end + CRC_BYTES + length
    if end > len(data):
        raise EOFError(f"layer {level}")
    stored = int.from_bytes(data[head_end : head_end + CRC_BYTES], "big")
    payload = data[head_end + CRC_BYTES : end]
    if crc(payload, crc(data[place:head_end], header_crc)) != stored:
        raise CorruptError(f"damaged layer {level} at byte {place}: wrong checksum")
    digest = int.from_bytes(data[place + 2 : place + 6], "big")
    return Layer(level, payload, digest, data[place + 1]), end


def parse(data: bytes) -> Parsed:
    """Read a file as far as it is whole.

    Raises CorruptError or VersionError if header or chunks cannot be trusted; damage behind them is
    reported in `fault`.
    """
    if len(data) > MAX_FILE:
        raise CorruptError(f"file of {len(data)} bytes, allowed are {MAX_FILE}")
    header, chunks, place, header_crc = read_head(data)
    header_end, layers, ends = place, list[Layer](), list[int]()
    fault, kind = None, ""
    try:
        while place < len(data) and len(layers) <= header.levels:
            layer, place = _read_layer(data, place, len(layers), header_crc)
            layers.append(layer)
            ends.append(place)
        if place < len(data):
            fault = f"{len(data) - place} bytes follow the last layer, at byte {place}"
            kind = "trailing"
    except EOFError as missing:
        fault, kind = f"cut inside {missing}, at byte {len(data)}", "cut"
    except CorruptError as damage:
        fault, kind = str(damage), "damage"
    return Parsed(
        header, tuple(chunks), tuple(layers), header_end, tuple(ends), len(data), fault, kind
    )


def read_head(data: bytes) -> tuple[Header, list[Chunk], int, int]:
    """Header, chunks, the byte behind them and the header's CRC; raises as `read_header`."""
    header, place, header_crc = read_header(data)
    chunks: list[Chunk] = []
    start = place
    try:
        while place < len(data) and data[place] > MAX_LEVELS:
            chunk, place = _read_chunk(data, place, header_crc)
            chunks.append(chunk)
            if len(chunks) > MAX_CHUNKS or place - start > MAX_CHUNKS_BYTES:
                raise CorruptError(
                    f"more than {MAX_CHUNKS} chunks or {MAX_CHUNKS_BYTES} bytes of them"
                )
    except EOFError as missing:
        raise CorruptError(f"too short: it ends inside {missing}") from None
    return header, chunks, place, header_crc


def open_sic(data: bytes, name: str, strict: bool = False) -> Parsed:
    """A .sic file's contents; there is at least layer 0. Raises CorruptError, VersionError and
    ResourceError that begin with `name`; with `strict` for any cut or damage."""
    try:
        parsed = parse(data)
        parsed.require_level()
    except SicError as error:
        raise type(error)(f"{name}: {error}", error.hint) from None
    if strict and parsed.fault and parsed.fault_kind != "trailing":
        raise CorruptError(f"{name}: {parsed.fault}")
    return parsed
