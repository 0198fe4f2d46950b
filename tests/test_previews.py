"""The preview at every door: the command line, Python, pipes, files that hold nothing else."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import sic_cli
from sic_cli.codec.bitstream.reader import parse
from sic_cli.codec.preview.decode import decode_preview
from tests.conftest import ROOT, run_main, run_process


@pytest.fixture
def file(tmp_path: Path, coded: bytes) -> Path:
    path = tmp_path / "photo.sic"
    path.write_bytes(coded)
    return path


def test_previews_have_a_sixteenth_of_the_size(file: Path, coded: bytes, tmp_path: Path) -> None:
    for scale, size in ((1, (6, 5)), (2, (12, 9)), (4, (24, 18))):
        out = tmp_path / f"{scale}.png"
        got = run_main("decode", str(file), "-o", str(out), "--preview", "--scale", str(scale))
        assert got.code == 0 and got.err == ""
        with Image.open(out) as image:
            assert image.size == size
            alike = sic_cli.preview(coded, scale=scale)
            assert np.array_equal(np.asarray(image), np.asarray(alike))
    assert np.array_equal(np.asarray(sic_cli.preview(file)), decode_preview(parse(coded)))
    assert sic_cli.preview(file).info["sic_level"] == 0
    for wrong in (0, 3, 16):
        with pytest.raises(sic_cli.UsageError, match="1, 2 or 4"):
            sic_cli.preview(coded, scale=wrong)
    with pytest.raises(TypeError, match="preview"):
        sic_cli.decode(coded, preview=True)  # type: ignore[call-arg]


def test_the_first_bytes_are_the_preview(coded: bytes, tmp_path: Path) -> None:
    end = sic_cli.info(coded).preview_bytes
    assert end == parse(coded).ends[0]
    alone = coded[:end]
    assert sic_cli.truncate(coded, level=0) == alone
    assert np.array_equal(np.asarray(sic_cli.preview(alone)), np.asarray(sic_cli.preview(coded)))
    with pytest.raises(sic_cli.CorruptError, match="no whole level"):
        sic_cli.preview(alone[:-1])
    wrong = bytearray(alone)
    wrong[-1] ^= 1
    with pytest.raises(sic_cli.CorruptError, match="layer 0"):
        sic_cli.preview(wrong)
    facts = sic_cli.info(alone)
    assert facts.level == 0 and facts.fault is None
    assert sic_cli.info(coded[: end - 3]).preview_bytes is None
    checked = sic_cli.verify(alone, deep=True, devices=("cpu",))
    assert checked.ok and checked.last_good_level == 0


def test_a_file_that_ends_behind_layer_0_shows_its_preview(
    file: Path, coded: bytes, tmp_path: Path
) -> None:
    ends, out = parse(coded).ends, tmp_path / "out.png"
    file.write_bytes(coded[: ends[0]])
    got = run_main("decode", str(file), "-o", str(out), "--json")
    assert got.code == 0
    document = json.loads(got.out)
    assert document["level"] == 0 and [w["code"] for w in document["warnings"]] == ["W-preview"]
    with Image.open(out) as image:
        assert image.size == (93, 70)
    assert run_main("verify", "--deep", str(file)).code == 0
    for end in (ends[0] + 1, ends[1] - 1):  # cut inside layer 1
        file.write_bytes(coded[:end])
        got = run_main("decode", str(file), "-o", str(out), "-f")
        assert got.code == 3 and "cut inside layer 1" in got.err and "wrote level 0" in got.err
    file.write_bytes(coded[: ends[0] - 1])
    assert run_main("decode", str(file), "-o", str(out), "-f").code == 5


def test_level_0_is_a_level_like_any_other(file: Path, picture: np.ndarray, tmp_path: Path) -> None:
    source, out = tmp_path / "a.png", tmp_path / "low.sic"
    Image.fromarray(picture).save(source)
    assert run_main("encode", str(source), "-m", "tiny", "-l", "0", "-o", str(out)).code == 0
    cut = tmp_path / "cut.sic"
    assert run_main("truncate", str(file), "-l", "0", "-o", str(cut)).code == 0
    assert out.read_bytes() == cut.read_bytes()
    got = run_main(
        "truncate", str(file), "--target-size", str(len(out.read_bytes()) + 1), "-o", "-"
    )
    assert got.code == 8 and "a preview alone (level 0)" in got.err
    whole = sic_cli.decode(file, level=0, device="cpu")
    assert np.array_equal(np.asarray(whole), np.asarray(sic_cli.decode(out, device="cpu")))


def test_transparency_and_metadata_come_with_the_preview(picture: np.ndarray) -> None:
    image = Image.fromarray(picture)
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    data = sic_cli.encode(image, model="tiny", device="cpu").data
    small = sic_cli.preview(data)
    assert small.mode == "RGBA" and small.size == (6, 5)
    rows = np.asarray(small)[:, 0, 3].astype(int)
    assert (np.diff(rows) > 0).all() and rows[0] < 60 < 190 < rows[-1]
    grey = np.repeat(picture[:, :, :1], 3, 2)
    data = sic_cli.encode(Image.fromarray(grey).convert("L"), model="tiny", device="cpu").data
    assert sic_cli.preview(data).mode == "L"


def test_a_preview_loads_no_model_and_no_network(file: Path) -> None:
    code = (
        "import sys, sic_cli\n"
        f"sic_cli.preview({str(file)!r})\n"
        "loaded = [m for m in sys.modules if m.startswith(('torch', 'sic_cli.codec'))]\n"
        "bad = ('torch', 'networks', 'engine', 'inference', 'rdo', 'weights.load')\n"
        "assert not [m for m in loaded if any(w in m for w in bad)], loaded\n"
    )
    env = {"SIC_MODEL_PATH": str(ROOT / "nothing"), "PATH": "/usr/bin:/bin"}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


def test_previews_go_through_pipes_and_folders(file: Path, coded: bytes, tmp_path: Path) -> None:
    got = run_process("decode", "-", "-o", "-", "--preview", "--format", "ppm", stdin=coded)
    with Image.open(io.BytesIO(got.out)) as image:
        assert got.code == 0 and image.size == (6, 5)
    folder, out = tmp_path / "in", tmp_path / "thumbs"
    folder.mkdir()
    file.rename(folder / file.name)
    got = run_main("decode", "-r", str(folder), "-o", str(out), "--preview", "--format", "jpg")
    assert got.code == 0
    with Image.open(out / "photo.jpg") as image:
        assert image.size == (6, 5)


def test_a_seed_without_noise_gets_one_notice(file: Path, tmp_path: Path) -> None:
    words = ("decode", str(file), "-o", str(tmp_path / "o.png"), "-f", "--details", "sample")
    assert run_main(*words, "--seed", "4").err == ""
    got = run_main(*words, "--seed", "4", "--realism", "0")
    assert got.code == 0 and got.err.count("W-seed") == 1


def test_options_that_would_say_nothing_are_told(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("decode", str(file), "-o", str(tmp_path / "o.png"), "-f")
    got = run_main(*words, "--seed", "4")
    assert got.code == 0 and got.err.count("W-seed") == 1
    got = run_main(*words, "--preview", "--level", "3")
    assert got.code == 2 and "--preview is level 0" in got.err
    got = run_main(*words, "--scale", "2")
    assert got.code == 2 and "add --preview" in got.err
    monkeypatch.setenv("SIC_DECODE_LEVEL", "3")
    assert run_main(*words, "--preview").code == 0
