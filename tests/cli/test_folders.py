"""Folders of real pictures: the same files for any number of jobs, and memory that does not grow."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sic_cli.batch import pool
from sic_cli.cli.encode import GUESTS, SUFFIXES
from sic_cli.codec.bitstream.reader import parse
from sic_cli.picture.kinds import READERS
from tests.conftest import run_main, run_process
from tests.tiny import made_picture


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    for n, name in enumerate(("a.png", "b/c.jpg", "b/d.webp", "e.gif")):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(made_picture(20 + n, 33, n)).save(path)
    (folder / "b" / "notes.txt").write_text("no picture")
    return folder


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    }


def test_folders_go_round_and_jobs_change_no_byte(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two, back, cut, low = (tmp_path / n for n in ("one", "two", "back", "cut", "low"))
    encode = ("encode", "-m", "tiny", "-r", str(photos), "-o")
    assert run_main(*encode, str(one)).code == 0
    got = run_process(*encode, str(two), "-j", "2", "--report", str(tmp_path / "r.jsonl"))
    assert got.code == 0 and got.out == b"", got.err
    assert tree(one) == tree(two) and set(tree(one)) == {"a.sic", "b/c.sic", "b/d.sic", "e.sic"}
    rows = [json.loads(row) for row in (tmp_path / "r.jsonl").read_bytes().splitlines()]
    assert [row["schema"] for row in rows] == ["sic.encode/1"] * 4 + ["sic.summary/1"]
    for row in rows[:-1]:
        file = Path(row["output"]).read_bytes()
        assert row["output_bytes"] == len(file) and row["width_px"] == 33 and row["level"] == 5
        assert sum(row["layer_bytes"]) + parse(file).header_end == len(file)
    assert "4 skipped" in run_main(*encode, str(one), "--resume").err
    monkeypatch.setattr(pool, "Workers", None)  # none is started where nothing is left to do
    assert "4 skipped" in run_main(*encode, str(one), "--resume", "-j", "2").err
    assert "4 done" in run_main(*encode, str(one), "--resume", "-e", "2").err

    assert run_main("decode", "-r", str(two), "-o", str(back), "--format", "ppm").code == 0
    assert set(tree(back)) == {"a.ppm", "b/c.ppm", "b/d.ppm", "e.ppm"}
    assert run_main("truncate", "-r", str(two), "-o", str(cut), "-l", "2").code == 0
    assert run_main(*encode, str(low), "-l", "2").code == 0
    assert tree(cut) == tree(low)
    with pytest.raises(AssertionError):  # the comparison above can fail
        assert tree(cut) == tree(two)


def test_mistakes_of_a_whole_run_are_reported_once(photos: Path, tmp_path: Path) -> None:
    run = ("encode", "-r", str(photos), "-o", str(tmp_path / "out"))
    got = run_main(*run, "-m", "nonsense")
    assert got.code == 6 and got.err.count("sic: error") == 1
    got = run_main("decode", "-r", str(photos), "-o", str(tmp_path / "out"), "--format", "xyz")
    assert got.code == 2 and not (tmp_path / "out").exists()
    got = run_main("truncate", "-r", str(photos), "-l", "1")
    assert got.code == 2 and "-o DIR" in got.err


def test_a_folder_takes_every_suffix_that_the_loader_reads() -> None:
    Image.init()
    readable = {suffix for suffix, name in Image.registered_extensions().items() if name in READERS}
    assert readable | set(GUESTS) <= SUFFIXES


def test_a_thousand_files_do_not_make_memory_grow(tmp_path: Path) -> None:
    folder, report = tmp_path / "in", tmp_path / "r.jsonl"
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 255, (1000, 8, 8, 3), dtype=np.uint8)
    for n in range(1000):
        Image.fromarray(pixels[n]).save(folder / f"{n:03}.png")
    got = run_process(
        *("encode", "-m", "tiny", "-l", "1", "-r", str(folder), "-o", str(tmp_path / "out")),
        *("--report", str(report)),
        timeout=900,
    )
    assert got.code == 0 and "1000 done" in got.err
    rows = [json.loads(row) for row in report.read_bytes().splitlines()]
    held = [row["peak_memory_mib"] for row in rows[:-1]]
    assert len(held) == 1000 and held[999] - held[99] < 16
