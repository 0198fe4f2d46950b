"""What is said on stderr: how much, in which colours, and never a traceback unless asked."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from sic_cli.cli import info
from sic_cli.cli.messages import MESSAGES
from tests.conftest import run_main, run_process

RED = "\x1b[31m"


def test_global_options_stand_before_or_after_the_command() -> None:
    for words in (["--color", "always", "info", "x"], ["info", "x", "--color", "always"]):
        got = run_main(*words)
        assert got.code == 4 and RED in got.err


@pytest.mark.parametrize(
    ("env", "options", "colored"),
    [
        ({}, [], False),
        ({"FORCE_COLOR": "1"}, [], True),
        ({"FORCE_COLOR": "0"}, [], False),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, [], False),
        ({"NO_COLOR": "1"}, ["--color", "always"], True),
        ({"FORCE_COLOR": "1"}, ["--color", "never"], False),
        ({"SIC_COLOR": "always"}, [], True),
        ({"SIC_COLOR": "always"}, ["--color", "never"], False),
    ],
)
def test_colours(
    env: dict[str, str], options: list[str], colored: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "SIC_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    for words in ([*options, "info", "no-such"], ["info", "no-such", *options]):
        assert ("\x1b[" in run_main(*words).err) is colored


def test_progress_lines_need_a_terminal_or_a_wish(monkeypatch: pytest.MonkeyPatch) -> None:
    run_main("info", "x")
    assert not MESSAGES.bars()
    run_main("info", "x", "--progress", "always")
    assert MESSAGES.bars()
    run_main("--progress", "always", "info", "x", "--quiet")
    assert not MESSAGES.bars()
    monkeypatch.setenv("SIC_PROGRESS", "always")
    run_main("info", "x")
    assert MESSAGES.bars()
    run_main("--progress", "never", "info", "x")
    assert not MESSAGES.bars()


def test_verbosity_adds_up_to_two() -> None:
    for words, want in ((["-v"], 1), (["-vv"], 2), (["-vvv"], 2)):
        run_main(*words, "info", "x")
        assert MESSAGES.verbose == want
    run_main("-v", "info", "-v", "x")
    assert MESSAGES.verbose == 2


def test_python_warnings_are_shown_at_v_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, coded: bytes
) -> None:
    path = tmp_path / "a.sic"
    path.write_bytes(coded)

    def noisy(source: str) -> tuple[bytes, object]:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("of some library", UserWarning, stacklevel=1)
        return real(source)

    real = info.outline
    monkeypatch.setattr(info, "outline", noisy)
    assert run_main("info", str(path)).err == ""
    said = run_main("info", "-v", str(path)).err
    assert said == "sic: warning: UserWarning: of some library [W-python]\n"
    assert "test_messages.py" in run_main("info", "-vv", str(path)).err
    assert run_main("info", "-vv", "--quiet", str(path)).err == ""


def test_a_traceback_is_shown_only_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Traceback" not in run_main("info", "x").err
    assert "Traceback" in run_main("--traceback", "info", "x").err
    assert "Traceback" in run_main("info", "x", "--traceback").err
    monkeypatch.setenv("SIC_TRACEBACK", "1")
    assert "Traceback" in run_main("info", "x").err
    monkeypatch.setenv("SIC_TRACEBACK", "0")
    assert "Traceback" not in run_main("info", "x").err


def test_quiet_leaves_errors() -> None:
    got = run_process("--quiet", "info", "no-such")
    assert got.code == 4 and got.err.startswith("sic: error: no-such: ")
