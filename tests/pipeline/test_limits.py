"""max-pixels and max-memory: refused by the header, before memory is taken; exit code 7."""

from __future__ import annotations

import io
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import sic_cli
from sic_cli.batch.tasks import EncodeTask
from sic_cli.codec.bitstream.fields import MAX_PIXELS, Header, Layer
from sic_cli.codec.bitstream.writer import write
from sic_cli.codec.engine import Engine
from sic_cli.codec.weights.card import ModelCard
from sic_cli.errors import ResourceError, UsageError
from sic_cli.pillow import SicImageFile, register
from sic_cli.pipeline import limits
from sic_cli.pipeline.convert import decode_file, encode_file
from sic_cli.pipeline.limits import Limits, most_memory, reports_out_of_memory
from sic_cli.pipeline.options import DecodeOptions, EncodeOptions
from tests.conftest import run_main
from tests.trust.memory import BASE_BYTES, BYTES_PER_PIXEL


@pytest.fixture
def photo(tmp_path: Path) -> str:
    path = tmp_path / "a.png"
    Image.new("RGB", (60, 40), "red").save(path)
    return str(path)


def test_a_picture_of_just_the_limit_passes_and_one_pixel_more_does_not() -> None:
    Limits(2400, most_memory(2400)).check(60, 40, "a")
    with pytest.raises(ResourceError, match="a: 60x40 pixels, max-pixels allows 2399"):
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


def test_nothing_is_allocated_for_what_is_refused(tiny: ModelCard) -> None:
    header = Header(12_000, 12_000, tiny.config.levels, tiny.id)
    bomb = write(header, (), [Layer(0, b"", 0)])
    packed = io.BytesIO()
    Image.new("L", (12_000, 12_000)).save(packed, "PNG")
    tracemalloc.start()
    try:
        for least in (Limits(1000), Limits(max_memory=2_000_000_000)):
            with pytest.raises(ResourceError):
                decode_file(bomb, "x", "PNG", DecodeOptions(device="cpu"), least)
            with pytest.raises(ResourceError):
                encode_file(packed.getvalue(), "x", EncodeOptions(model="tiny"), least)
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


def test_limits_decide_no_output_so_resuming_heeds_them_not() -> None:
    strict = EncodeTask(EncodeOptions(), limits=Limits(10))
    assert strict.options_sha256 == EncodeTask(EncodeOptions()).options_sha256


