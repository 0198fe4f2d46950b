"""What was not typed comes from variables, then from a file; what is wrong there is exit code 2."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Outcome, run_main

Write = Callable[[str], str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def make(text: str) -> str:
        path = tmp_path / "config.toml"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return make


@pytest.fixture
def sic_file(tmp_path: Path, coded: bytes) -> str:
    path = tmp_path / "a.sic"
    path.write_bytes(coded)
    return str(path)


def origin(key: str, *options: str) -> tuple[object, str]:
    got = run_main(*options, "config", "get", "--json", key)
    assert got.code == 0, got.err
    (row,) = json.loads(got.out)["settings"]
    return row["value"], row["origin"]


def test_each_place_gives_way_to_the_one_before(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert origin("truncate.level") == (None, "built-in")
    path = write("level = 1\n")
    assert origin("truncate.level", "--config", path) == (1, path)
    path = write("level = 1\n[truncate]\nlevel = 2\n")
    assert origin("truncate.level", "--config", path) == (2, path)
    monkeypatch.setenv("SIC_LEVEL", "3")
    assert origin("truncate.level", "--config", path) == ("3", "SIC_LEVEL")
    monkeypatch.setenv("SIC_TRUNCATE_LEVEL", "4")
    assert origin("truncate.level", "--config", path) == ("4", "SIC_TRUNCATE_LEVEL")
    monkeypatch.setenv("SIC_TRUNCATE_LEVEL", "")
    assert origin("truncate.level", "--config", path) == ("3", "SIC_LEVEL")


def levels(out: Path) -> int:
    return len(json.loads(run_main("info", "--json", str(out)).out)["levels"]) - 1


def test_the_commands_themselves_obey(
    write: Write, sic_file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "b.sic"
    path = write("force = true\n[truncate]\nlevel = 2\n")
    command = ("truncate", sic_file, "-o", str(out))
    assert run_main(*command, "--config", path).code == 0 and levels(out) == 2
    monkeypatch.setenv("SIC_CONFIG", path)
    assert run_main(*command).code == 0 and levels(out) == 2  # and --force is from the file
    monkeypatch.setenv("SIC_LEVEL", "3")
    assert run_main(*command).code == 0 and levels(out) == 3
    assert run_main(*command, "-l", "4").code == 0 and levels(out) == 4
    assert run_main("--no-config", *command, "-l", "1").code == 9  # no --force any more


def test_the_users_own_file_is_read(
    tmp_path: Path, sic_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    path = tmp_path / "sic" / "config.toml"
    assert run_main("config", "path").out.decode().strip() == str(path)
    assert json.loads(run_main("config", "path", "--json").out)["path"] == str(path)
    path.parent.mkdir()
    path.write_text("[info]\njson = true\n")
    assert json.loads(run_main("info", sic_file).out)["ok"]
    assert not run_main("--no-config", "info", sic_file).out.startswith(b"{")


def usage_error(got: Outcome, *words: str) -> None:
    assert got.code == 2 and got.err.startswith("sic: error: "), got.err
    for word in words:
        assert word in got.err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("lewel = 3", ["lewel", "level"]),
        ("[encode]\ncolour = 'never'", ["encode.colour"]),
        ("[frobnicate]\nlevel = 3", ["frobnicate"]),
        ("[train.walk]\nlr = 3", ["train.walk"]),
        ("level = 1979-05-27", ["level"]),
        ("level = [[1]]", ["level"]),
        ("level = ", ["Invalid value"]),
        ("version = true", ["version"]),
        ("[truncate]\nlevel = 'high'", ["high", "config.toml"]),
    ],
)
def test_what_is_wrong_in_the_file_is_reported(
    text: str, words: list[str], write: Write, sic_file: str
) -> None:
    usage_error(run_main("--config", write(text), "truncate", sic_file, "-o", "-"), *words)


def test_what_is_wrong_in_a_variable_names_the_variable(
    sic_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIC_LEVEL", "high")
    usage_error(run_main("truncate", sic_file, "-o", "-"), "high", "SIC_LEVEL")


def test_options_that_exclude_each_other_are_reported_with_their_origin(
    sic_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIC_TRUNCATE_LEVEL", "2")
    got = run_main("truncate", sic_file, "-o", "-", "--target-size", "99")
    usage_error(got, "exclude", "hint: --level is set by SIC_TRUNCATE_LEVEL")


def test_a_file_that_is_not_there_or_no_text(write: Write, tmp_path: Path, sic_file: str) -> None:
    usage_error(run_main("info", sic_file, "--config", str(tmp_path / "x.toml")), "x.toml")
    (tmp_path / "bin").write_bytes(b"\xff\xfe\x00")
    usage_error(run_main("info", sic_file, "--config", str(tmp_path / "bin")), "bin")
    both = run_main("--config", write("level = 1"), "info", sic_file, "--no-config")
    usage_error(both, "exclude")


def test_no_file_is_read_from_the_current_folder(
    tmp_path: Path, sic_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("config.toml", "sic.toml", ".sic.toml"):
        Path(name).write_text("rubbish")
    assert run_main("info", sic_file).code == 0


def test_lists_and_flags_come_from_variables_and_files(
    write: Write, sic_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write("[verify]\ndeep = true\n")
    assert b"decoded" in run_main("verify", sic_file, "--config", path).out
    monkeypatch.setenv("SIC_VERIFY_MIN", "psnr=1 psnr=2")
    usage_error(run_main("verify", sic_file), "--against")


def test_variables_of_other_programs_do_not_matter(
    sic_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SIC_VERSION", "SIC_HELP", "SIC_NO_CONFIG", "SIC_INFO_SOURCES"):
        monkeypatch.setenv(name, "1.2.3")
    assert run_main("info", sic_file).code == 0


def test_a_device_from_a_variable_does_not_make_verify_slow(
    sic_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIC_DEVICE", "cpu")
    assert b"checksums right" in run_main("verify", sic_file).out
    assert b"decoded" in run_main("verify", "--device", "cpu", sic_file).out


def test_config_show_lists_what_is_set(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    assert b"nothing is set" in run_main("config", "show").out
    monkeypatch.setenv("SIC_ENCODE_LEVEL", "8")
    path = write("[decode]\nstrict = true\n")
    lines = run_main("config", "show", "--config", path).out.decode().splitlines()
    assert lines == ['encode.level = "8"  (SIC_ENCODE_LEVEL)', f"decode.strict = true  ({path})"]
    assert len(run_main("config", "show", "--all").out.splitlines()) > 50
    usage_error(run_main("config", "get", "encode.nothing"), "encode.nothing")
