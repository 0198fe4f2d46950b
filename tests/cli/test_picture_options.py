"""Odd pictures at the command line: what is kept, what is said, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import Outcome, run_main
from tests.picture.made import XMP, camera_exif, deep_png, opened
from tests.tiny import made_picture

PICTURE = Image.fromarray(made_picture(24, 37, 8))


def encode(source: Path, *options: str) -> Outcome:
    return run_main("encode", "-m", "tiny", str(source), "-o", f"{source}.sic", "-f", *options)


def decode(source: Path, suffix: str, *options: str) -> tuple[Outcome, Image.Image]:
    out = f"{source}.back.{suffix}"
    done = run_main("decode", f"{source}.sic", "-o", out, "-f", *options)
    assert done.code == 0, done.err
    return done, opened(Path(out).read_bytes())


@pytest.fixture
def see_through(tmp_path: Path) -> Path:
    picture = PICTURE.copy()
    picture.putalpha(Image.linear_gradient("L").resize(PICTURE.size))
    path = tmp_path / "a.png"
    picture.save(path)
    return path


def test_transparency_goes_round_and_info_says_so(see_through: Path) -> None:
    want = np.asarray(opened(see_through.read_bytes()))[..., 3]
    assert encode(see_through).err == ""
    for level in ("1", "5"):
        assert np.array_equal(np.asarray(decode(see_through, "png", "-l", level)[1])[..., 3], want)
    facts = json.loads(run_main("info", "--json", f"{see_through}.sic").out)
    assert facts["alpha"] is True and facts["meta"][0]["kind"] == "alpha"
    done, flat = decode(see_through, "jpg", "--background", "black")
    assert "W-alpha-flat" in done.err and np.asarray(flat)[0].mean() < 12
    assert encode(see_through, "--alpha", "flatten", "--background", "#00ff00").err == ""
    done, flat = decode(see_through, "png")
    assert flat.mode == "RGB" and abs(np.asarray(flat)[0] - [0.0, 255, 0]).mean() < 45


def test_metadata_goes_round_or_stays_behind(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    PICTURE.save(path, exif=camera_exif(6), xmp=XMP, dpi=(300, 300), quality=95)
    assert encode(path).err == ""
    _, back = decode(path, "png")
    assert back.size == (24, 37) and back.getexif()[0x0112] == 1
    assert back.getexif().get_ifd(0x8825)[2] == (52.0, 31.0, 12.25)
    assert back.info["dpi"] == pytest.approx((300, 300), abs=0.01)
    assert not decode(path, "png", "--strip-gps")[1].getexif().get_ifd(0x8825)
    assert "exif" not in decode(path, "png", "--metadata", "none")[1].info
    assert "W-meta-lost" in decode(path, "ppm")[0].err
    encode(path, "--strip-gps")
    data = Path(f"{path}.sic").read_bytes()
    assert b"GPSLatitude" not in data and b"a camera maker" in data
    encode(path, "--metadata", "icc")
    assert b"a camera maker" not in Path(f"{path}.sic").read_bytes()


def test_sixteen_bits_are_reported_refused_or_allowed(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(deep_png(np.full((5, 6, 3), 40000, np.uint16)))
    assert "[W-depth16]" in encode(path).err
    assert encode(path, "--depth16", "allow").err == ""
    refused = encode(path, "--depth16", "error")
    assert refused.code == 4 and "--depth16 allow" in refused.err


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ((), 0), (("--frame", "1"), 0), (("--frame", "2"), 2), (("--frame", "error"), 4),
        (("--frame", "-1"), 2), (("--frame", "first"), 2), (("--background", "12"), 2),
        (("--alpha", "some"), 2), (("--icc", "some"), 2), (("--metadata", "exif"), 2),
    ],
)  # fmt: skip
def test_options_end_in_their_exit_codes(
    options: tuple[str, ...], code: int, tmp_path: Path
) -> None:
    path = tmp_path / "a.gif"
    PICTURE.save(path, save_all=True, append_images=[PICTURE.rotate(180)])
    done = encode(path, *options)
    assert done.code == code and "Traceback" not in done.err
    assert ("W-frames" in done.err) == (options == ())
    assert Path(f"{path}.sic").exists() == (code == 0)


def test_a_conversion_that_was_asked_for_is_reported_with_v_alone(tmp_path: Path) -> None:
    from tests.picture.test_kinds import profile

    path = tmp_path / "a.png"
    PICTURE.save(path, icc_profile=profile())
    assert encode(path, "--icc", "srgb").err == ""
    assert "W-icc-converted" in encode(path, "--icc", "srgb", "-v").err
