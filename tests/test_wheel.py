"""The wheel holds the weights and the command: built, unpacked elsewhere, and used from there."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

from PIL import Image

from tests.conftest import ROOT
from tests.tiny import made_picture


def test_a_wheel_encodes_with_the_weights_inside_it(tmp_path: Path) -> None:
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(tmp_path),
        str(ROOT),
    ]
    subprocess.run(build, check=True, capture_output=True)
    wheel = next(tmp_path.glob("sic-*.whl"))
    assert wheel.stat().st_size < 20_000_000
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        archive.extractall(tmp_path / "site")
    assert any(n.startswith("sic_cli/weights/") and n.endswith("model.safetensors") for n in names)
    assert "sic_cli/codec/bitstream/FORMAT.md" in names and "sic_cli/py.typed" in names
    assert "sic_cli/codec/preview/mean_colours.safetensors" in names
    assert {"sic_cli/schemas/head.json", "sic_cli/doctor/golden/manifest.json"} <= set(names)
    assert any(n.startswith("sic_cli/doctor/golden/") and n.endswith(".sic") for n in names)
    assert not any("tests" in n.split("/")[0] for n in names)
    Image.fromarray(made_picture(40, 50, 1)).save(tmp_path / "a.png")
    for arguments in (
        ["encode", "a.png", "-o", "a.sic"],
        ["decode", "a.sic", "-o", "b.png", "-l", "4"],
        ["schema", "info"],
        ["doctor", "--self-test"],
    ):
        done = subprocess.run(
            [sys.executable, "-m", "sic_cli", *arguments],
            cwd=tmp_path,
            env={"PYTHONPATH": str(tmp_path / "site"), "PATH": ""},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "b.png") as picture:
        assert picture.size == (50, 40)


def test_a_source_archive_holds_what_the_readme_links_to(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(tmp_path)]
    subprocess.run(build, check=True, capture_output=True, cwd=ROOT)
    archive = next(tmp_path.glob("sic-*.tar.gz"))
    with tarfile.open(archive) as held:
        names = {name.partition("/")[2] for name in held.getnames()}
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    links = set(re.findall(r"\]\(([^)#:]+?)(?:#[^)]*)?\)", text))
    assert len(links) > 5
    wanted = {link.rstrip("/") for link in links}
    folders = {str(Path(name).parent) for name in names}
    assert wanted <= names | folders, wanted - names - folders
    assert {"CONTRIBUTING.md", "SECURITY.md", "CITATION.cff", "Makefile"} <= names
