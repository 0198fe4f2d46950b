"""`truncate --in-place`: each file is replaced by what is kept of it, whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sic_cli.codec.bitstream.reader import parse
from sic_cli.codec.bitstream.truncate import truncate
from sic_cli.storage import files
from tests.cli.test_documents import documents
from tests.conftest import run_main


@pytest.fixture
def folder(tmp_path: Path, coded: bytes) -> Path:
    (tmp_path / "inner").mkdir()
    for name in ("a.sic", "inner/b.sic"):
        (tmp_path / name).write_bytes(coded)
    (tmp_path / "other.txt").write_text("stays")
    return tmp_path


def test_a_file_becomes_its_first_levels_and_keeps_its_mode(folder: Path, coded: bytes) -> None:
    path = folder / "a.sic"
    path.chmod(0o640)
    assert run_main("truncate", str(path), "--in-place", "-l", "2").code == 0
    assert path.read_bytes() == truncate(coded, 2, parse(coded))
    assert path.stat().st_mode & 0o777 == 0o640
    assert [p.name for p in folder.iterdir() if "a.sic" in p.name] == ["a.sic"]


def test_a_folder_is_cut_in_place_and_nothing_else_is_touched(folder: Path, coded: bytes) -> None:
    got = run_main("truncate", "-r", str(folder), "--in-place", "-l", "3", "--json")
    assert got.code == 0
    for name in ("a.sic", "inner/b.sic"):
        assert (folder / name).read_bytes() == truncate(coded, 3, parse(coded))
    assert (folder / "other.txt").read_text() == "stays"
    done = [d for d in documents(got) if d.get("status") == "done"]
    assert {d["output"] for d in done} == {d["input"] for d in done} and len(done) == 2


def test_a_file_that_is_as_it_should_be_is_not_written_again(folder: Path) -> None:
    path = folder / "a.sic"
    run_main("truncate", str(path), "--in-place", "-l", "2")
    os.utime(path, ns=(1, 1))
    assert run_main("truncate", str(path), "--in-place", "-l", "2").code == 0
    assert path.stat().st_mtime_ns == 1


def test_what_cannot_be_cut_stays_as_it_was(folder: Path, coded: bytes) -> None:
    path = folder / "a.sic"
    path.write_bytes(truncate(coded, 2, parse(coded)))
    before = path.read_bytes()
    assert run_main("truncate", str(path), "--in-place", "-l", "4").code == 8
    got = run_main("truncate", "-r", str(folder), "--in-place", "-l", "4")
    assert got.code == 1 and path.read_bytes() == before
    assert (folder / "inner/b.sic").read_bytes() == truncate(coded, 4, parse(coded))
    assert run_main("truncate", str(path), "--in-place", "-l", "4", "--best-effort").code == 0
    assert path.read_bytes() == before


def test_a_link_stays_and_its_file_is_cut_once(folder: Path, coded: bytes) -> None:
    link = folder / "link.sic"
    link.symlink_to("inner/b.sic")
    got = run_main(
        "truncate", str(link), str(folder / "inner/b.sic"), "--in-place", "-l", "1", "--json"
    )
    assert got.code == 0 and link.is_symlink()
    assert link.read_bytes() == truncate(coded, 1, parse(coded))
    assert sum(d.get("status") == "done" for d in documents(got)) == 1


def test_a_full_disk_leaves_the_file(
    folder: Path, coded: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "replace_file", full)
    got = run_main("truncate", str(folder / "a.sic"), "--in-place", "-l", "1")
    assert got.code == 9 and (folder / "a.sic").read_bytes() == coded


@pytest.mark.parametrize(
    "more",
    [
        ["-o", "x.sic"],
        ["--name", "append"],
        ["--on-existing", "skip"],
        ["--preserve"],
        ["--resume", "--report", "r.jsonl"],
    ],
)
def test_options_for_other_places_are_refused(folder: Path, more: list[str], coded: bytes) -> None:
    got = run_main("truncate", str(folder / "a.sic"), "--in-place", "-l", "1", *more)
    assert got.code == 2 and (folder / "a.sic").read_bytes() == coded


@pytest.mark.parametrize("name", ["-", "s3://bucket/a.sic"])
def test_only_files_of_this_machine(name: str) -> None:
    got = run_main("truncate", name, "--in-place", "-l", "1")
    assert got.code == 2 and "this machine" in got.err


def test_planning_writes_nothing(folder: Path, coded: bytes) -> None:
    got = run_main("truncate", "-r", str(folder), "--in-place", "-l", "1", "-n", "--json")
    assert got.code == 0 and (folder / "a.sic").read_bytes() == coded
    assert {d["status"] for d in documents(got) if "status" in d} == {"planned"}


@pytest.mark.parametrize(
    "more", [["-l", "2"], ["-l", "2", "--best-effort"], ["--target-size", "1k"]]
)
@pytest.mark.parametrize("how", ["damaged", "cut"])
def test_what_is_damaged_or_cut_is_left_alone(
    folder: Path, coded: bytes, more: list[str], how: str
) -> None:
    path = folder / "a.sic"
    bad = bytearray(coded)
    bad[-3] ^= 1
    path.write_bytes(bytes(bad) if how == "damaged" else coded[:-3])
    before = path.read_bytes()
    got = run_main("truncate", str(path), "--in-place", *more)
    assert got.code == 5 and "left as it is" in got.err and path.read_bytes() == before
    assert run_main("truncate", str(path), "-o", str(folder / "x.sic"), "-l", "2").code == 0


def test_urls_in_a_list_are_refused(folder: Path) -> None:
    (folder / "list").write_text("memory://bucket/u.sic\n")
    got = run_main("truncate", "--files-from", str(folder / "list"), "--in-place", "-l", "1")
    assert got.code == 2 and "this machine" in got.err


def test_links_inside_a_folder_are_passed_over(folder: Path, coded: bytes, tmp_path: Path) -> None:
    outside = tmp_path / "outside.sic"
    outside.write_bytes(coded)
    (folder / "inner" / "link.sic").symlink_to(outside)
    got = run_main("truncate", "-r", str(folder / "inner"), "--in-place", "-l", "1", "--json")
    assert got.code == 0 and outside.read_bytes() == coded
    told = {Path(d["input"]).name: d["status"] for d in documents(got) if "status" in d}
    assert told == {"b.sic": "done", "link.sic": "skipped"}
