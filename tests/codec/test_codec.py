"""The promises of ARCHITECTURE.md's invariants, on the tiny model."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sic_cli.bitstream.reader import parse
from sic_cli.bitstream.truncate import truncate
from sic_cli.bitstream.writer import write
from sic_cli.cells.levels import partition
from sic_cli.cells.quantise import finest
from sic_cli.codec import engine as engines
from sic_cli.codec import tiles
from sic_cli.codec.coding_tables import CodingTables, block_arrays
from sic_cli.codec.decode import decode, decode_cells
from sic_cli.codec.encode import encode
from sic_cli.codec.engine import engine
from sic_cli.codec.walk import Reading, Walk, Writing
from sic_cli.entropy import new_decoder, new_encoder
from sic_cli.entropy.tables import TOTAL
from sic_cli.errors import CorruptError, ModelError, ResourceError, TargetError
from sic_cli.measure.psnr import psnr
from sic_cli.model.exact import INNER, SIGN, ZERO
from sic_cli.release.card import Card
from sic_cli.train.fit_tables import frequencies, plain_arrays
from tests.tiny import made_picture


@pytest.mark.parametrize(
    "size", [(1, 1), (1, 40), (37, 1), (7, 13), (16, 16), (17, 63), (64, 65), (90, 200)]
)
def test_symbols_round_trip_at_every_level_and_size(tiny: Card, size: tuple[int, int]) -> None:
    pixels = made_picture(*size, seed=sum(size))
    parsed = parse(encode(pixels, tiny))
    machine = engine(tiny)
    cells = machine.cells(machine.analyse(pixels))
    got, level, fault = decode_cells(machine, parsed, parsed.level)
    assert fault is None and level == 5 and np.array_equal(got, cells)
    for level in range(1, 6):
        assert decode(parsed, level=level).pixels.shape == pixels.shape


@given(st.integers(0, 10**6), st.integers(1, 50), st.integers(1, 50), st.floats(0, 300))
@settings(max_examples=25, deadline=None)
def test_any_cells_survive_the_walk(
    tiny: Card, seed: int, height: int, width: int, scale: float
) -> None:
    machine, rng = engine(tiny), np.random.default_rng(seed)
    latent = (rng.laplace(size=(8, -(-height // 16), -(-width // 16))) * scale * 10).astype(
        np.float32
    )
    goal = machine.cells(latent)
    made, read = np.zeros_like(goal), np.zeros_like(goal)
    for level in range(1, 6):
        encoder = new_encoder()
        made = machine.walk.layer(level, made, Writing(encoder), goal)
        read = machine.walk.layer(level, read, Reading(new_decoder(encoder.finish())))
        assert np.array_equal(made, read)
    assert np.array_equal(read, goal)


def test_the_papers_channel_partition_codes_and_decodes() -> None:
    table = partition(16, 4, 8.0)
    arrays = plain_arrays()
    arrays |= block_arrays(frequencies(np.geomspace(0.6, 1e-4, ZERO.count)))

    def classes(cells: np.ndarray, step: int, channels: np.ndarray) -> np.ndarray:
        shape = (3, len(channels), *cells.shape[1:])
        most = np.array([ZERO.count, SIGN.count, INNER.count])[:, None, None, None]
        return (np.abs(cells.sum(0)) % most * np.ones(shape, int)).astype(np.uint8)

    walk = Walk(table, CodingTables.from_arrays(arrays), classes)
    goal = finest(
        (np.random.default_rng(0).laplace(size=(16, 6, 7)) * 30).astype(np.float32), table
    )
    made, read = np.zeros_like(goal), np.zeros_like(goal)
    for level in range(1, 5):
        encoder = new_encoder()
        made = walk.layer(level, made, Writing(encoder), goal)
        read = walk.layer(level, read, Reading(new_decoder(encoder.finish())))
        assert (made[4 * level :] == 0).all() and np.array_equal(made, read)
    assert np.array_equal(read, goal) and np.abs(goal).max() > 3


def test_blocks_cost_symbols_but_no_bits() -> None:
    ones = frequencies(np.array([0.3, 0.02, 0.002, 1e-5]))
    arrays = block_arrays(ones)
    assert arrays["block"].tolist()[0] == 1 and arrays["block"][-1] == 64
    for leave, size, flag, first in zip(
        ones / TOTAL, arrays["block"], arrays["flag"], arrays["first"], strict=True
    ):
        if size > 1:
            empty = size * np.log2(1 - leave)
            assert np.log2(1 - flag / TOTAL) == pytest.approx(empty, abs=1e-4)
            place = first[:size] / TOTAL
            one_at_2 = np.log2(flag / TOTAL) + np.log2(place[2])
            assert one_at_2 == pytest.approx(2 * np.log2(1 - leave) + np.log2(leave), abs=0.02)


def test_truncating_equals_encoding_at_that_level_and_a_raw_cut(
    tiny: Card, picture: np.ndarray, coded: bytes
) -> None:
    ends = parse(coded).ends
    for level in range(1, 6):
        direct = encode(picture, tiny, level=level)
        assert truncate(coded, level) == direct == coded[: ends[level - 1]]


def test_every_byte_prefix_decodes_to_its_level(tiny: Card, coded: bytes) -> None:
    whole = parse(coded)
    machine = engine(tiny)
    known = {k: decode_cells(machine, whole, k)[0] for k in range(1, 6)}
    tried = 0
    for cut in range(0, len(coded), 1 if len(coded) < 3000 else 3):
        expect = sum(end <= cut for end in whole.ends)
        try:
            parsed = parse(coded[:cut])
            assert parsed.level == expect
            if expect:
                cells, level, fault = (
                    decode_cells(machine, parsed, parsed.level)
                    if cut % 50 == 0
                    else (known[expect], expect, None)
                )
                assert level == expect and fault is None and np.array_equal(cells, known[expect])
                tried += 1
        except CorruptError:
            assert expect == 0
    assert tried > 100


def test_the_same_picture_gives_the_same_bytes(
    tiny: Card, picture: np.ndarray, coded: bytes
) -> None:
    assert encode(picture, tiny) == coded


def test_quality_rises_with_the_level(tiny: Card, picture: np.ndarray, coded: bytes) -> None:
    got = [psnr(picture, decode(parse(coded), level=k).pixels) for k in range(1, 6)]
    assert all(b > a for a, b in pairwise(got)), got


def test_samples_are_members_of_the_synset_and_repeatable(coded: bytes) -> None:
    parsed = parse(coded)
    mean = decode(parsed, level=2).pixels
    a, b, c = (decode(parsed, level=2, details="sample", seed=s).pixels for s in (7, 7, 8))
    assert np.array_equal(a, b) and not np.array_equal(a, c) and not np.array_equal(a, mean)


def test_plain_coder_files_are_the_same_files(
    tiny: Card, picture: np.ndarray, coded: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sic_cli.entropy

    monkeypatch.setattr(sic_cli.entropy, "coder_name", lambda: "plain")
    assert encode(picture, tiny) == coded
    assert decode(parse(coded)).fault is None


def test_a_layer_that_decodes_to_other_symbols_is_not_shown(coded: bytes) -> None:
    """Valid checksums over a wrong payload: only the digest of the symbols can tell."""
    from dataclasses import replace

    parsed = parse(coded)
    layers = list(parsed.layers)
    layers[2] = replace(layers[2], payload=bytes(len(layers[2].payload)))
    made = decode(parse(write(parsed.header, parsed.chunks, layers)))
    assert made.level == 2 and "layer 3" in str(made.fault)
    layers[0] = replace(layers[0], digest=layers[0].digest ^ 1)
    with pytest.raises(CorruptError, match="layer 1"):
        decode(parse(write(parsed.header, parsed.chunks, layers)))


def test_an_unknown_model_is_refused_by_its_id(coded: bytes) -> None:
    from dataclasses import replace

    parsed = parse(coded)
    header = replace(parsed.header, model=b"\xaa" * 8)
    with pytest.raises(ModelError, match="aaaaaaaaaaaaaaaa"):
        decode(parse(write(header, [], parsed.layers)))


def test_absurd_sizes_are_refused_before_memory_is_taken(tiny: Card) -> None:
    from sic_cli.bitstream.fields import Header, Layer

    header = Header(65535, 65535, 5, tiny.id)
    with pytest.raises(ResourceError, match="65535x65535"):
        decode(parse(write(header, [], [Layer(1, b"", 0)])))
    with pytest.raises(ResourceError):
        encode(np.broadcast_to(np.zeros((1, 1, 3), np.uint8), (1, 70000, 3)), tiny)


def test_a_level_that_is_not_there_is_a_target_error(
    tiny: Card, picture: np.ndarray, coded: bytes
) -> None:
    with pytest.raises(TargetError):
        encode(picture, tiny, level=6)
    with pytest.raises(TargetError):
        decode(parse(truncate(coded, 2)), level=3)


def test_strips_give_the_whole_picture(tiny: Card, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = made_picture(400, 60, 9)
    machine = engine(tiny)
    latent = machine.analyse(pixels)
    cells = machine.cells(latent)
    placed = machine.place(cells, 5, "mean", 0)
    whole = machine.synthesise(placed, 5, 400, 60)
    monkeypatch.setattr(tiles, "STRIP_LATENTS", 20)
    assert np.abs(machine.analyse(pixels) - latent).max() < 1e-2
    strips = machine.synthesise(placed, 5, 400, 60).astype(int)
    assert np.abs(strips - whole).max() <= 1 and strips.shape == whole.shape


def test_a_device_that_is_not_there_is_a_resource_error() -> None:
    with pytest.raises(ResourceError, match="cuda:99"):
        engines.pick_device("cuda:99")


def test_golden_files_decode_to_their_symbols() -> None:
    folder = Path(__file__).parent.parent / "golden"
    manifest = json.loads((folder / "manifest.json").read_text())
    assert len(manifest["good"]) >= 4
    for name, facts in manifest["good"].items():
        parsed = parse((folder / "good" / name).read_bytes())
        assert [layer.digest for layer in parsed.layers] == facts["digests"]
        made = decode(parsed)
        assert (made.fault, made.level, list(made.pixels.shape)) == (
            None,
            facts["level"],
            facts["shape"],
        )
