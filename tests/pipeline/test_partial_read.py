"""Of a file far away only what is needed is fetched, and the outcome is that of a file that lies here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from sic_cli.codec.bitstream.heads import Heads, heads
from sic_cli.codec.bitstream.reader import parse
from sic_cli.pipeline import partial_read
from sic_cli.storage import store
from tests.conftest import run_main

fsspec = pytest.importorskip("fsspec", reason="URLs need the extra cluster")


@pytest.fixture
def asked(coded: bytes, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[int, int]]]:
    """A file in memory, of which small ranges are fetched; the ranges that were."""
    memory = fsspec.filesystem("memory")
    memory.pipe_file("/a.sic", coded)
    ranges: list[tuple[int, int]] = []
    real = store.read_part

    def read_part(url: str, start: int, end: int) -> bytes:
        ranges.append((start, end))
        return real(url, start, end)

    monkeypatch.setattr(store, "read_part", read_part)
    monkeypatch.setattr(partial_read, "FIRST_BYTES", 40)
    yield ranges
    memory.store.clear()


def test_heads_say_what_the_whole_file_says(coded: bytes) -> None:
    parsed = parse(coded)
    found = heads(lambda start, end: coded[start:end], len(coded))
    assert found is not None and not found.checked
    whole = Heads.of(parsed)
    for name in ("header", "chunks", "psnrs", "header_end", "ends", "size", "fault"):
        assert getattr(found, name) == getattr(whole, name)
    assert len(found.ends) == 6


@pytest.mark.parametrize("end", range(0, 60, 7))
def test_heads_of_a_cut_or_damaged_file_are_no_verdict(end: int, coded: bytes) -> None:
    cut = coded[: len(coded) - 1 - end]
    found = heads(lambda start, stop: cut[start:stop], len(cut))
    assert found is None or found.ends[-1] == len(cut)
    wrong = coded[:end] + bytes([coded[end] ^ 1]) + coded[end + 1 :]
    if end < parse(coded).header_end:
        assert heads(lambda start, stop: wrong[start:stop], len(wrong)) is None


@pytest.mark.parametrize("level", [0, 1, 3, 5])
def test_a_level_fetches_its_own_layers_alone(
    level: int, asked: list[tuple[int, int]], coded: bytes
) -> None:
    got = partial_read.first_levels("memory://a.sic", level)
    end = parse(coded).ends[level]
    assert got.data == coded[:end] and got.size == len(coded) and got.whole == (level == 5)
    assert got.fetched == sum(stop - start for start, stop in asked) < end + 40
    assert all(before[1] <= after[0] for before, after in pairwise(asked))


def test_decode_says_what_it_fetched_and_gives_the_same_picture(
    asked: list[tuple[int, int]], coded: bytes, tmp_path: Path
) -> None:
    (tmp_path / "a.sic").write_bytes(coded)
    here, there = str(tmp_path / "here.png"), str(tmp_path / "there.png")
    assert run_main("decode", str(tmp_path / "a.sic"), "-o", here, "-l", "2").code == 0
    got = run_main("decode", "memory://a.sic", "-o", there, "-l", "2", "--json", "-v")
    assert got.code == 0 and Path(here).read_bytes() == Path(there).read_bytes(), got.err
    row = json.loads(got.out)
    assert row["fetched_bytes"] < row["source_bytes"] == len(coded) and row["level"] == 2
    assert f"{row['fetched_bytes']} of {len(coded)} bytes fetched" in got.err
    asked.clear()
    assert run_main("decode", "memory://a.sic", "-o", there, "-l", "2", "--strict", "-f").code == 0
    assert asked == [], "with --strict all of it is read"


def test_info_fetches_heads(asked: list[tuple[int, int]], coded: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.sic").write_bytes(coded)
    there, here = (
        json.loads(run_main("info", "--json", name).out)
        for name in ("memory://a.sic", str(tmp_path / "a.sic"))
    )
    assert there["fetched_bytes"] == sum(stop - start for start, stop in asked) < len(coded)
    assert here["fetched_bytes"] is None
    assert {level["crc_ok"] for level in there["levels"]} == {None}
    for document in (there, here):
        del document["input"], document["fetched_bytes"]
        for level in document["levels"]:
            del level["crc_ok"]
    assert there == here


@pytest.mark.parametrize(("damaged", "code"), [(5, 3), (3, 3), (1, 3), (0, 5), (-1, 5)])
def test_damage_is_reported_as_of_a_file_here(
    damaged: int, code: int, asked: Any, coded: bytes, tmp_path: Path
) -> None:
    wrong = bytearray(coded)
    wrong[parse(coded).ends[damaged] - 1 if damaged >= 0 else 12] ^= 1
    fsspec.filesystem("memory").pipe_file("/b.sic", bytes(wrong))
    (tmp_path / "b.sic").write_bytes(wrong)
    outcomes = []
    for name in ("memory://b.sic", str(tmp_path / "b.sic")):
        got = run_main("decode", name, "-o", str(tmp_path / "o.png"), "-l", "5", "-f")
        outcomes.append((got.code, got.err.replace(name, "NAME")))
    assert outcomes[0] == outcomes[1] and outcomes[0][0] == code
    assert code == 5 or f"wrote level {damaged - 1}" in outcomes[0][1]


def test_a_server_that_knows_no_ranges_is_read_whole(
    asked: Any, coded: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "read_part", lambda url, start, end: coded)
    got = partial_read.first_levels("memory://a.sic", 2)
    assert got.data == coded[: parse(coded).ends[2]]
    assert got.fetched is not None and got.fetched >= len(coded)
