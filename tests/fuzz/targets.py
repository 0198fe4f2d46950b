"""What is fuzzed. Each target takes any bytes and returns; what it raises is a fault of ours.

A target repairs checksums before it decodes, because a fuzzer cannot guess them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import numpy as np

from sic_cli.cli.info import document
from sic_cli.codec.bitstream.fields import MODEL_BYTES
from sic_cli.codec.bitstream.heads import Heads
from sic_cli.codec.bitstream.reader import parse
from sic_cli.codec.bitstream.truncate import truncate
from sic_cli.codec.entropy import new_decoder
from sic_cli.codec.entropy.tables import binary
from sic_cli.errors import SicError
from sic_cli.pipeline.convert import decode_file, encode_file
from sic_cli.pipeline.options import DecodeOptions, EncodeOptions
from tests.reference import reader as reference
from tests.trust.forge import ForgedChunk, ForgedLayer, Forgery
from tests.trust.goldens_at_hand import good

MOST_PIXELS = 1 << 14
LEVELS = 5
CHUNKS = (b"iCCP", b"ALPH", b"eXIF", b"xMPp", b"dENS")
_TINY = parse(good("tiny")["tiny-made.sic"]).header.model


def container(data: bytes) -> None:
    """Any bytes: parsed or refused; what is parsed survives cutting, and both readers agree."""
    try:
        parsed = parse(data)
    except SicError:
        return
    document("x", Heads.of(parsed))
    if parsed.level:
        assert truncate(data, parsed.level, parsed) == data[: parsed.ends[-1]]
        other = reference.read(data)
        assert len(other["layers"]) == parsed.level  # type: ignore[arg-type]


def forged(data: bytes) -> Forgery:
    """Bytes as a recipe: sizes, then chunks and payloads; always with right checksums."""
    numbers = data[:16].ljust(16, b"\0")
    made = Forgery(1 + numbers[0] % 128, 1 + numbers[1] % 128, LEVELS, _TINY, flags=numbers[2] & 1)
    rest = data[16:]
    if numbers[3] & 1:
        made.chunks.append(ForgedChunk(CHUNKS[numbers[3] // 2 % 5], rest[: numbers[4]]))
        rest = rest[numbers[4] :]
    for level in range(1, 1 + numbers[5] % (LEVELS + 1)):
        size = numbers[6 + level % MODEL_BYTES]
        made.layers.append(ForgedLayer(level, numbers[6], 0, rest[:size]))
        rest = rest[size:]
    return made


def layers(data: bytes) -> None:
    """Any payloads under right checksums: decoded or refused."""
    with contextlib.suppress(SicError):
        decode_file(forged(data).data(), "x", "PPM", DecodeOptions(device="cpu"))


def whole_file(data: bytes) -> None:
    """Any bytes as a file: decoded or refused. Large pictures are left to T5 and T19."""
    with contextlib.suppress(SicError):
        header = parse(data).header
        if header.width * header.height <= MOST_PIXELS:
            decode_file(data, "x", "PPM", DecodeOptions(device="cpu"))


def coders(data: bytes) -> None:
    """Any payload: both coders give the same symbols or refuse alike."""
    table = binary(1 + int.from_bytes(data[:3].ljust(3, b"\0"), "big") % ((1 << 24) - 1))
    read: list[object] = []
    for name in ("plain", "constriction"):
        try:
            read.append(new_decoder(data[3:], name).decode(table, 64).tolist())
        except SicError:
            read.append(None)
        except ImportError:
            return
    assert read[0] == read[1]


def picture(data: bytes) -> None:
    """Any bytes as a picture file: encoded or refused."""
    with contextlib.suppress(SicError):
        encode_file(data, "x", EncodeOptions(model="tiny", device="cpu", level=1))


def frequencies(data: bytes) -> None:
    """Any numbers as a frequency table: accepted only if they are one."""
    from sic_cli.codec.entropy.tables import TOTAL, FrequencyTable

    weights = np.frombuffer(data[: len(data) // 8 * 8], np.int64)
    with contextlib.suppress(ValueError):
        table = FrequencyTable(weights)
        assert table.weights.min() >= 1 and int(table.weights.sum()) == TOTAL


TARGETS: dict[str, Callable[[bytes], None]] = {
    "container": container,
    "layers": layers,
    "whole_file": whole_file,
    "coders": coders,
    "picture": picture,
    "frequencies": frequencies,
}
