"""sic models: what is here, is it whole, and adding more."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.conftest import ROOT, run_main

TINY = ROOT / "tests" / "weights" / "tiny"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for the user's own weights."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.delenv("SIC_MODEL_PATH")
    return tmp_path / "data" / "sic" / "models"


def test_without_a_word_it_lists() -> None:
    assert run_main("models").out == run_main("models", "list").out
    assert run_main("models", "-v", "list").out == run_main("models", "list").out
    first = run_main("models", "list").out.decode().splitlines()[0]
    assert first.startswith("tiny  ") and str(TINY) in first
    assert run_main("models", "path", "tiny").out.decode().strip() == str(TINY)
    assert b"5" in run_main("models", "show", "tiny").out
    assert run_main("models", "lits").code == 2


def test_an_imported_release_is_found_and_is_not_the_default(home: Path) -> None:
    before = run_main("models", "path").out
    assert run_main("models", "show", "tiny").code == 6
    got = run_main("models", "import", str(TINY))
    assert got.code == 0 and str(home / "tiny") in got.out.decode(), got.err
    assert sorted(p.name for p in home.iterdir()) == ["tiny"]
    assert run_main("models", "path", "tiny").out.decode().strip() == str(home / "tiny")
    assert run_main("models", "path").out == before
    assert run_main("verify", "--deep", str(ROOT / "tests/golden/good/tiny-grey.sic")).code == 0
    assert b"already" in run_main("models", "import", str(TINY)).out


def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(TINY, tmp_path / "copy"))


def test_damaged_weights_are_never_kept(home: Path, tmp_path: Path) -> None:
    folder = copy(tmp_path)
    with (folder / "model.safetensors").open("ab") as file:
        file.write(b"x")
    got = run_main("models", "import", str(folder))
    assert got.code == 6 and "digest" in got.err and not home.exists()


@pytest.mark.parametrize("name", ["../evil", "", "a/b", ".hidden", "x" * 80, "a\\nb"])
def test_names_that_leave_the_folder_are_refused(name: str, home: Path, tmp_path: Path) -> None:
    folder = copy(tmp_path)
    card = folder / "card.toml"
    card.write_text(card.read_text().replace('name = "tiny"', f'name = "{name}"'))
    assert run_main("models", "import", str(folder)).code == 6 and not home.exists()


def test_another_release_of_the_same_name_is_not_replaced(home: Path, tmp_path: Path) -> None:
    assert run_main("models", "import", str(TINY)).code == 0
    card = home / "tiny" / "card.toml"
    card.write_text(card.read_text().replace('digest = "', 'digest = "0')[:-1])
    text = card.read_text()
    got = run_main("models", "import", str(TINY))
    assert got.code in (6, 9) and card.read_text() == text


def test_folders_that_are_none(home: Path, tmp_path: Path) -> None:
    assert run_main("models", "import", str(tmp_path / "nothing")).code == 4
    assert run_main("models", "import", str(tmp_path)).code == 6


def test_a_folder_that_cannot_be_written(home: Path, tmp_path: Path) -> None:
    home.parent.parent.write_text("a file where a folder should be")
    got = run_main("models", "import", str(TINY))
    assert got.code == 9 and "Traceback" not in got.err


def test_verify_tells_which_weights_are_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(TINY, tmp_path / "here" / "tiny")
    (tmp_path / "here" / "tiny" / "model.safetensors").write_bytes(b"x")
    monkeypatch.setenv("SIC_MODEL_PATH", str(tmp_path / "here"))
    got = run_main("models", "verify", "--json")
    rows = json.loads(got.out)["models"]
    assert got.code == 6 and [r["verified"] for r in rows if r["name"] == "tiny"] == [False]
    assert any(r["verified"] for r in rows if r["name"] != "tiny")
