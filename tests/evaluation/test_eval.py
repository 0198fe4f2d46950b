"""sic eval: rows of real files, resumed where they are, and a page that works offline."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sic_cli.codec.bitstream.reader import parse
from sic_cli.codec.weights.card import ModelCard
from sic_cli.evaluation.rows import Row
from sic_cli.evaluation.summary import by_picture, by_setting, compared, series_of, summary
from tests.conftest import Outcome, run_main
from tests.tiny import made_picture


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(2):
        Image.fromarray(made_picture(64, 80, number)).save(folder / f"p{number}.png")
    (folder / "notes.txt").write_text("no picture")
    return folder


def evaluate(photos: Path, out: Path, *more: str) -> Outcome:
    return run_main(
        *("eval", str(photos), "-o", str(out), "-m", "tiny", "--codecs", "sic,jpeg,webp"),
        *("--steps", "3", "--metrics", "psnr", "--device", "cpu", *more),
    )


def lines(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]


def test_every_row_is_of_a_real_file_and_sic_is_cut_from_one(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = evaluate(photos, out)
    assert done.code == 0, done.err
    *rows, last = lines(out)
    assert len(rows) == 2 * (5 + 3 + 3) and last["schema"] == "sic.eval-summary/1"
    kept = {p.stat().st_size for p in (out / "files").iterdir()}
    for row in rows:
        assert row["bpp"] == pytest.approx(row["file_bytes"] * 8 / (64 * 80), abs=1e-6)
        if row["codec"] == "sic":
            (whole,) = (out / "files").glob(f"{row['source_sha256'][:12]}-tiny.sic")
            level = int(row["setting"].split()[1])
            assert row["cut_from_one_file"]
            assert row["file_bytes"] == parse(whole.read_bytes()).ends[level]
        else:
            assert row["file_bytes"] in kept and not row["cut_from_one_file"]
    assert set(last["bd_rate_percent"]["sic (tiny)"]) == {"JPEG", "WebP"}
    assert (out / "results.csv").read_text().count("\n") == 1 + len(rows)
    assert "BD-rate of sic (tiny) against JPEG" in done.out.decode()


def test_run_again_nothing_is_measured_and_every_byte_is_the_same(
    photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert evaluate(photos, out).code == 0
    before = {p.name: p.read_bytes() for p in out.iterdir() if p.is_file()}
    assert evaluate(photos, out).code == 0  # seconds would differ if anything ran again
    assert before == {p.name: p.read_bytes() for p in out.iterdir() if p.is_file()}


def test_a_killed_run_goes_on_behind_a_torn_line(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert evaluate(photos, out).code == 0
    whole = lines(out)
    text = (out / "results.jsonl").read_text().splitlines(keepends=True)
    (out / "results.jsonl").write_text("".join(text[:7]) + text[7][:40])
    assert evaluate(photos, out).code == 0
    again = lines(out)
    assert len(again) == len(whole) and again[:7] == whole[:7]


def test_several_kinds_of_realism_are_rows_of_their_own_from_one_file(
    photos: Path, tmp_path: Path, tiny: ModelCard
) -> None:
    """And weights in a folder that is named are enough, wherever it lies."""
    out = tmp_path / "out"
    done = evaluate(photos, out, "-m", str(tiny.folder), "--realism", "0,1")
    assert done.code == 0, done.err
    *rows, last = lines(out)
    own = [r for r in rows if r["codec"] == "sic"]
    assert len(own) == 2 * 2 * 5
    mse_decoder, perceptual = ([r for r in own if r["realism"] == k] for k in (0, 1))
    assert [r["file_bytes"] for r in mse_decoder] == [r["file_bytes"] for r in perceptual]
    assert all(a["psnr_db"] != b["psnr_db"] for a, b in zip(mse_decoder, perceptual, strict=True))
    titles = ["sic (tiny, realism 0)", "sic (tiny, realism 1)"]
    assert list(last["codecs"])[:2] == titles and set(last["bd_rate_percent"]) == set(titles)
    assert "realism 0" in last["codecs"][titles[0]]["about"]
    assert all(title in (out / "report.html").read_text() for title in titles)
    assert len(list((out / "files").glob("*.sic"))) == 2, "one file a picture"


def test_rows_that_say_nothing_of_realism_count_as_the_default(
    photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert evaluate(photos, out).code == 0
    older = lines(out)
    for row in older:
        row.pop("realism", None)
        row["encode_s"] = 77.0
    (out / "results.jsonl").write_text("".join(json.dumps(r) + "\n" for r in older))
    assert evaluate(photos, out, "--realism", "0.5,1").code == 0
    measured = [r for r in lines(out)[:-1] if r["encode_s"] != 77.0]
    assert len(measured) == 2 * 5 and {r["realism"] for r in measured} == {0.5}
    assert {r["title"] for r in lines(out)[:-1] if r["realism"] == 1} == {"sic (tiny, realism 1)"}


def test_what_is_missing_is_named(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from PIL import features

    from sic_cli.metrics import meter

    meter._load_lpips.cache_clear()
    monkeypatch.setenv("SIC_LPIPS_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(features, "check", lambda name: name != "webp")
    out = tmp_path / "out"
    done = evaluate(photos, out, "--metrics", "psnr,lpips")
    assert done.code == 0 and done.err.count("[W-missing]") == 2
    last = lines(out)[-1]
    assert set(last["missing_codecs"]) == {"webp"} and set(last["missing_metrics"]) == {"lpips"}
    page = (out / "report.html").read_text()
    assert "codec webp:" in page and "metric lpips:" in page


def test_a_broken_picture_fails_alone(photos: Path, tmp_path: Path) -> None:
    (photos / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    out = tmp_path / "out"
    done = evaluate(photos, out)
    assert done.code == 1 and "broken.png" in done.err
    last = lines(out)[-1]
    assert last["pictures"] == 2 and any("broken.png" in n for n in last["notes"])


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--codecs", "sic,gif"], 2),
        (["--levels", "1,x"], 2),
        (["--levels", "9"], 2),
        (["--realism", "0,2"], 2),
        (["--realism", "much"], 2),
        (["--metrics", "vmaf"], 2),
        (["--bd-rate", "avif"], 2),
        (["-m", "none-such"], 6),
    ],
    ids=str,
)
def test_wrong_options_end_before_any_work(
    photos: Path, tmp_path: Path, options: list[str], code: int
) -> None:
    assert evaluate(photos, tmp_path / "out", *options).code == code
    assert not (tmp_path / "out").exists()


def test_no_picture_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert evaluate(tmp_path / "empty", tmp_path / "out").code == 4
    assert evaluate(tmp_path / "missing", tmp_path / "out").code == 4


def row(picture: str, codec: str, setting: str, size: int, value: float) -> Row:
    return Row(
        *(f"{picture}.png", picture, 100, 80, codec, codec.upper(), setting, None, None, "1"),
        *(False, size, 0.1, 0.2, 1, {"psnr": value}),
    )


def test_the_two_ways_of_averaging_are_what_they_say() -> None:
    """Two pictures at two settings: 0.1 and 0.4 bpp, 0.2 and 0.8 bpp."""
    rows = [
        *(row("a", "x", "1", 100, 20), row("a", "x", "2", 400, 30)),
        *(row("b", "x", "1", 200, 40), row("b", "x", "2", 800, 60)),
    ]
    (series,), notes = series_of(rows)
    assert not notes and [p.bpp for p in series.points] == pytest.approx([0.15, 0.6])
    assert by_setting(series, "psnr", 0.3) == pytest.approx((30 + 45) / 2)
    half, quarter = np.log(3) / np.log(4), np.log(1.5) / np.log(4)
    value, count = by_picture(series, "psnr", 0.3)
    assert count == 2 and value == pytest.approx((20 + 10 * half + 40 + 20 * quarter) / 2)
    assert by_picture(series, "psnr", 0.15) == (pytest.approx(20 + 10 * np.log(1.5) / np.log(4)), 1)


def test_pictures_that_a_codec_lacks_count_for_none() -> None:
    rows = [
        *(row("a", "x", "1", 100, 20), row("a", "x", "2", 400, 30)),
        *(row("a", "sic", "1", 50, 20), row("a", "sic", "2", 200, 30), row("b", "x", "1", 9, 9)),
    ]
    found, notes = series_of(rows)
    assert len(notes) == 1 and all(set(s.pictures) == {"a"} for s in found)
    assert compared(found[0], found[1], "psnr") == pytest.approx((-50, -50))
    assert summary(rows, {}, {})["bd_rate_percent"]["SIC"]["X"]["psnr_db"] == {
        "mean_curve": -50.0,
        "median_picture": -50.0,
    }
