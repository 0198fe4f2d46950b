"""Where torch is not installed: coding works, and what needs it says so."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

PICTURE = ROOT / "tests" / "pictures" / "parrots.png"


def without_torch(*arguments: str) -> subprocess.CompletedProcess[str]:
    code = (
        "import sys\nsys.modules['torch'] = None\nfrom sic_cli.cli.main import main\n"
        f"main({list(arguments)!r})\n"
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)


def test_a_picture_goes_round_by_its_quality(tmp_path: Path) -> None:
    coded, back = str(tmp_path / "a.sic"), str(tmp_path / "a.png")
    options = ["-m", "tiny", "-o", coded, "-t", "ssim=0.5", "-t", "psnr=15", "-v"]
    done = without_torch("encode", str(PICTURE), *options)
    assert done.returncode == 0 and "ssim" in done.stderr, done.stderr
    done = without_torch("decode", coded, "-o", back, "--details", "sample")
    assert done.returncode == 0 and Path(back).exists(), done.stderr
    for arguments in (["doctor"], ["verify", "--deep", coded]):
        done = without_torch(*arguments)
        assert done.returncode == 0 and "E-bug" not in done.stderr, done.stderr


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["encode", str(PICTURE), "-m", "tiny", "-o", "OUT", "-t", "lpips=0.1"], 6),
        (["encode", str(PICTURE), "-m", "tiny", "-o", "OUT", "-d", "cuda"], 7),
        (["train", "pack", "pictures", "OUT"], 7),
    ],
)
def test_what_needs_torch_says_so(arguments: list[str], code: int, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = without_torch(*(str(out) if a == "OUT" else a for a in arguments))
    assert done.returncode == code, done.stderr
    assert "torch" in done.stderr and "pip install 'sic[" in done.stderr
    assert not out.exists()


def test_an_evaluation_leaves_out_what_it_cannot_measure(tmp_path: Path) -> None:
    out = str(tmp_path / "report")
    options = ["-m", "tiny", "-o", out, "--levels", "2", "--codecs", "sic"]
    done = without_torch("eval", str(PICTURE), *options)
    assert done.returncode == 0, done.stderr
    texts = [p.read_text() for p in (tmp_path / "report").rglob("*.[hj][ts][mo]*")]
    assert any("LPIPS needs torch" in text for text in [done.stderr, *texts])
