"""--max-pixels and --max-memory: refused by the header, before memory is taken; exit code 7."""

from __future__ import annotations

import io
import json
import tracemalloc
from pathlib import Path

import pytest
from PIL import Image

from sic_cli.bitstream.fields import MAX_PIXELS, Header, Layer
from sic_cli.bitstream.writer import write
from sic_cli.convert import DecodeOptions, EncodeOptions, decode_file, encode_file
from sic_cli.errors import ResourceError
from sic_cli.limits import Limits, most_memory
from sic_cli.release.card import Card
from sic_cli.tasks import EncodeTask
from tests.conftest import run_main
from tests.trust.memory import BASE_BYTES, BYTES_PER_PIXEL


@pytest.fixture
def photo(tmp_path: Path) -> str:
    path = tmp_path / "a.png"
    Image.new("RGB", (60, 40), "red").save(path)
    return str(path)


def test_a_picture_of_just_the_limit_passes_and_one_pixel_more_does_not() -> None:
    Limits(2400, most_memory(2400)).check(60, 40, "a")
    with pytest.raises(ResourceError, match="a: 60x40 pixels, --max-pixels allows 2399"):
        Limits(2399).check(60, 40, "a")
    with pytest.raises(ResourceError, match="a: 60x40 pixels may need 1200 MB"):
        Limits(max_memory=most_memory(2400) - 1).check(60, 40, "a")


def test_the_formula_is_the_one_that_the_campaign_measures() -> None:
    assert most_memory(0) == BASE_BYTES
    assert most_memory(1000) - most_memory(0) == 1000 * BYTES_PER_PIXEL
    assert Limits().max_pixels == MAX_PIXELS


@pytest.mark.parametrize(
    ("options", "told"),
    [(["--max-pixels", "2399"], "allows 2399"), (["--max-memory", "1.2GB"], "allows 1200 MB")],
)
def test_both_commands_refuse_with_7_and_one_sentence(
    options: list[str], told: str, photo: str, coded: bytes, tmp_path: Path
) -> None:
    small = tmp_path / "a.sic"
    small.write_bytes(coded)
    for arguments in (["encode", photo, "-m", "tiny"], ["decode", str(small)]):
        out = tmp_path / "out"
        got = run_main(*arguments, "-o", str(out), *options)
        assert got.code == 7 and told in got.err and got.err.count("\n") == 1, got.err
        assert not out.exists()
    assert run_main("encode", photo, "-m", "tiny", "-f", "--max-pixels", "2400").code == 0


def test_folders_go_on_and_the_jobs_share_the_memory(photo: str, tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    Image.new("RGB", (8, 8)).save(folder / "small.png")
    Image.new("RGB", (80, 80)).save(folder / "large.png")
    encode = ["encode", "-r", str(folder), "-o", str(out), "-m", "tiny"]
    got = run_main(*encode, "--max-pixels", "100", "--json")
    rows = [json.loads(line) for line in got.out.splitlines()]
    assert got.code == 1
    assert [r["code"] for r in rows if r["schema"] == "sic.encode/1"] == [7, 0]
    assert sorted(p.name for p in out.glob("*.sic")) == ["small.sic"]
    with pytest.raises(ResourceError, match="2401 MB / 2 jobs"):
        Limits(max_memory=most_memory(0) * 2 + 1_000_000, jobs=2).check(1000, 1000, "a")


def test_limits_are_settings_like_any_other(
    photo: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "config.toml"
    config.write_text("[encode]\nmax-pixels = 10\n")
    got = run_main("encode", photo, "-m", "tiny", "--config", str(config))
    assert got.code == 7, got.err
    monkeypatch.setenv("SIC_MAX_MEMORY", "1GB")
    assert run_main("encode", photo, "-m", "tiny").code == 7
    config.write_text("[encode]\nmax-memory = -4\n")
    monkeypatch.delenv("SIC_MAX_MEMORY")
    got = run_main("encode", photo, "-m", "tiny", "--config", str(config))
    assert got.code == 2 and "positive size" in got.err


def test_nothing_is_allocated_for_what_is_refused(tiny: Card) -> None:
    header = Header(12_000, 12_000, tiny.config.levels, tiny.id)
    bomb = write(header, (), [Layer(1, b"", 0)])
    packed = io.BytesIO()
    Image.new("L", (12_000, 12_000)).save(packed, "PNG")
    tracemalloc.start()
    try:
        for limits in (Limits(1000), Limits(max_memory=2_000_000_000)):
            with pytest.raises(ResourceError):
                decode_file(bomb, "x", "PNG", DecodeOptions(device="cpu"), limits)
            with pytest.raises(ResourceError):
                encode_file(packed.getvalue(), "x", EncodeOptions(model="tiny"), limits)
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


def test_limits_decide_no_output_so_resuming_heeds_them_not() -> None:
    strict = EncodeTask(EncodeOptions(), limits=Limits(10))
    assert strict.options_sha256 == EncodeTask(EncodeOptions()).options_sha256
