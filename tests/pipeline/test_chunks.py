"""What travels beside the pixels goes round, at every level, and both readers of the format see it."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from sic_cli.codec.bitstream.fields import CHUNK_DENSITY, CHUNK_KINDS, Chunk
from sic_cli.codec.bitstream.reader import parse
from sic_cli.codec.bitstream.truncate import truncate
from sic_cli.errors import CorruptError, TargetError
from sic_cli.picture.load import Picture
from sic_cli.picture.metadata import Metadata
from sic_cli.pipeline import chunks
from sic_cli.pipeline.convert import decode_parsed, encode_file, encode_picture
from sic_cli.pipeline.options import DecodeOptions, EncodeOptions
from tests.conftest import ROOT
from tests.picture.made import XMP, camera_exif, file_of
from tests.picture.test_kinds import layered
from tests.reference import reader as reference

TINY = EncodeOptions(model="tiny", device="cpu")
FULL = Metadata(
    icc=b"a profile",
    exif=camera_exif(1).tobytes()[6:],
    xmp=XMP,
    dpi=(300.0, 72.5),
    hdr={"cICP": bytes([9, 16, 0, 1]), "mDCV": bytes(24), "cLLI": bytes(8)},
)


def picture(metadata: Metadata = FULL, seed: int = 1) -> Picture:
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (20, 31, 3), dtype=np.uint8)
    return Picture(pixels, False, rng.integers(0, 256, (20, 31), dtype=np.uint8), metadata)


def test_transparency_and_metadata_come_back_at_every_level() -> None:
    source = picture()
    data = encode_picture(source, "x", TINY).data
    for level in range(1, 6):
        got = decode_parsed(parse(truncate(data, level)), "x", DecodeOptions(device="cpu"))
        assert got.level == level and got.metadata == FULL
        assert got.alpha is not None and np.array_equal(got.alpha, source.alpha)


def test_the_reference_reader_sees_the_same_chunks() -> None:
    data = encode_picture(picture(), "x", TINY).data
    chunks = reference.read(data)["chunks"]
    assert chunks == [(c.type.decode(), c.data) for c in parse(data).chunks]
    assert len(chunks) == 8  # type: ignore[arg-type]


def test_every_chunk_stands_in_the_text_of_the_format() -> None:
    text = (ROOT / "sic_cli" / "codec" / "bitstream" / "FORMAT.md").read_text()
    for row in CHUNK_KINDS:
        assert f"| `{row.type.decode()}` | {row.meaning} |" in text
        assert Chunk(row.type, b"").critical == (row.type == b"ALPH")


def test_resolution_is_short_and_rubbish_in_it_is_left_out() -> None:
    assert chunks.metadata_of([Chunk(CHUNK_DENSITY, b"\xe0\xa7\x12")]).dpi == (300.0, 300.0)
    for bad in (b"", b"\0", b"\x80", b"\xff" * 9):
        assert chunks.metadata_of([Chunk(CHUNK_DENSITY, bad)]).dpi is None


def test_more_than_a_file_holds_is_refused_with_a_way_out() -> None:
    with pytest.raises(TargetError, match="eXIF") as caught:
        encode_picture(picture(Metadata(exif=bytes(17 << 20))), "x", TINY)
    assert caught.value.hint and "--metadata" in caught.value.hint


def test_transparency_of_another_size_is_damage() -> None:
    from sic_cli.codec.bitstream.writer import write
    from sic_cli.picture.alpha import pack

    parsed = parse(encode_picture(picture(), "x", TINY).data)
    foreign = Chunk(b"ALPH", pack(np.zeros((31, 20), np.uint8)))
    with pytest.raises(CorruptError, match="20x31 pixels in a picture of 31x20"):
        decode_parsed(parse(write(parsed.header, [foreign], parsed.layers)), "x", DecodeOptions())


def test_opaque_pictures_carry_no_transparency() -> None:
    opaque = layered("RGBA")
    opaque.putalpha(255)
    made = encode_file(file_of(opaque, "PNG"), "x", TINY)
    assert made.data == encode_file(file_of(opaque.convert("RGB"), "PNG"), "x", TINY).data


def test_hidden_colours_change_nothing() -> None:
    """The same seen pixels with other colours under clear ones give the same file."""
    one, other = layered("RGBA"), layered("RGBA")
    alpha = np.asarray(one)[..., 3].copy()
    alpha[5:12] = 0
    made = []
    for source, hidden in ((one, (255, 0, 0, 0)), (other, (0, 9, 200, 0))):
        array = np.asarray(source).copy()
        array[..., 3] = alpha
        array[alpha == 0] = hidden
        made.append(encode_file(file_of(Image.fromarray(array), "PNG"), "x", TINY).data)
    assert made[0] == made[1]
