"""Every example in README.md and docs/python.md is run: commands by a shell, programs in this process."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.conftest import ROOT

DOCUMENTS = ("README.md", "docs/python.md")
BLOCK = re.compile(r"^(<!-- not run: [^\n]+ -->\n)?```(\w*)\n(.*?)^```$", re.M | re.S)
RUN = ("sh", "python")


def blocks(name: str) -> list[tuple[bool, str, str]]:
    """(is run, language, text) of every fenced block."""
    text = (ROOT / name).read_text(encoding="utf-8")
    return [(not skip, language, body) for skip, language, body in BLOCK.findall(text)]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a small photograph, where the examples stand."""
    with Image.open(ROOT / "tests" / "pictures" / "parrots.png") as picture:
        picture.resize((96, 64)).save(tmp_path / "photo.jpg", quality=95)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SIC_MODEL_PATH", str(ROOT / "weights"))  # what a reader's sic comes with
    return tmp_path


def shell(text: str, folder: Path) -> None:
    """Run commands as a reader pastes them; the first one that fails ends the test."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-e", "-c", text],
        cwd=folder,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_example_runs(name: str, folder: Path) -> None:
    space: dict[str, object] = {}
    count = 0
    for runs, language, body in blocks(name):
        assert language in (*RUN, "text"), f"{name}: a block of {language or 'no language'}"
        if not runs or language not in RUN:
            continue
        count += 1
        if language == "sh":
            shell(body, folder)
        else:
            exec(compile(body, f"{name}, example {count}", "exec"), space)
    assert count >= 2


def test_only_installing_is_not_run() -> None:
    skipped = [body for name in DOCUMENTS for runs, _, body in blocks(name) if not runs]
    assert skipped == ["pip install .\n"]


def test_an_example_that_fails_is_seen(folder: Path) -> None:
    with pytest.raises(AssertionError, match="missing"):
        shell("sic info missing.sic\n", folder)
