"""Quality targets: the smallest level that meets them, measured on decoded pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sic_cli.codec.bitstream.reader import parse
from sic_cli.codec.decode import decode
from sic_cli.errors import TargetError
from sic_cli.metrics.psnr import psnr
from sic_cli.pipeline.convert import encode_file
from sic_cli.pipeline.options import EncodeOptions
from sic_cli.pipeline.rate_control import QualityTarget, _search, level_of_quality, parse_targets
from tests.conftest import run_main


@pytest.fixture
def photo(tmp_path: Path, picture: np.ndarray) -> Path:
    path = tmp_path / "photo.png"
    Image.fromarray(picture).save(path)
    return path


@pytest.fixture(scope="module")
def quality(coded: bytes, picture: np.ndarray) -> list[float]:
    """PSNR of levels 1 to 5."""
    return [psnr(picture, decode(parse(coded), level=k).pixels) for k in range(1, 6)]


def test_a_target_takes_the_smallest_level_that_meets_it(
    photo: Path, tmp_path: Path, quality: list[float]
) -> None:
    assert quality == sorted(quality)
    for level, value in enumerate(quality, 1):
        options = EncodeOptions(model="tiny", targets=(QualityTarget("psnr", value - 0.001),))
        made = encode_file(photo.read_bytes(), "photo", options)
        assert made.level == level == parse(made.data).level
        assert made.metrics["psnr_db"] == pytest.approx(value)
        (reached,) = made.target
        assert (reached.kind, reached.asked) == ("psnr", value - 0.001)
        assert reached.got == pytest.approx(value)


def test_a_target_that_cannot_be_met_names_the_best(
    photo: Path, tmp_path: Path, quality: list[float]
) -> None:
    out = tmp_path / "a.sic"
    arguments = ["encode", "-m", "tiny", str(photo), "-o", str(out), "-t", "psnr=90"]
    failed = run_main(*arguments)
    assert failed.code == 8 and f"psnr={quality[-1]:.4g} (level 5)" in failed.err, failed.err
    assert not out.exists()
    near = run_main(*arguments, "--best-effort")
    assert near.code == 0 and "[W-target-best-effort]" in near.err
    assert parse(out.read_bytes()).level == 5


def test_ceilings_and_the_level_cap_the_search(
    photo: Path, tmp_path: Path, quality: list[float], coded: bytes
) -> None:
    wish, out = f"psnr={quality[3] - 0.01}", tmp_path / "a.sic"
    base = ["encode", "-m", "tiny", str(photo), "-o", str(out), "-t", wish]
    below = str(parse(coded).ends[2])
    assert run_main(*base, "--target-size", below).code == 8
    assert run_main(*base, "-l", "3").code == 8 and not out.exists()
    assert run_main(*base, "--target-size", below, "--best-effort").code == 0
    assert out.stat().st_size <= int(below)
    assert run_main(*base, "--target-size", str(parse(coded).ends[4]), "-f").code == 0
    assert parse(out.read_bytes()).level == 4


@pytest.mark.parametrize(
    "options",
    [
        ["-q", "50", "-l", "3"],
        ["-q", "50", "-t", "psnr=30"],
        ["-q", "50", "--target-size", "9k"],
        ["--target-size", "9k", "--target-bpp", "1"],
        ["-t", "psnr=30", "-t", "psnr=31"],
        ["-t", "psnr=nan"],
        ["-t", "psnr"],
        ["-t", "ssim=1.5"],
        ["-t", "vmaf=90"],
        ["-q", "0"],
    ],
    ids=" ".join,
)
def test_conflicts_and_nonsense_are_usage_errors(
    photo: Path, tmp_path: Path, options: list[str]
) -> None:
    out = tmp_path / "a.sic"
    assert run_main("encode", "-m", "tiny", str(photo), "-o", str(out), *options).code == 2
    assert not out.exists()


def test_quality_is_a_share_of_the_levels() -> None:
    assert [level_of_quality(q, 16) for q in (1, 50, 75, 100)] == [1, 8, 12, 16]


def test_quality_writes_that_level(photo: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.sic"
    done = run_main("encode", "-m", "tiny", str(photo), "-o", str(out), "-q", "60")
    assert done.code == 0 and parse(out.read_bytes()).level == 3


def test_measure_states_the_true_psnr_and_changes_nothing_else(
    photo: Path, quality: list[float], coded: bytes
) -> None:
    made = encode_file(photo.read_bytes(), "photo", EncodeOptions(model="tiny", measure=True))
    layers = parse(made.data).layers
    assert [layer.psnr for layer in layers] == [0, *(round(v * 4) for v in quality)]
    assert [x.payload for x in layers] == [x.payload for x in parse(coded).layers]
    cut = encode_file(photo.read_bytes(), "p", EncodeOptions(3, model="tiny", measure=True))
    assert made.data[: len(cut.data)] == cut.data


def test_ms_ssim_of_a_small_picture_is_no_target(photo: Path, tmp_path: Path) -> None:
    failed = run_main(
        "encode", "-m", "tiny", str(photo), "-o", str(tmp_path / "a.sic"), "-t", "ssim=0.9"
    )
    assert failed.code == 8 and "small" in failed.err


def test_metrics_that_do_not_rise_with_the_level_are_scanned() -> None:
    values = [30.0, 10.0, 35.0, 28.0, 30.0, 31.0, 40.0, 41.0]

    def at(level: int) -> dict[str, float | None]:
        return {"psnr": values[level - 1]}

    assert _search(at, 8, (QualityTarget("psnr", 25),), False, "x")[0] == 1
    falling = [30.0, 29.0, 28.0]
    found = _search(lambda k: {"psnr": falling[k - 1]}, 3, (QualityTarget("psnr", 30),), False, "x")
    assert found[0] == 1
    with pytest.raises(TargetError, match=r"psnr=30 \(level 1\)"):
        _search(lambda k: {"psnr": falling[k - 1]}, 3, (QualityTarget("psnr", 31),), False, "x")


def test_several_targets_must_all_be_met() -> None:
    rows = [{"psnr": 20.0 + k, "lpips": 0.5 - 0.05 * k} for k in range(8)]
    wishes = parse_targets(["psnr=22", "lpips=0.3"])
    assert _search(lambda k: dict(rows[k - 1]), 8, wishes, False, "x")[0] == 5
