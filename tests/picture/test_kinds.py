"""Every row of the table of kinds: what goes in, what is kept, what is said."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from sic_cli.errors import InputError, UsageError
from sic_cli.picture.choices import Choices
from sic_cli.picture.kinds import table
from sic_cli.picture.load import Picture, from_image, load
from tests.conftest import ROOT
from tests.picture.made import (
    LIMITS,
    RGB,
    XMP,
    camera_exif,
    cmyk_profile,
    deep_png,
    deep_tiff,
    file_of,
    png_chunk,
)

DEEP = np.random.default_rng(3).integers(0, 65536, (9, 14, 4), dtype=np.uint16)


def read(data: bytes, name: str = "x", **choices: object) -> Picture:
    return load(data, name, *LIMITS, Choices(**choices))  # type: ignore[arg-type]


def codes(picture: Picture) -> list[str]:
    return [notice.code for notice in picture.notices]


def profile(space: str = "sRGB") -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile(space)).tobytes()


def test_the_page_on_pictures_says_what_the_table_says() -> None:
    assert table() in (ROOT / "docs" / "pictures.md").read_text(encoding="utf-8")


def layered(mode: str) -> Image.Image:
    picture = RGB.convert("RGB")
    picture.putalpha(Image.fromarray(np.arange(20 * 31, dtype=np.uint8).reshape(20, 31)))
    return picture.convert(mode)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_kept_exactly_and_seen_colours_with_it(mode: str) -> None:
    source = layered(mode)
    got = read(file_of(source, "PNG"))
    alpha = np.asarray(source.getchannel("A"))
    assert got.alpha is not None and np.array_equal(got.alpha, alpha)
    assert np.array_equal(got.pixels[alpha > 0], np.asarray(source.convert("RGB"))[alpha > 0])
    assert got.grey == (mode == "LA") and (not got.grey or np.ptp(got.pixels, axis=2).max() == 0)


@pytest.mark.parametrize(
    ("source", "options"),
    [
        (RGB.quantize(16), {"transparency": 3}),
        (RGB.quantize(16), {"transparency": bytes(range(0, 256, 16))}),
        (RGB.convert("L"), {"transparency": 80}),
        (RGB, {"transparency": RGB.getpixel((3, 3))}),
    ],
)
def test_a_transparent_colour_becomes_transparency(
    source: Image.Image, options: dict[str, object]
) -> None:
    data = file_of(source, "PNG", **options)
    want = np.asarray(Image.open(io.BytesIO(data)).convert("RGBA"))[..., 3]
    got = read(data)
    assert want.min() < 255 and got.alpha is not None and np.array_equal(got.alpha, want)


def test_transparency_may_be_flattened_or_dropped() -> None:
    source = layered("RGBA")
    base = Image.new("RGBA", source.size, (0, 128, 0))
    want = np.asarray(Image.alpha_composite(base, source).convert("RGB")).astype(int)
    flat = read(file_of(source, "PNG"), alpha="flatten", background="green")
    assert flat.alpha is None and np.abs(flat.pixels - want).max() <= 1
    dropped = read(file_of(source, "PNG"), alpha="drop")
    assert dropped.alpha is None and np.array_equal(dropped.pixels, np.asarray(source)[..., :3])
    grey = file_of(layered("LA"), "PNG")
    assert read(grey, alpha="flatten").grey
    assert not read(grey, alpha="flatten", background="#ff0000").grey
    with pytest.raises(UsageError, match="nonsense"):
        read(grey, alpha="flatten", background="nonsense")


def rounded(samples: np.ndarray) -> np.ndarray:
    return np.round(samples / 257).astype(np.uint8)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_png_of_16_bits_is_rounded_and_not_cut(channels: int) -> None:
    samples = DEEP[..., :channels]
    got = read(deep_png(samples))
    colours = samples[..., : 1 if channels < 3 else 3]
    seen = np.ones(samples.shape[:2], bool) if got.alpha is None else got.alpha > 0
    assert np.array_equal(got.pixels[seen], np.broadcast_to(rounded(colours), (9, 14, 3))[seen])
    assert not np.array_equal(
        rounded(colours), (colours >> 8).astype(np.uint8)
    )  # the test can fail
    if channels in (2, 4):
        assert np.array_equal(got.alpha, rounded(samples[..., -1]))
    assert got.grey == (channels < 3) and codes(got) == ["W-depth16"]


@pytest.mark.parametrize("order", ["<", ">"])
def test_tiff_of_16_bits_is_rounded_and_not_cut(order: str) -> None:
    samples = DEEP[..., :3]
    got = read(deep_tiff(samples, order))
    assert np.array_equal(got.pixels, rounded(samples)) and codes(got) == ["W-depth16"]
    packed = file_of(Image.fromarray(samples[..., 0]), "TIFF", compression="tiff_lzw")
    assert np.array_equal(read(packed).pixels[..., 0], rounded(samples[..., 0]))


def test_deep_grey_maps_are_not_white() -> None:
    got = read(b"P5 2 2 65535\n" + np.array([0, 20000, 40000, 65535], ">u2").tobytes())
    assert got.pixels[..., 0].tolist() == [[0, 78], [156, 255]] and got.grey
    colour = read(b"P6 2 1 65535\n" + np.array([0, 257, 65535, 9, 9, 9], ">u2").tobytes())
    assert colour.pixels[0, 0].tolist() == [0, 1, 255] and codes(colour) == ["W-depth16"]


def test_a_clear_colour_of_16_bits_is_compared_at_16_bits() -> None:
    samples = np.full((2, 3, 1), 1000, np.uint16)
    samples[0, 0] = 1001  # the same as 8 bits
    clear = png_chunk(b"tRNS", (1000).to_bytes(2, "big"))
    got = read(deep_png(samples, clear))
    assert got.alpha is not None and got.alpha.tolist() == [[255, 0, 0], [0, 0, 0]]


def test_depth_is_refused_or_passed_over_on_request() -> None:
    data = deep_png(DEEP[..., :3])
    with pytest.raises(InputError, match="16 bits"):
        read(data, depth16="error")
    assert codes(read(data, depth16="allow")) == []


def test_cmyk_goes_through_its_profile_or_the_plain_formula() -> None:
    source = RGB.convert("CMYK")
    got = read(file_of(source, "TIFF"))
    assert np.array_equal(got.pixels, np.asarray(source.convert("RGB")))
    assert codes(got) == ["W-cmyk"] and got.icc is None
    cyan = file_of(Image.new("CMYK", (4, 4), (255, 0, 0, 0)), "TIFF", icc_profile=cmyk_profile())
    red, green, blue = read(cyan).pixels[0, 0].tolist()
    assert red > 180 > 100 > max(green, blue) and read(cyan).icc is None
    assert read(cyan, icc="ignore").pixels[0, 0].tolist() == [0, 255, 255]
    assert "through its profile" in read(cyan).notices[0].text
    wrong = read(file_of(source, "JPEG", icc_profile=profile(), quality=100))
    assert sorted(codes(wrong)) == ["W-cmyk", "W-icc-bad"] and wrong.icc is None


@pytest.mark.parametrize("mode", ["YCbCr", "LAB"])
def test_other_colour_spaces_become_rgb(mode: str) -> None:
    got = read(file_of(RGB.convert(mode), "TIFF"))
    assert np.array_equal(got.pixels, np.asarray(RGB.convert(mode).convert("RGB")))
    assert np.abs(got.pixels.astype(int) - np.asarray(RGB)).mean() < 3 and got.icc is None


def test_profiles_are_kept_converted_or_ignored() -> None:
    data = file_of(RGB, "PNG", icc_profile=profile())
    assert read(data).icc == profile() and codes(read(data)) == []
    converted = read(data, icc="srgb")
    assert converted.icc is None and codes(converted) == ["W-icc-converted"]
    assert np.abs(converted.pixels.astype(int) - np.asarray(RGB)).max() <= 2
    ignored = read(data, icc="ignore")
    assert ignored.icc is None and np.array_equal(ignored.pixels, np.asarray(RGB))


@pytest.mark.parametrize("bad", [b"not a profile", profile("LAB"), b"\0" * 200])
@pytest.mark.parametrize("icc", ["embed", "srgb"])
def test_bad_profiles_are_reported_and_change_nothing(bad: bytes, icc: str) -> None:
    got = read(file_of(RGB, "PNG", icc_profile=bad), icc=icc)
    assert codes(got) == ["W-icc-bad"] and np.array_equal(got.pixels, np.asarray(RGB))
    assert got.icc == (bad if icc == "embed" else None)


def tag(exif: bytes | None, number: int) -> object:
    got = Image.Exif()
    got.load(exif or b"")
    return got.get(number)


@pytest.mark.parametrize("turn", range(1, 9))
def test_pixels_are_turned_as_pillow_turns_them_and_the_tag_says_so(turn: int) -> None:
    data = file_of(layered("RGBA"), "PNG", exif=camera_exif(turn))
    want = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    got = read(data)
    assert got.alpha is not None and np.array_equal(got.alpha, np.asarray(want)[..., 3])
    assert np.array_equal(got.pixels[got.alpha > 0], np.asarray(want)[got.alpha > 0][:, :3])
    assert tag(got.metadata.exif, 0x0112) == 1
    kept = read(data, orient="keep")
    assert kept.pixels.shape == (20, 31, 3) and tag(kept.metadata.exif, 0x0112) == turn


def test_an_orientation_in_xmp_alone_counts() -> None:
    got = read(file_of(RGB, "JPEG", xmp=XMP))
    assert got.pixels.shape == (31, 20, 3)
    assert got.metadata.xmp == XMP.replace(b'Orientation="6"', b'Orientation="1"')


def test_deep_pictures_and_tiff_pages_are_turned_once() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    between = png_chunk(b"eXIf", exif.tobytes()[6:])
    want = np.rot90(rounded(DEEP[..., :3]), -1)
    assert np.array_equal(read(deep_png(DEEP[..., :3], between)).pixels, want)
    got = read(file_of(RGB, "TIFF", exif=exif))
    assert np.array_equal(got.pixels, np.rot90(np.asarray(RGB), -1))
    assert tag(got.metadata.exif, 0x0112) in (None, 1)


PAGES = [RGB, RGB.rotate(90, expand=True), RGB.rotate(180)]


@pytest.mark.parametrize("format_", ["GIF", "PNG", "WEBP", "TIFF", "MPO"])
def test_of_several_pictures_the_first_comes_with_a_notice(format_: str) -> None:
    pages = PAGES if format_ == "TIFF" else [RGB, RGB.rotate(180)]
    data = file_of(pages[0], format_, save_all=True, append_images=pages[1:])
    got = read(data)
    assert got.pixels.shape == (20, 31, 3) and "W-frames" in codes(got)
    last = read(data, frame=len(pages) - 1)
    assert "W-frames" not in codes(last)
    assert np.abs(last.pixels.astype(int) - np.asarray(pages[-1])).mean() < 20
    assert np.abs(last.pixels.astype(int) - np.asarray(pages[0])).mean() > 20
    with pytest.raises(UsageError, match="no picture 9"):
        read(data, frame=9)
    with pytest.raises(InputError, match="holds"):
        read(data, frame="error")


def test_hdr_is_reported_and_its_chunks_kept() -> None:
    cicp, light = bytes([9, 16, 0, 1]), bytes(8)
    between = png_chunk(b"cICP", cicp) + png_chunk(b"cLLI", light)
    got = read(deep_png(DEEP[..., :3], between))
    assert codes(got) == ["W-depth16", "W-hdr"]
    assert got.metadata.hdr == {"cICP": cicp, "cLLI": light}
    plain = read(deep_png(DEEP[..., :3], png_chunk(b"cICP", bytes([1, 13, 0, 1]))))
    assert codes(plain) == ["W-depth16"] and not plain.metadata.hdr
    gain = b'<x xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/"/>'
    assert codes(read(file_of(RGB, "JPEG", xmp=gain))) == ["W-hdr"]


def test_contents_decide_and_a_name_that_lies_is_reported() -> None:
    data = file_of(RGB, "PNG")
    for name in ("a.jpg", "a.HEIC", "a.jxl"):
        assert codes(read(data, name)) == ["W-ext"]
    assert codes(read(data, "a.png")) == codes(read(data, "a")) == codes(read(data, "a.xyz")) == []
    assert codes(read(data + b"x" * 10, "a.png")) == ["W-trailing"]


@pytest.mark.parametrize(
    ("head", "package"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0", "pillow-heif"),
        (b"\xff\x0a" + bytes(20), "pillow-jxl-plugin"),
    ],
)
def test_formats_that_need_a_package_name_it(
    head: bytes, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(InputError) as caught:
        read(head)
    assert caught.value.hint == f"pip install {package}"


def test_jpeg_xl_is_read_where_its_package_is_there() -> None:
    pytest.importorskip("pillow_jxl", reason="pillow-jxl-plugin is not installed")
    got = read(file_of(RGB, "JXL", lossless=True))
    assert np.array_equal(got.pixels, np.asarray(RGB))


def test_heif_is_read_where_its_package_is_there() -> None:
    pytest.importorskip("pillow_heif", reason="pillow-heif is not installed").register_heif_opener()
    got = read(file_of(RGB, "HEIF", quality=95))
    assert np.abs(got.pixels.astype(int) - np.asarray(RGB)).mean() < 10


def test_raw_camera_files_are_not_taken_for_their_preview() -> None:
    tags = Image.Exif()
    tags[50706] = b"\1\4\0\0"
    with pytest.raises(InputError, match="raw camera"):
        read(file_of(RGB, "TIFF", exif=tags))


@pytest.mark.parametrize("cut", [20, 40, 100, 300, 600])
@pytest.mark.parametrize("format_", ["PNG", "JPEG", "WEBP", "TIFF", "AVIF", "GIF", "JPEG2000"])
def test_cut_files_are_refused_in_one_sentence(format_: str, cut: int) -> None:
    data = file_of(RGB, format_)
    with pytest.raises(InputError) as caught:
        read(data[: len(data) * cut // 1000])
    assert "\n" not in str(caught.value)


def test_damaged_metadata_refuses_no_picture() -> None:
    for exif in (b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff"):
        got = read(file_of(RGB, "JPEG", exif=exif, quality=100))
        assert got.pixels.shape == (20, 31, 3)
        assert (got.metadata.exif or b"") == exif[6:]


def test_pictures_in_memory_follow_the_same_rules() -> None:
    picture = layered("RGBA")
    picture.info["exif"] = camera_exif(8).tobytes()
    got = from_image(picture, "x", *LIMITS)
    want = ImageOps.exif_transpose(picture)
    assert got.alpha is not None and np.array_equal(got.alpha, np.asarray(want)[..., 3])
    deep = from_image(Image.fromarray(DEEP[..., 0]), "x", *LIMITS)
    assert np.array_equal(deep.pixels[..., 0], rounded(DEEP[..., 0]))
    with pytest.raises(InputError, match="floating"):
        from_image(Image.new("F", (3, 3)), "x", *LIMITS)
