"""Pictures in and out: kinds, orientation, profiles, refusals."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageCms

from sic_cli.errors import InputError, OutputError, ResourceError, UsageError
from sic_cli.picture import bands
from sic_cli.picture import load as load_module
from sic_cli.picture.choices import Choices
from sic_cli.picture.deep import _bits_of
from sic_cli.picture.load import load
from sic_cli.picture.save import format_for, save
from tests.tiny import made_picture

LIMITS = (65535, 178_000_000)


def file_of(image: Image.Image, format_: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, format_, **options)
    return out.getvalue()


RGB = Image.fromarray(made_picture(20, 31, 1))


@pytest.mark.parametrize("format_", ["PNG", "BMP", "TIFF", "PPM", "TGA", "QOI"])
def test_lossless_formats_come_in_exactly(format_: str) -> None:
    assert np.array_equal(load(file_of(RGB, format_), "x", *LIMITS).pixels, np.asarray(RGB))


@pytest.mark.parametrize("format_", ["JPEG", "WEBP", "AVIF", "GIF"])
def test_other_formats_come_in(format_: str) -> None:
    assert load(file_of(RGB, format_), "x", *LIMITS).pixels.shape == (20, 31, 3)


@pytest.mark.parametrize("mode", ["L", "1"])
def test_grey_is_marked_grey(mode: str) -> None:
    got = load(file_of(RGB.convert(mode), "PNG"), "x", *LIMITS)
    assert got.grey and np.ptp(got.pixels, axis=2).max() == 0
    assert np.array_equal(got.pixels[..., 0], np.asarray(RGB.convert(mode).convert("L")))


def test_palettes_become_colours() -> None:
    picture = RGB.convert("P", palette=Image.Palette.ADAPTIVE)
    assert np.array_equal(
        load(file_of(picture, "PNG"), "x", *LIMITS).pixels, np.asarray(picture.convert("RGB"))
    )


@pytest.mark.parametrize("turn", range(1, 9))
def test_orientation_is_applied(turn: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = turn
    got = load(file_of(RGB, "PNG", exif=exif), "x", *LIMITS).pixels
    assert got.shape[:2] == ((31, 20) if turn >= 5 else (20, 31))
    back = {
        1: lambda a: a,
        2: np.fliplr,
        3: lambda a: np.rot90(a, 2),
        4: np.flipud,
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
        8: lambda a: np.rot90(a, -1),
    }
    assert np.array_equal(back[turn](got), np.asarray(RGB))


def test_profiles_are_kept() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    got = load(file_of(RGB, "PNG", icc_profile=profile), "x", *LIMITS)
    assert got.icc == profile
    assert Image.open(io.BytesIO(save(got.pixels, "PNG", got.icc))).info["icc_profile"] == profile


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "empty"),
        (b"this is no picture", "not a picture"),
        (file_of(RGB, "PNG")[:200], "broken"),
        (file_of(RGB, "JPEG")[:400], "broken"),
        (file_of(Image.fromarray(np.zeros((4, 4), np.float32)), "TIFF"), "floating-point"),
        (file_of(Image.fromarray(np.full((4, 4), -1, np.int32)), "TIFF"), "from -1 to -1"),
        (file_of(Image.fromarray(np.full((4, 4), 65536, np.int32)), "TIFF"), "65536"),
        (b"II*\0\x10\0\0\0CR" + bytes(90), "raw camera|broken|not a picture"),
        (b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>", "drawing"),
        (b"%PDF-1.7 and so on", "PDF"),
    ],
)
def test_what_is_not_supported_is_refused_in_one_sentence(data: bytes, text: str) -> None:
    with pytest.raises(InputError, match=text) as caught:
        load(data, "name", *LIMITS)
    assert str(caught.value).startswith("name: ") and "\n" not in str(caught.value)


def test_bitmaps_of_16_bits_per_pixel_are_not_deep() -> None:
    """5, 6 and 5 bits: fewer than eight per sample, though Pillow calls them BGR;16."""
    head = b"BM" + (54 + 12 + 8).to_bytes(4, "little") + bytes(4) + (66).to_bytes(4, "little")
    head += (40).to_bytes(4, "little") + (2).to_bytes(4, "little") + (2).to_bytes(4, "little")
    head += (
        (1).to_bytes(2, "little")
        + (16).to_bytes(2, "little")
        + (3).to_bytes(4, "little")
        + bytes(20)
    )
    masks = b"".join(m.to_bytes(4, "little") for m in (0xF800, 0x07E0, 0x001F))
    got = load(head + masks + (0xF800).to_bytes(2, "little") * 4, "x", *LIMITS).pixels
    assert (got == (255, 0, 0)).all() and got.shape == (2, 2, 3)


def test_a_jpeg_2000_file_of_16_bits_is_reported() -> None:
    data = bytearray(file_of(RGB, "JPEG2000"))
    at = data.find(b"\xff\x4f\xff\x51") + 42
    assert data[at] == 7  # bits - 1 of the first component
    data[at] = 15
    with pytest.raises(InputError, match="16 bits"):
        load(bytes(data), "x", *LIMITS, Choices(depth16="error"))


def test_the_depth_of_an_avif_file_is_read_from_its_head() -> None:
    """Pillow writes no deep AVIF and opens no forged one, so the reading alone is tested."""
    data = bytearray(file_of(RGB, "AVIF"))
    assert _bits_of(bytes(data), "AVIF") == 8
    data[data.find(b"pixi") + 9] = 10
    assert _bits_of(bytes(data), "AVIF") == 10


def test_opaque_transparency_is_dropped() -> None:
    got = load(file_of(RGB.convert("RGBA"), "PNG"), "x", *LIMITS)
    assert np.array_equal(got.pixels, np.asarray(RGB))


def test_too_large_pictures_are_refused_by_their_header() -> None:
    with pytest.raises(ResourceError, match="31x20"):
        load(file_of(RGB, "PNG"), "x", 30, 10**6)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "avif", "tiff", "ppm", "bmp"])
def test_pictures_go_out(suffix: str) -> None:
    data = save(np.asarray(RGB), format_for(f"a.{suffix}", None), None)
    assert Image.open(io.BytesIO(data)).size == RGB.size


def test_formats_that_cannot_be_written() -> None:
    with pytest.raises(UsageError, match=r"\.sic"):
        format_for("a.sic", None)
    with pytest.raises(OutputError, match="JPEG"):
        save(np.zeros((1, 70000, 3), np.uint8), "JPEG", None)


@pytest.mark.parametrize(
    ("mode", "copies"),
    [("RGB", []), ("L", []), ("RGBA", []), ("P", ["convert"])],
)
def test_a_large_picture_leaves_pillow_by_strips(
    mode: str, copies: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Copies of the whole picture once took 17 bytes a pixel at reading, beyond the documented bound."""
    rng = np.random.default_rng(5)
    source = Image.fromarray(rng.integers(0, 256, (90, 70, 3), dtype=np.uint8)).convert(mode)
    want = np.asarray(source.convert("RGB"))
    whole: list[str] = []

    def counted(self: Image.Image) -> dict[str, object]:
        if self.size == (70, 90):
            whole.append(self.mode)
        return interface(self)

    def converted(self: Image.Image, *arguments: object) -> Image.Image:
        if self.size == (70, 90):
            whole.append("convert")
        return convert(self, *arguments)  # type: ignore[arg-type]

    interface = Image.Image.__array_interface__.fget  # type: ignore[attr-defined]
    convert = Image.Image.convert
    monkeypatch.setattr(Image.Image, "convert", converted)
    monkeypatch.setattr(Image.Image, "__array_interface__", property(counted))
    monkeypatch.setattr(bands, "BAND_PIXELS", 1000)
    got = load_module.from_image(source, "x", 1000, 10**6)
    assert np.array_equal(got.pixels, want) and got.pixels.flags.writeable
    assert whole == copies
