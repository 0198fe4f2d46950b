"""Completion: scripts for three shells, and what a real bash gets from them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, run_main

BASH = shutil.which("bash")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_is_printed(shell: str) -> None:
    got = run_main("completion", shell)
    assert got.code == 0 and f"_SIC_COMPLETE={shell}_complete".encode() in got.out
    checker = shutil.which(shell)
    if checker:
        subprocess.run([checker, "-n"], input=got.out, check=True)


def test_another_shell_is_a_usage_error() -> None:
    got = run_main("completion", "tcsh")
    assert got.code == 2 and "fish" in got.err


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder to complete in, with `sic` on the path below bin/."""
    (tmp_path / "bin").mkdir()
    sic = tmp_path / "bin" / "sic"
    sic.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m sic_cli "$@"\n')
    sic.chmod(0o755)
    work = tmp_path / "work"
    (work / "photos").mkdir(parents=True)
    for name in ("a.sic", "b.SIC", "c.png", ".hidden.sic", "photos/d.sic", "photos/e.txt"):
        (work / name).touch()
    return work


def completed(folder: Path, *words: str) -> list[str]:
    """What bash offers for the last word, by the very script that people install."""
    script = f"""
    eval "$(sic completion bash)"
    complete -p sic > /dev/null || exit 9
    COMP_WORDS=(sic {" ".join(f"'{w}'" for w in words)})
    COMP_CWORD={len(words)}
    compopt() {{ printf '%s %s %s\\n' compopt "$@"; }}
    _sic_completion sic '{words[-1]}' '{words[-2] if len(words) > 1 else "sic"}'
    printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(
        [str(BASH), "-c", script],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "PATH": f"{folder.parent / 'bin'}:{os.environ['PATH']}"},
        timeout=120,
    )
    assert done.returncode == 0 and not done.stderr, done.stderr
    return sorted(line for line in done.stdout.splitlines() if line)


@pytest.mark.skipif(not BASH, reason="no bash here")
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["ver"], ["verify"]),
        (["models", "sh"], ["show"]),
        (["verify", "--dev"], ["--device"]),
        (["verify", "--trace"], ["--traceback"]),
        (["verify", "--device", "cp"], ["cpu"]),
        (["encode", "-m", "ti"], ["tiny"]),
        (["models", "show", "ti"], ["tiny"]),
        (["schema", "inf"], ["info"]),
        (["info", ""], ["a.sic", "b.SIC", "photos/"]),
        (["decode", "ph"], ["photos/d.sic"]),
        (["info", "a.sic", "photos/"], ["photos/d.sic"]),
        (["encode", "c"], ["compopt -o default"]),
        (["verify", "--against", "c"], ["compopt -o default"]),
    ],
    ids=lambda v: " ".join(v),
)
def test_bash_completes(words: list[str], offered: list[str], folder: Path) -> None:
    assert completed(folder, *words) == offered


def test_completing_loads_nothing_heavy(folder: Path) -> None:
    code = (
        "import sys\nfrom sic_cli.cli.main import main\n"
        "try:\n    main([])\nexcept SystemExit:\n    pass\n"
        "assert not {'torch', 'numpy', 'PIL'} & set(sys.modules)\n"
    )
    env = {"_SIC_COMPLETE": "bash_complete", "COMP_WORDS": "sic encode -m t", "COMP_CWORD": "3"}
    subprocess.run([sys.executable, "-c", code], env={**os.environ, **env}, check=True, cwd=ROOT)
