"""What is fuzzed. Each target takes any bytes and returns; what it raises is a fault of ours.

A target repairs checksums before it decodes, because a fuzzer cannot guess them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import cache

import numpy as np
from safetensors.numpy import load_file

from sic_cli.cli.info import document
from sic_cli.codec.bitstream.fields import MODEL_BYTES
from sic_cli.codec.bitstream.heads import Heads
from sic_cli.codec.bitstream.reader import Parsed, parse
from sic_cli.codec.bitstream.truncate import truncate
from sic_cli.codec.decode import file_engine
from sic_cli.codec.entropy import new_decoder
from sic_cli.codec.entropy.tables import binary
from sic_cli.codec.preview import constants
from sic_cli.codec.preview.decode import decode_mean_colours
from sic_cli.codec.quantization.dead_zone import Indices
from sic_cli.codec.quantization.step_sizes import MEAN_COLOURS
from sic_cli.codec.symbols.layer_coder import Reading
from sic_cli.codec.weights.card import WEIGHTS
from sic_cli.codec.weights.locate import find
from sic_cli.errors import CorruptError, SicError
from sic_cli.pipeline.convert import decode_file, encode_file
from sic_cli.pipeline.options import DecodeOptions, EncodeOptions
from tests.reference import decoder
from tests.reference import reader as reference
from tests.trust.forge import ForgedChunk, ForgedLayer, Forgery
from tests.trust.goldens_at_hand import good

MOST_PIXELS = 1 << 14
LEVELS = 5
CHUNKS = (b"iCCP", b"ALPH", b"eXIF", b"xMPp", b"dENS")
_TINY = parse(good("tiny")["tiny-made.sic"]).header.model


def container(data: bytes) -> None:
    """Any bytes: parsed or refused, alike by both readers; what is parsed survives cutting."""
    try:
        count = len(reference.read(data)["layers"])  # type: ignore[arg-type]
    except ValueError:
        count = None
    try:
        parsed = parse(data)
    except SicError:
        assert count is None, "refused, and the second reader reads it"
        return
    assert len(parsed.layers) == count
    document("x", Heads.of(parsed))
    if parsed.layers:
        assert truncate(data, parsed.level, parsed) == data[: parsed.ends[-1]]


def forged(data: bytes) -> Forgery:
    """Bytes as a recipe: sizes, then chunks and payloads; always with right checksums."""
    numbers = data[:16].ljust(16, b"\0")
    made = Forgery(1 + numbers[0] % 128, 1 + numbers[1] % 128, LEVELS, _TINY, flags=numbers[2] & 1)
    rest = data[16:]
    if numbers[3] & 1:
        made.chunks.append(ForgedChunk(CHUNKS[numbers[3] // 2 % 5], rest[: numbers[4]]))
        rest = rest[numbers[4] :]
    for level in range(numbers[5] % (LEVELS + 2)):
        size = numbers[6 + level % MODEL_BYTES]
        made.layers.append(ForgedLayer(level, numbers[6], 0, rest[:size]))
        rest = rest[size:]
    return made


def layers(data: bytes) -> None:
    """Any payloads under right checksums: decoded or refused. Their digests are wrong; so all layers are read
    once more, one after another, whatever they hold."""
    file = forged(data).data()
    with contextlib.suppress(SicError):
        decode_file(file, "x", "PPM", DecodeOptions(device="cpu"))
    without_digests(parse(file))


def without_digests(parsed: Parsed) -> list[Indices]:
    """Indices at every level that a file's payloads decode to, up to the first that does not."""
    machine, made = file_engine(parsed, "cpu"), list[Indices]()
    with contextlib.suppress(CorruptError):
        for layer in parsed.layers:
            if layer.level == 0:
                mean = decode_mean_colours(parsed)
                indices: Indices = np.zeros((machine.table.channels, *mean.shape[1:]), np.int16)
                indices[list(MEAN_COLOURS)] = mean
            else:
                reading = Reading(new_decoder(layer.payload))
                indices = machine.layer_coder.layer(layer.level, indices, reading)
            made.append(indices)
    return made


@cache
def _reference_arrays() -> tuple[decoder.Arrays, decoder.Arrays]:
    return load_file(constants.FILE), load_file(find("tiny").folder / WEIGHTS)


def both_decoders(data: bytes) -> None:
    """Any payloads: the decoder that was written from the text gives the same indices, or refuses alike."""
    small = forged(data)
    small.width, small.height, small.chunks = 1 + small.width % 64, 1 + small.height % 64, []
    read_alike(small.data())


def read_alike(file: bytes) -> None:
    """A file of the tiny model whose digests do not count."""
    ours, theirs = without_digests(parse(file)), []
    with contextlib.suppress(ValueError):
        for indices, _ in decoder.levels(reference.read(file), *_reference_arrays()):
            theirs.append(indices)
    assert len(ours) == len(theirs), (len(ours), len(theirs))
    for one, other in zip(ours, theirs, strict=True):
        assert np.array_equal(one, other)


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
    "both_decoders": both_decoders,
    "whole_file": whole_file,
    "coders": coders,
    "picture": picture,
    "frequencies": frequencies,
}
