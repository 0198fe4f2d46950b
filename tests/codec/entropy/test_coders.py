"""Two coders, one format: constriction and plain Python write the same bytes and read each other."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sic_cli.codec.entropy import new_decoder, new_encoder
from sic_cli.codec.entropy.tables import TOTAL, FrequencyTable, binary, whole_weights
from sic_cli.errors import CorruptError

CODERS = ["plain"] + (["constriction"] if importlib.util.find_spec("constriction") else [])


@st.composite
def messages(draw: st.DrawFn) -> list[tuple[FrequencyTable, np.ndarray]]:
    parts = []
    for _ in range(draw(st.integers(0, 5))):
        shape = draw(st.lists(st.floats(1e-9, 1.0), min_size=2, max_size=12))
        table = FrequencyTable(whole_weights(np.array(shape)))
        symbols = draw(st.lists(st.integers(0, len(shape) - 1), max_size=60))
        parts.append((table, np.array(symbols, np.int32)))
    return parts


@given(messages())
@settings(max_examples=150, deadline=None)
def test_both_coders_write_the_same_bytes_and_read_them(
    message: list[tuple[FrequencyTable, np.ndarray]],
) -> None:
    payloads = []
    for name in CODERS:
        encoder = new_encoder(name)
        for table, symbols in message:
            encoder.encode(table, symbols)
        payloads.append(encoder.finish())
    assert len(set(payloads)) == 1
    assert not payloads[0].endswith(b"\0")
    for name in CODERS:
        decoder = new_decoder(payloads[0], name)
        for table, symbols in message:
            assert np.array_equal(decoder.decode(table, len(symbols)), symbols)


@pytest.mark.parametrize("name", CODERS)
@pytest.mark.parametrize("symbol", [0, 1])
def test_long_runs_carry_through_whole_words(name: str, symbol: int) -> None:
    """Runs of the last symbol make words of 0xFFFFFFFF that a carry must run through."""
    tables = [binary(1), binary(TOTAL - 1), binary(TOTAL // 2)]
    encoder = new_encoder(name)
    run = np.full(3000, symbol, np.int32)
    for table in tables:
        encoder.encode(table, run)
    payload = encoder.finish()
    decoder = new_decoder(payload, name)
    for table in tables:
        assert np.array_equal(decoder.decode(table, len(run)), run)


@pytest.mark.parametrize("name", CODERS)
def test_a_payload_is_close_to_its_information(name: str) -> None:
    rng = np.random.default_rng(0)
    spare = []
    for _ in range(100):
        ones = int(rng.integers(1 << 14, TOTAL // 2))
        symbols = (rng.random(400) < ones / TOTAL).astype(np.int32)
        encoder = new_encoder(name)
        encoder.encode(binary(ones), symbols)
        share = np.where(symbols == 1, ones, TOTAL - ones) / TOTAL
        spare.append(len(encoder.finish()) + np.log2(share).sum() / 8)
    assert np.mean(spare) < 0.7 and max(spare) < 4


@pytest.mark.parametrize("name", CODERS)
def test_rubbish_decodes_to_something_or_raises_ours(name: str) -> None:
    rng = np.random.default_rng(1)
    table = FrequencyTable(whole_weights(np.array([5.0, 1.0, 0.01])))
    for _ in range(100):
        decoder = new_decoder(rng.bytes(int(rng.integers(0, 40))), name)
        try:
            out = decoder.decode(table, 200)
        except CorruptError:
            continue
        assert out.min() >= 0 and out.max() <= 2


@pytest.mark.parametrize("weights", [[TOTAL], [TOTAL, 0], [1, 2], [TOTAL + 1, -1]])
def test_frequency_tables_that_do_not_sum_up_are_refused(weights: list[int]) -> None:
    with pytest.raises(ValueError, match="2\\*\\*24"):
        FrequencyTable(np.array(weights, np.int64))
