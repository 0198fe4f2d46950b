"""`effort`: better files by the same format, cut and decoded like any other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import sic_cli
from sic_cli.bitstream.reader import parse
from sic_cli.codec.decode import decode, decode_cells, file_engine
from sic_cli.codec.encode import encode
from sic_cli.codec.engine import engine
from sic_cli.convert import EFFORTS
from sic_cli.errors import UsageError
from sic_cli.model.bands import set_threads
from sic_cli.release.card import Card
from sic_cli.search import refine
from tests.conftest import ROOT, Outcome

Sic = Callable[..., Outcome]


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    path = sorted((ROOT / "tests" / "pictures").glob("*.png"))[0]
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))[192:288, 240:400]


def test_there_is_a_number_of_sweeps_for_each_effort() -> None:
    assert len(refine.SWEEPS) == len(EFFORTS) and refine.SWEEPS[0] == 0
    assert list(refine.SWEEPS) == sorted(refine.SWEEPS)


def score(data: bytes, original: np.ndarray, level: int) -> tuple[int, float]:
    """Bytes and mean squared error of a level."""
    parsed = parse(data)
    made = decode(parsed, level=level, realism=0.0).pixels
    error = np.square(made.astype(float) - original).mean()
    return parsed.ends[level - 1], float(error)


def test_effort_wins_at_every_part_of_the_file(shipped: Card, photo: np.ndarray) -> None:
    """In squared error, at a price in bytes that a plain file would need more for."""
    plain = encode(photo, shipped)
    searched = encode(photo, shipped, effort=6)
    points = [score(plain, photo, level) for level in range(1, shipped.config.levels + 1)]
    sizes, errors = np.log([p[0] for p in points]), np.log([p[1] for p in points])
    for level in (2, 5, 8, 11, 14):
        size, error = score(searched, photo, level)
        assert np.log(error) < np.interp(np.log(size), sizes, errors)


def test_a_cut_is_what_encoding_to_that_level_gives(tiny: Card, photo: np.ndarray) -> None:
    whole = encode(photo, tiny, effort=3)
    assert whole != encode(photo, tiny)
    for level in (1, tiny.config.levels // 2):
        assert sic_cli.truncate(whole, level=level) == encode(photo, tiny, level=level, effort=3)


def test_the_same_bytes_for_any_number_of_threads(tiny: Card, photo: np.ndarray) -> None:
    found = set()
    for count in (1, 2, 2):
        set_threads(count)
        found.add(encode(photo, tiny, effort=2))
    set_threads(1)
    assert len(found) == 1


def test_all_symbols_and_digests_are_right(tiny: Card, photo: np.ndarray) -> None:
    parsed = parse(encode(photo, tiny, effort=4))
    _, level, fault = decode_cells(file_engine(parsed, "cpu"), parsed, parsed.level)
    assert (level, fault) == (tiny.config.levels, None)


@pytest.mark.parametrize("shape", [(1, 1), (17, 5), (16, 300)])
def test_every_size_can_be_searched(tiny: Card, shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (*shape, 3)).astype(np.uint8)
    made = decode(parse(encode(pixels, tiny, effort=2)))
    assert made.pixels.shape == pixels.shape and made.fault is None


def test_tiles_meet_without_gaps(tiny: Card, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (112, 144, 3)).astype(np.uint8)
    machine = engine(tiny)
    cells, told = machine.cells(machine.analyse(pixels)), list[float]()
    monkeypatch.setattr(refine, "TILE", 3)
    found = machine.search.refine(pixels, cells, 1, told.append)
    assert told == sorted(told) and told[-1] == pytest.approx(1)
    monkeypatch.setattr(
        refine, "HALO", 1000
    )  # every tile sees all; earlier ones are searched before
    assert found.shape == cells.shape and (found != cells).mean() > 0.01
    columns = [tile.own for tile in refine._tiles(9)]
    assert [(c.start, c.stop) for c in columns] == [(0, 3), (3, 6), (6, 9)]


def test_effort_is_checked(photo: np.ndarray, tmp_path: Path, sic: Sic) -> None:
    for wrong in (0, 10, 2.0, True, "5"):
        with pytest.raises(UsageError, match="effort is"):
            sic_cli.encode(photo, model="tiny", effort=wrong)  # type: ignore[arg-type]
    Image.fromarray(photo).save(tmp_path / "a.png")
    assert sic("encode", str(tmp_path / "a.png"), "--effort", "10").code == 2


def test_the_command_says_which_effort_it_was(tmp_path: Path, photo: np.ndarray, sic: Sic) -> None:
    source, out = tmp_path / "a.png", tmp_path / "a.sic"
    Image.fromarray(photo).save(source)
    made = sic("encode", str(source), "-m", "tiny", "-e", "2", "--json", "--progress", "always")
    assert made.code == 0 and b'"effort": 2' in made.out and "searching" in made.err
    assert out.read_bytes() == sic_cli.encode(photo, model="tiny", effort=2).data
    quiet = sic("encode", str(source), "-m", "tiny", "-e", "2", "--force")
    assert quiet.code == 0 and quiet.err == ""
