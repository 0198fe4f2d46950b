"""Pictures out: each format gets what it can hold, and the rest is reported."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from sic_cli.picture.metadata import Metadata
from sic_cli.picture.save import Output, write
from tests.picture.made import RGB, camera_exif, opened
from tests.picture.made import XMP as MADE_XMP

PIXELS = np.asarray(RGB)
ALPHA = np.arange(20 * 31, dtype=np.uint8).reshape(20, 31)
EXIF = camera_exif(1).tobytes()[6:]
XMP = MADE_XMP.replace(b'n="6"', b'n="1"')  # Pillow turns TIFF files by themselves
FULL = Metadata(icc=b"a profile", exif=EXIF, xmp=XMP, dpi=(300.0, 300.0))


def codes(notices: list) -> list[str]:  # type: ignore[type-arg]
    return [n.code for n in notices]


WITH_ALPHA = ["PNG", "WEBP", "AVIF", "TIFF", "TGA", "JPEG2000"]


@pytest.mark.parametrize(
    ("format_", "grey"),
    [(f, g) for f in WITH_ALPHA for g in (False, True)] + [("QOI", False)],  # QOI holds no grey
)
def test_transparency_goes_out(format_: str, grey: bool) -> None:
    data, notices = write(PIXELS[..., 0] if grey else PIXELS, ALPHA, format_, Metadata(), "x")
    got = np.asarray(opened(data).convert("RGBA"))
    assert np.abs(got[..., 3].astype(int) - ALPHA).max() <= (
        8 if format_ in ("AVIF", "JPEG2000") else 0
    )
    assert not notices


@pytest.mark.parametrize("format_", ["JPEG", "PPM", "BMP", "GIF"])
def test_other_formats_show_the_background(format_: str) -> None:
    data, notices = write(
        PIXELS, np.zeros_like(ALPHA), format_, Metadata(), "x", Output(background="#204080")
    )
    got = np.asarray(opened(data).convert("RGB")).astype(int)
    assert np.abs(got - (0x20, 0x40, 0x80)).max() <= 3
    assert codes(notices) == ["W-alpha-flat"] and "#204080" in notices[0].text


@pytest.mark.parametrize("format_", ["PNG", "JPEG", "WEBP", "AVIF", "TIFF"])
def test_metadata_goes_out(format_: str) -> None:
    data, notices = write(PIXELS, None, format_, FULL, "x")
    got = opened(data)
    assert got.info["icc_profile"] == b"a profile" and not notices
    assert got.getexif()[0x010F] == "a camera maker"
    assert got.getexif().get_ifd(0x8825)[2] == (52.0, 31.0, 12.25)
    assert (got.info.get("xmp") or got.info.get("XML:com.adobe.xmp", "").encode()) == XMP
    if format_ in ("PNG", "JPEG", "WEBP"):
        assert got.info["exif"].removeprefix(b"Exif\0\0") == EXIF
    if format_ in ("PNG", "JPEG", "TIFF"):
        assert got.info["dpi"] == pytest.approx((300, 300), abs=0.01)


@pytest.mark.parametrize("format_", ["PPM", "BMP", "QOI"])
def test_formats_without_room_tell_what_is_lost(format_: str) -> None:
    _, notices = write(PIXELS, None, format_, FULL, "x")
    assert codes(notices) == ["W-meta-lost"]
    assert all(word in notices[0].text for word in ("colour profile", "Exif", "XMP"))


def test_exif_too_long_for_jpeg_is_left_out_and_reported() -> None:
    long = Image.Exif()
    long[0x010E] = "x" * 200_000
    data, notices = write(PIXELS, None, "JPEG", Metadata(exif=long.tobytes()[6:], xmp=XMP), "x")
    got = opened(data)
    assert codes(notices) == ["W-meta-lost"] and "Exif" in notices[0].text
    assert "exif" not in got.info and got.info["xmp"] == XMP
    data, notices = write(PIXELS, None, "JPEG", Metadata(xmp=b"x" * 70_000), "x")
    assert codes(notices) == ["W-meta-lost"] and "XMP" in notices[0].text


@pytest.mark.parametrize("format_", ["PNG", "JPEG", "WEBP", "AVIF", "TIFF"])
def test_broken_metadata_never_stops_a_picture(format_: str) -> None:
    broken = Metadata(icc=b"", exif=b"not a TIFF structure", xmp=b"\xff\xfe not utf-8")
    data, _ = write(PIXELS, None, format_, broken, "x")
    assert opened(data).size == RGB.size


def test_hdr_chunks_go_back_into_png() -> None:
    hdr = {"cICP": bytes([9, 16, 0, 1]), "mDCV": bytes(24), "cLLI": bytes(8)}
    data, notices = write(PIXELS, None, "PNG", Metadata(hdr=hdr), "x")
    assert np.array_equal(np.asarray(opened(data)), PIXELS) and not notices
    assert all(name.encode() in data for name in hdr)
    assert codes(write(PIXELS, None, "JPEG", Metadata(hdr=hdr), "x")[1]) == ["W-meta-lost"]


def test_quality_and_compression_are_obeyed() -> None:
    low, high = (
        len(write(PIXELS, None, "JPEG", Metadata(), "x", Output(quality=q))[0]) for q in (20, 95)
    )
    assert low < high
    fast, small = (
        len(write(PIXELS, None, "PNG", Metadata(), "x", Output(compression=c))[0]) for c in (0, 9)
    )
    assert small < fast
