"""Metadata: kept byte for byte but for what must change, and cut only as asked."""

from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sic_cli.picture import exif as edit
from sic_cli.picture.metadata import Metadata, from_info
from tests.picture.made import RGB, XMP, camera_exif, file_of, opened


def camera(turn: int = 6) -> bytes:
    return camera_exif(turn).tobytes()[6:]


def loaded(exif: bytes) -> Image.Exif:
    out = Image.Exif()
    out.load(exif)
    return out


def with_thumbnail(exif: bytes, picture: bytes) -> bytes:
    """Exif of `Image.Exif` with a second directory and a small picture behind it."""
    order = "<" if exif[:2] == b"II" else ">"
    (count,) = struct.unpack_from(f"{order}H", exif, 8)
    link = 10 + 12 * count
    start = len(exif)
    rows = [(0x0201, 4, 1, start + 30), (0x0202, 4, 1, len(picture))]
    entries = b"".join(struct.pack(f"{order}HHII", *row) for row in rows)
    second = struct.pack(f"{order}H", 2) + entries + bytes(4)
    return exif[:link] + struct.pack(f"{order}I", start) + exif[link + 4 :] + second + picture


def test_only_the_orientation_changes() -> None:
    before = camera(6)
    after = edit.upright(before)
    assert (
        len(after) == len(before) and sum(a != b for a, b in zip(before, after, strict=True)) == 1
    )
    assert loaded(after)[0x0112] == 1 and loaded(after)[0x010F] == "a camera maker"
    assert edit.upright(camera(1)) == camera(1) and edit.upright(b"rubbish") == b"rubbish"


def test_the_position_goes_and_nothing_else_moves() -> None:
    before = camera()
    after = edit.without_gps(before)
    assert len(after) == len(before) and not loaded(after).get_ifd(0x8825)
    assert loaded(after)[0x010F] == "a camera maker" and loaded(after)[0x0112] == 6
    assert loaded(after).get_ifd(0x8769)[0x9286] == b"a comment of the user"
    assert struct.pack(">II", 52, 1) in before and struct.pack(">II", 52, 1) not in after
    assert struct.pack("<II", 52, 1) not in after
    assert edit.without_gps(after) == after


def test_a_position_goes_out_of_xmp_in_both_its_forms() -> None:
    xmp = b'<r exif:GPSLatitude="1" a="2"><exif:GPSAltitude>7</exif:GPSAltitude><b/></r>'
    assert edit.xmp_without_gps(xmp) == b'<r a="2"><b/></r>'
    assert edit.xmp_without_gps(XMP) == XMP.replace(b' exif:GPSLatitude="52,31N"', b"")


def test_what_cannot_be_searched_for_a_position_goes_as_a_whole() -> None:
    kept, notices = Metadata(exif=b"MM rubbish", xmp=b"<x z:GPS='1'/>", icc=b"p").chosen(
        "all", True, "x"
    )
    assert (kept.exif, kept.xmp, kept.icc) == (None, None, b"p")
    assert [n.code for n in notices] == ["W-meta-lost"] * 2


def test_a_preview_is_cut_off_and_the_rest_stays() -> None:
    plain = camera()
    whole = with_thumbnail(plain, b"\xff\xd8" + bytes(5000))
    assert loaded(whole).get_ifd(0x0201) is not None
    small = edit.without_thumbnail(whole)
    assert len(small) == len(plain) + 30 and loaded(small)[0x010F] == "a camera maker"
    assert edit.without_thumbnail(plain) == plain


@given(st.binary(max_size=120), st.sampled_from([b"II*\0", b"MM\0*", b""]))
def test_rubbish_raises_nothing_but_value_errors(rubbish: bytes, head: bytes) -> None:
    data = head + rubbish
    assert len(edit.upright(data)) == len(data)
    edit.without_thumbnail(data)
    edit.has(data, 1)
    with contextlib.suppress(ValueError):
        assert len(edit.without_gps(data)) == len(data)


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_exif_xmp_and_profile_come_in_byte_for_byte(format_: str) -> None:
    exif = camera_exif(1)
    del exif[0x0112]
    data = file_of(RGB, format_, exif=exif.tobytes(), xmp=XMP, icc_profile=b"a profile")
    if format_ == "PNG":
        from PIL.PngImagePlugin import PngInfo

        info = PngInfo()
        info.add_itxt("XML:com.adobe.xmp", XMP.decode())
        data = file_of(RGB, "PNG", exif=exif.tobytes(), icc_profile=b"a profile", pnginfo=info)
    got = from_info(opened(data).info, data)
    assert (got.exif, got.xmp, got.icc) == (exif.tobytes()[6:], XMP, b"a profile")


def test_resolution_is_kept_where_somebody_stated_it() -> None:
    assert from_info(opened(file_of(RGB, "JPEG", dpi=(300, 200))).info).dpi == (300, 200)
    assert from_info(opened(file_of(RGB, "JPEG")).info).dpi is None
    assert from_info(opened(file_of(RGB, "JPEG", exif=camera_exif())).info).dpi is None
    assert from_info(opened(file_of(RGB, "TIFF")).info).dpi is None
    assert from_info({"dpi": (float("nan"), 1)}).dpi is None


def test_metadata_is_chosen() -> None:
    whole = Metadata(icc=b"p", exif=camera(), xmp=XMP, dpi=(1.0, 2.0))
    assert whole.chosen("none", False, "x")[0] == Metadata()
    assert whole.chosen("icc", False, "x")[0] == Metadata(icc=b"p")
    assert whole.chosen("all", False, "x")[0] == whole
