"""`effort`: better files by the same format, cut and decoded like any other."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import sic_cli
from sic_cli.codec.bitstream.reader import parse
from sic_cli.codec.decode import decode, decode_indices, file_engine
from sic_cli.codec.encode import encode
from sic_cli.codec.engine import engine
from sic_cli.codec.inference.parallel import bands, set_threads
from sic_cli.codec.rdo import search
from sic_cli.codec.weights.card import ModelCard
from sic_cli.errors import UsageError
from sic_cli.pipeline.options import EFFORTS
from tests.conftest import ROOT, Outcome

Sic = Callable[..., Outcome]


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    path = sorted((ROOT / "tests" / "pictures").glob("*.png"))[0]
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))[192:288, 240:400]


def test_each_effort_decodes_more_often_than_the_one_before() -> None:
    assert sorted(search.PLANS) == list(EFFORTS) and not search.PLANS[1].sweeps
    decoded = [
        sum(len(turns) * (1 + plan.texture(sweep)) for sweep, turns in enumerate(plan.sweeps))
        for _, plan in sorted(search.PLANS.items())
    ]
    assert all(a < b for a, b in pairwise(decoded))


def score(data: bytes, original: np.ndarray, level: int) -> tuple[int, float]:
    """Bytes and mean squared error of a level."""
    parsed = parse(data)
    made = decode(parsed, level=level, realism=0.0).pixels
    error = np.square(made.astype(float) - original).mean()
    return parsed.ends[level - 1], float(error)


def test_effort_wins_at_every_part_of_the_file(shipped: ModelCard, photo: np.ndarray) -> None:
    """In squared error, at a price in bytes that a plain file would need more for."""
    plain = encode(photo, shipped)
    searched = encode(photo, shipped, effort=6)
    points = [score(plain, photo, level) for level in range(1, shipped.config.levels + 1)]
    sizes, errors = np.log([p[0] for p in points]), np.log([p[1] for p in points])
    for level in (2, 5, 8, 11, 14):
        size, error = score(searched, photo, level)
        assert np.log(error) < np.interp(np.log(size), sizes, errors)


def test_a_cut_is_what_encoding_to_that_level_gives(tiny: ModelCard, photo: np.ndarray) -> None:
    whole = encode(photo, tiny, effort=3)
    assert whole != encode(photo, tiny)
    for level in (1, tiny.config.levels // 2):
        assert sic_cli.truncate(whole, level=level) == encode(photo, tiny, level=level, effort=3)


@pytest.mark.parametrize("effort", [2, 6])
def test_the_same_bytes_for_any_number_of_threads(
    tiny: ModelCard, photo: np.ndarray, effort: int
) -> None:
    large = np.tile(photo, (7, 4, 1))  # several tiles, and so large that they are cut into bands
    assert min(len(bands(*tile)) for tile in [(large.shape[0] // 16, large.shape[1] // 16)]) > 1
    found = set()
    for count in (1, 3, 3):
        set_threads(count)
        found.add(encode(large, tiny, effort=effort))
    set_threads(1)
    assert len(found) == 1


def test_all_symbols_and_digests_are_right(tiny: ModelCard, photo: np.ndarray) -> None:
    parsed = parse(encode(photo, tiny, effort=4))
    _, level, fault = decode_indices(file_engine(parsed, "cpu"), parsed, parsed.level)
    assert (level, fault) == (tiny.config.levels, None)


@pytest.mark.parametrize("shape", [(1, 1), (17, 5), (16, 300)])
def test_every_size_can_be_searched(tiny: ModelCard, shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (*shape, 3)).astype(np.uint8)
    made = decode(parse(encode(pixels, tiny, effort=2)))
    assert made.pixels.shape == pixels.shape and made.fault is None


def test_tiles_cover_every_position_once_and_see_around_themselves() -> None:
    for count in (1, 63, 64, 65, 129, 1000):
        tiles = list(search._tiles(count))
        places = [p for tile in tiles for p in range(*tile.own.indices(count))]
        assert places == list(range(count))
        for tile in tiles:
            own, seen = tile.own, tile.seen
            assert own.stop - own.start <= search.TILE
            assert seen.start == max(0, own.start - search.HALO)
            assert seen.stop == min(count, own.stop + search.HALO)
            assert range(count)[seen][tile.kept][: own.stop - own.start][0] == own.start


def test_a_tile_that_sees_all_chooses_what_no_tiles_choose(
    tiny: ModelCard, photo: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine, plan = engine(tiny), search.PLANS[3]
    indices, told = machine.quantise(machine.analyse(photo)), list[float]()
    whole = machine.search.refine(photo, indices, plan)
    assert (whole != indices).any()
    monkeypatch.setattr(search, "TILE", 4)
    parts = machine.search.refine(photo, indices, plan, told.append)
    assert told == sorted(told) and (told[0], told[-1]) == (0, 1)
    tiles = [
        (d, r) for d in search._tiles(indices.shape[1]) for r in search._tiles(indices.shape[2])
    ]
    changed = [(parts != indices)[:, down.own, right.own].any() for down, right in tiles]
    assert len(tiles) == 6 and sum(changed) >= 4
    assert (parts != whole).mean() < (whole != indices).mean() / 2


def test_what_lies_beyond_the_picture_does_not_count() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (20, 40, 3)).astype(np.uint8)
    tile = search.TileTarget.of(pixels)
    made = np.random.default_rng(2).uniform(0, 255, (32, 48, 3)).astype(np.float32)
    for gradient in (tile.error(made.copy()), tile.looks(10.0, made)):
        assert gradient[:20, :40].any()
        assert not gradient[20:].any() and not gradient[:, 40:].any()


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
