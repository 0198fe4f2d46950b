"""The invariants of docs/architecture.md, on the tiny model."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sic_cli.codec import encode as encoding
from sic_cli.codec import engine as engines
from sic_cli.codec.bitstream.reader import parse
from sic_cli.codec.bitstream.truncate import truncate
from sic_cli.codec.bitstream.writer import write
from sic_cli.codec.decode import decode, decode_indices
from sic_cli.codec.encode import encode
from sic_cli.codec.engine import engine
from sic_cli.codec.entropy import new_decoder, new_encoder
from sic_cli.codec.entropy.tables import TOTAL
from sic_cli.codec.inference import parallel, tiles, transforms
from sic_cli.codec.quantization.dead_zone import at_depths
from sic_cli.codec.symbols.coding_tables import block_arrays
from sic_cli.codec.symbols.layer_coder import Reading, Writing
from sic_cli.codec.weights.card import ModelCard
from sic_cli.errors import CheckError, CorruptError, ModelError, ResourceError, TargetError
from sic_cli.metrics.psnr import psnr
from sic_cli.training.code_length import code_length
from sic_cli.training.fit_tables import frequencies
from tests.conftest import ROOT
from tests.tiny import made_picture


@pytest.mark.parametrize(
    "size", [(1, 1), (1, 40), (37, 1), (7, 13), (16, 16), (17, 63), (64, 65), (90, 200)]
)
def test_symbols_round_trip_at_every_level_and_size(tiny: ModelCard, size: tuple[int, int]) -> None:
    pixels = made_picture(*size, seed=sum(size))
    parsed = parse(encode(pixels, tiny))
    machine = engine(tiny)
    indices = machine.quantise(machine.analyse(pixels))
    got, level, fault = decode_indices(machine, parsed, parsed.level)
    assert fault is None and level == 5 and np.array_equal(got, indices)
    for level in range(1, 6):
        assert decode(parsed, level=level).pixels.shape == pixels.shape


@given(st.integers(0, 10**6), st.integers(1, 50), st.integers(1, 50), st.floats(0, 300))
@settings(max_examples=25, deadline=None)
def test_any_indices_survive_the_layer_coder(
    tiny: ModelCard, seed: int, height: int, width: int, scale: float
) -> None:
    machine, rng = engine(tiny), np.random.default_rng(seed)
    latent = (rng.laplace(size=(8, -(-height // 16), -(-width // 16))) * scale * 10).astype(
        np.float32
    )
    target_indices = machine.quantise(latent)
    made = at_depths(target_indices, machine.table, machine.table.start)
    read, writer, reader = made.copy(), machine.layer_coder, machine.layer_coder
    for level in range(1, 6):
        encoder = new_encoder()
        made = writer.layer(level, made, Writing(encoder), target_indices)
        read = reader.layer(level, read, Reading(new_decoder(encoder.finish())))
        assert np.array_equal(made, read)
    assert np.array_equal(read, target_indices)


@pytest.mark.parametrize("value", [127, 128])
def test_a_picture_that_is_0_in_all_channels_is_coded(tiny: ModelCard, value: int) -> None:
    parsed = parse(encode(np.full((40, 50, 3), value, np.uint8), tiny))
    assert not decode_indices(engine(tiny), parsed, 0)[0].any()
    made = decode(parsed, realism=0.0)
    assert made.fault is None and np.abs(made.pixels.astype(int) - value).max() <= 8


def test_real_bytes_are_within_a_hundredth_of_the_information(shipped: ModelCard) -> None:
    """Range coder and container: at every level less than 1 % and 12 bytes a layer beside the header."""
    with Image.open(ROOT / "tests" / "pictures" / "parrots.png") as file:
        pixels = np.array(file.convert("RGB"))[100:356, 200:520]
    machine, parsed = engine(shipped), parse(encode(pixels, shipped))
    indices, _, _ = decode_indices(machine, parsed, parsed.level)
    known = code_length(machine, indices) / 8
    for level, (end, bits) in enumerate(zip(parsed.ends, known, strict=True)):
        assert bits < end < bits * 1.01 + parsed.header_end + 13 * (level + 1), level


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
    tiny: ModelCard, picture: np.ndarray, coded: bytes
) -> None:
    ends = parse(coded).ends
    for level in range(6):
        direct = encode(picture, tiny, level=level)
        assert truncate(coded, level) == direct == coded[: ends[level]]


def test_every_byte_prefix_decodes_to_its_level(tiny: ModelCard, coded: bytes) -> None:
    whole = parse(coded)
    machine = engine(tiny)
    known = {k: decode_indices(machine, whole, k)[0] for k in range(6)}
    near = {end + d for end in whole.ends for d in (-1, 0, 1)}
    decoded = 0
    for cut in range(len(coded) + 1):
        expect = sum(end <= cut for end in whole.ends) - 1
        try:
            parsed = parse(coded[:cut])
        except CorruptError:
            assert expect == -1
            continue
        assert parsed.level == expect and parsed.layers == whole.layers[: expect + 1]
        if expect >= 0 and (cut in near or cut % 97 == 0):
            indices, level, fault = decode_indices(machine, parsed, parsed.level)
            assert level == expect and fault is None and np.array_equal(indices, known[expect])
            decoded += 1
    assert decoded > 12


def test_the_same_picture_gives_the_same_bytes(
    tiny: ModelCard, picture: np.ndarray, coded: bytes
) -> None:
    assert encode(picture, tiny) == coded


def test_quality_rises_with_the_level(tiny: ModelCard, picture: np.ndarray, coded: bytes) -> None:
    got = [psnr(picture, decode(parse(coded), level=k).pixels) for k in range(1, 6)]
    assert all(b > a for a, b in pairwise(got)), got


@pytest.mark.parametrize("size", [(64, 96), (80, 48)])
@pytest.mark.parametrize("kind", ["picture", "noise", "checks"])
def test_the_expected_psnr_is_near_the_true_one(
    tiny: ModelCard, kind: str, size: tuple[int, int]
) -> None:
    """Also where nearly all of a picture lies outside of what the channels say."""
    pixels = made_picture(*size, seed=9)
    if kind == "noise":
        pixels = np.random.default_rng(1).integers(0, 256, pixels.shape, np.uint8)
    if kind == "checks":
        pixels[:] = 255 * (np.indices(size).sum(0) % 2)[..., None]
    parsed = parse(encode(pixels, tiny))
    for level, layer in enumerate(parsed.layers[1:], 1):
        true = psnr(pixels, decode(parsed, level=level).pixels)
        assert abs(layer.psnr / 4 - true) < 1.0, (level, layer.psnr / 4, true)
    assert all(a.psnr <= b.psnr for a, b in pairwise(parsed.layers[1:]))


def test_what_the_channels_do_not_see_is_summed_in_pieces(
    tiny: ModelCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels, machine = made_picture(100, 70, 2), engine(tiny)
    whole = encoding.unseen(machine, pixels)
    monkeypatch.setattr(parallel, "SMALL", 1)
    monkeypatch.setattr(parallel, "BAND_ROWS", 1)
    assert encoding.unseen(machine, pixels) == pytest.approx(whole, rel=1e-5)
    latent = machine.model_weights.analysis["linear"].astype(float)[3].reshape(3, 16, 16)
    seen = np.round(127.5 + 400 * latent.transpose(1, 2, 0)).clip(0, 255).astype(np.uint8)
    energy = np.square(seen - 127.5).sum()
    assert encoding.unseen(machine, seen) < 0.02 * energy < 0.02 * whole


def test_another_seed_is_another_picture_of_the_same_file(coded: bytes) -> None:
    parsed = parse(coded)
    mean = decode(parsed, level=2).pixels
    a, b, c = (decode(parsed, level=2, seed=s).pixels for s in (7, 7, 8))
    assert np.array_equal(a, b) and not np.array_equal(a, c) and not np.array_equal(a, mean)
    assert np.array_equal(decode(parsed, level=2, seed=0).pixels, mean)
    still = [decode(parsed, level=2, seed=s, realism=0.0).pixels for s in (0, 7)]
    assert np.array_equal(*still)
    half = [decode(parsed, level=2, seed=s, realism=0.5).pixels.astype(int) for s in (0, 7)]
    apart = [np.abs(x - y).mean() for x, y in (half, (mean.astype(int), a.astype(int)))]
    assert 0 < apart[0] < apart[1]


def test_level_0_needs_no_model(coded: bytes) -> None:
    parsed = parse(coded)
    header = replace(parsed.header, model=b"\xaa" * 8)
    alone = parse(write(header, [], parsed.layers[:1]))
    made = decode(alone)
    assert made.level == 0 and made.pixels.shape == (70, 93, 3)
    assert np.array_equal(made.pixels, decode(parsed, level=0).pixels)


def test_plain_coder_files_are_the_same_files(
    tiny: ModelCard, picture: np.ndarray, coded: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sic_cli.codec.entropy

    monkeypatch.setattr(sic_cli.codec.entropy, "coder_name", lambda: "plain")
    assert encode(picture, tiny) == coded
    assert decode(parse(coded)).fault is None


def test_a_layer_that_decodes_to_other_symbols_is_not_shown(coded: bytes) -> None:
    """Valid checksums over a wrong payload: only the digest of the symbols can tell."""
    parsed = parse(coded)
    layers = list(parsed.layers)
    layers[3] = replace(layers[3], payload=bytes(len(layers[3].payload)))
    made = decode(parse(write(parsed.header, parsed.chunks, layers)))
    assert made.level == 2 and "layer 3" in str(made.fault)
    layers[1] = replace(layers[1], digest=layers[1].digest ^ 1)
    made = decode(parse(write(parsed.header, parsed.chunks, layers)))
    assert made.level == 0 and "layer 1" in str(made.fault)
    layers[0] = replace(layers[0], digest=layers[0].digest ^ 1)
    for level in (None, 0):
        with pytest.raises(CheckError, match="layer 0"):
            decode(parse(write(parsed.header, parsed.chunks, layers)), level=level)


def test_an_unknown_model_is_refused_by_its_id(coded: bytes) -> None:
    parsed = parse(coded)
    header = replace(parsed.header, model=b"\xaa" * 8)
    with pytest.raises(ModelError, match="aaaaaaaaaaaaaaaa"):
        decode(parse(write(header, [], parsed.layers)))


def test_absurd_sizes_are_refused_before_memory_is_taken(tiny: ModelCard) -> None:
    from sic_cli.codec.bitstream.fields import Header, Layer

    header = Header(65535, 65535, 5, tiny.id)
    with pytest.raises(ResourceError, match="65535x65535"):
        parse(write(header, [], [Layer(0, b"", 0)]))
    with pytest.raises(ResourceError):
        encode(np.broadcast_to(np.zeros((1, 1, 3), np.uint8), (1, 70000, 3)), tiny)


def test_a_level_that_is_not_there_is_a_target_error(
    tiny: ModelCard, picture: np.ndarray, coded: bytes
) -> None:
    with pytest.raises(TargetError):
        encode(picture, tiny, level=6)
    with pytest.raises(TargetError):
        decode(parse(truncate(coded, 2)), level=3)


def test_strips_give_the_whole_picture(tiny: ModelCard, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = made_picture(400, 60, 9)
    machine = engine(tiny)
    latent = machine.analyse(pixels)
    indices = machine.quantise(latent)
    placed = machine.dequantise(indices, 5)
    whole = machine.synthesise(placed, 5, 400, 60)
    monkeypatch.setattr(tiles, "STRIP_LATENTS", 20)
    monkeypatch.setattr(tiles, "PAINTED_LATENTS", 20)
    assert len(list(tiles.strips(25, 4, 3, machine.networks.painted))) > 3
    assert np.abs(machine.analyse(pixels) - latent).max() < 1e-2
    strips = machine.synthesise(placed, 5, 400, 60).astype(int)
    assert np.abs(strips - whole).max() <= 1 and strips.shape == whole.shape


def test_columns_give_the_whole_picture(tiny: ModelCard, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = made_picture(60, 700, 9)
    machine = engine(tiny)
    latent = machine.analyse(pixels)
    placed = machine.dequantise(machine.quantise(latent), 5)
    whole = machine.synthesise(placed, 5, 60, 700)
    monkeypatch.setattr(tiles, "WIDE", 9)
    assert len(list(tiles.columns(44, 3))) > 3
    assert np.abs(machine.analyse(pixels) - latent).max() < 1e-2
    parts = machine.synthesise(placed, 5, 60, 700).astype(int)
    assert np.abs(parts - whole).max() <= 1 and parts.shape == whole.shape


@pytest.mark.parametrize("positions", [1, 9, 30])
def test_strips_of_the_head_give_the_whole_picture(
    tiny: ModelCard, positions: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = made_picture(210, 60, 9)
    machine = engine(tiny)
    placed = machine.dequantise(machine.quantise(machine.analyse(pixels)), 5)
    whole = machine.synthesise(placed, 5, 210, 60)
    monkeypatch.setattr(transforms, "HEAD_POSITIONS", positions)
    strips = machine.synthesise(placed, 5, 210, 60).astype(int)
    assert np.abs(strips - whole).max() <= 1 and strips.shape == whole.shape


@pytest.mark.parametrize("positions", [tiles.STRIP_LATENTS, tiles.PAINTED_LATENTS])
def test_no_strip_looks_at_much_more_than_it_may(positions: int) -> None:
    for rows, across in ((94, 375), (250, 375), (25, 4096), (4096, 25), (700, 700), (4096, 650)):
        tall = max(s.last - s.first for s in tiles.strips(rows, across, 13, positions))
        wide = max(c.last - c.first for c in tiles.columns(across, 13))
        assert tall * wide <= 1.6 * positions


def test_a_device_that_is_not_there_is_a_resource_error() -> None:
    with pytest.raises(ResourceError, match="cuda:99"):
        engines.pick_device("cuda:99")


def test_golden_files_decode_to_their_symbols(shipped: ModelCard, tiny: ModelCard) -> None:
    folder = Path(__file__).parent.parent / "golden"
    manifest = json.loads((folder / "manifest.json").read_text())
    models = {parse((folder / "good" / n).read_bytes()).header.model for n in manifest["good"]}
    assert {shipped.id, tiny.id} <= models
    for name, facts in manifest["good"].items():
        parsed = parse((folder / "good" / name).read_bytes())
        assert [layer.digest for layer in parsed.layers] == facts["digests"]
        made = decode(parsed)
        assert (made.fault, made.level, list(made.pixels.shape)) == (
            None,
            facts["level"],
            facts["shape"],
        )


def test_files_and_pixels_do_not_depend_on_threads(
    shipped: ModelCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `-j` gives: workers share the cores, so they have fewer threads each."""
    with Image.open(ROOT / "tests" / "pictures" / "parrots.png") as file:
        pixels = np.array(file.convert("RGB"))[:, :512]
    machine, made = engine(shipped), []
    for threads in (1, 2, 3):
        monkeypatch.setattr(parallel, "_CHOSEN", threads)
        latent = machine.analyse(pixels)
        placed = machine.dequantise(machine.quantise(latent), 16)
        made.append((latent.tobytes(), machine.synthesise(placed, 16, 512, 512).tobytes()))
    assert made[0] == made[1] == made[2]