def test_by_default_three_quarters_of_the_machine_are_allowed(
    photo: str, coded: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And pictures of 4 megapixels on any machine: so few need half of the bound."""
    monkeypatch.setattr(limits, "machine_memory", lambda: 4_000_000_000)
    Limits().check(12_500, 12_000, "a")  # 1.2 GB + 1.8 GB
    with pytest.raises(ResourceError, match="3015 MB of memory, and this machine allows 3000 MB"):
        Limits().check(12_501, 12_100, "a")
    Limits(max_memory=most_memory(12_501 * 12_100)).check(12_501, 12_100, "a")
    monkeypatch.setattr(limits, "machine_memory", lambda: 500_000_000)
    Limits().check(2000, 2000, "a")
    with pytest.raises(ResourceError):
        Limits().check(2001, 2000, "a")
    monkeypatch.setattr(limits, "machine_memory", lambda: None)
    Limits().check(65_535, 2000, "a")


def test_the_default_is_heeded_wherever_a_picture_is_made(
    photo: str, coded: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Commands, symbols that are checked, Python and Pillow: all exit code 7 or its error."""
    monkeypatch.setattr(limits, "default_memory", lambda: 1_200_000_000)
    small, out = tmp_path / "a.sic", tmp_path / "out.sic"
    small.write_bytes(coded)
    for arguments in (
        ["encode", photo, "-m", "tiny", "-o", str(out)],
        ["decode", str(small), "-o", str(tmp_path / "out.png")],
        ["verify", "--deep", str(small)],
    ):
        got = run_main(*arguments)
        assert got.code == 7 and "this machine allows 1200 MB" in got.err, (arguments, got)
        assert not out.exists() and not (tmp_path / "out.png").exists()
    with pytest.raises(ResourceError):
        sic_cli.decode(coded, device="cpu")
    with Image.open(small) as picture, pytest.raises(OSError, match="this machine allows"):
        picture.load()
    assert run_main("encode", photo, "-m", "tiny", "-o", str(out), "--max-memory", "2GB").code == 0


def test_python_and_pillow_take_the_same_limits(
    photo: str, coded: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = Image.new("RGB", (60, 40))
    for options in ({"max_pixels": 2399}, {"max_memory": most_memory(2400) - 1}):
        kw: Any = {"model": "tiny", "device": "cpu", **options}
        for source in (photo, picture, np.asarray(picture)):
            with pytest.raises(ResourceError, match="max-") as refused:
                sic_cli.encode(source, **kw)
            assert refused.value.exit_code == 7
        with pytest.raises(OSError, match="max-"):
            picture.save(tmp_path / "b.sic", **kw)
        with sic_cli.Codec("tiny", "cpu") as codec:
            for work in (codec.decode, sic_cli.decode, codec.decode_levels, sic_cli.decode_levels):
                with pytest.raises(ResourceError, match="max-"):
                    _all_of(work(coded, max_pixels=10))
    for wrong in ({"max_pixels": 0}, {"max_memory": 1.5}, {"max_pixels": None}):
        with pytest.raises(UsageError, match="not a positive whole number"):
            sic_cli.decode(coded, **wrong)
    assert sic_cli.encode(photo, model="tiny", max_pixels=2400, max_memory=most_memory(2400)).data
    (tmp_path / "a.sic").write_bytes(coded)
    monkeypatch.setattr(SicImageFile, "limits", Limits())
    monkeypatch.setattr(SicImageFile, "device", "cpu")
    register("cpu", max_pixels=10)
    with Image.open(tmp_path / "a.sic") as small, pytest.raises(OSError, match="allows 10"):
        small.load()


def _all_of(made: Any) -> None:
    """Ask an iterator for its first; pictures are left alone."""
    if not isinstance(made, Image.Image):
        next(made)


def test_a_lazy_picture_of_pillow_is_refused_before_it_is_read(
    monkeypatch: pytest.MonkeyPatch, photo: str
) -> None:
    with Image.open(photo) as picture:
        monkeypatch.setattr(picture, "load", lambda: pytest.fail("pixels were read"))
        with pytest.raises(ResourceError):
            sic_cli.encode(picture, model="tiny", max_pixels=1)


@pytest.mark.parametrize(
    "fault",
    [
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
        type("OutOfMemoryError", (RuntimeError,), {})("CUDA"),
    ],
)
def test_memory_that_ends_is_our_error_from_every_door(
    fault: Exception, photo: str, coded: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether Python or torch runs out of it, on the CPU or on a GPU."""
    (tmp_path / "a.sic").write_bytes(coded)

    def fails(*_: object, **__: object) -> None:
        raise fault

    monkeypatch.setattr(Engine, "latents", fails)
    monkeypatch.setattr("sic_cli.codec.decode.decode_indices", fails)
    pixels = np.zeros((8, 8, 3), np.uint8)
    doors: dict[str, Callable[[], object]] = {
        "encode a file": lambda: sic_cli.encode(photo, model="tiny", device="cpu"),
        "encode pixels": lambda: sic_cli.encode(pixels, model="tiny", device="cpu"),
        "decode": lambda: sic_cli.decode(coded, device="cpu"),
        "levels": lambda: list(sic_cli.decode_levels(coded, device="cpu")),
        "verify": lambda: sic_cli.verify(coded, deep=True, devices=["cpu"]),
    }
    for door in doors.values():
        with pytest.raises(ResourceError, match="out of memory"):
            door()
    with Image.open(tmp_path / "a.sic") as small, pytest.raises(OSError, match="out of memory"):
        small.load()
    got = run_main("decode", str(tmp_path / "a.sic"), "-o", str(tmp_path / "b.png"))
    assert got.code == 7 and got.err.count("\n") <= 2


def test_other_faults_are_not_taken_for_it() -> None:
    @reports_out_of_memory
    def broken(_: bytes, name: str) -> None:
        raise RuntimeError(f"{name}: something else")

    with pytest.raises(RuntimeError, match="something else"):
        broken(b"", "x")
