"""Indices nest, level tables only become finer, details stay inside their intervals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sic_cli.codec.quantization import dead_zone, sampling
from sic_cli.codec.quantization.step_sizes import NOT_SENT, StepSizes, build, partition, staggered

TABLE = staggered(24, 16, 192.0, 8.0, np.zeros(24, np.int8), (2, 6), 2)


def latents(table: StepSizes, scale: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.laplace(size=(table.channels, 5, 7)) * scale).astype(np.float32)


def direct(latent: np.ndarray, width: np.ndarray) -> np.ndarray:
    """Indices by the definition: sign(y) floor(|y| / w)."""
    return (np.sign(latent) * np.floor(np.abs(latent) / width[:, None, None])).astype(np.int32)


@given(st.integers(0, 10**6), st.floats(0.5, 600))
@settings(max_examples=50, deadline=None)
def test_indices_of_every_level_are_shifts_of_the_finest(seed: int, scale: float) -> None:
    latent = latents(TABLE, scale, seed)
    finest = dead_zone.quantise(latent, TABLE)
    for level in range(1, 17):
        got = dead_zone.at_depths(finest, TABLE, TABLE.depths[level - 1])
        assert np.array_equal(got, direct(latent, TABLE.step_sizes(level)))


@pytest.mark.parametrize("table", [TABLE, partition(24, 4, 16.0)])
def test_steps_go_one_depth_at_a_time_and_end_at_each_level(table: StepSizes) -> None:
    passes = table.pass_depths.astype(int)
    assert (passes[0] == NOT_SENT).all()
    gain = np.diff(passes, axis=0)
    assert (gain >= 0).all() and (gain[passes[:-1] != NOT_SENT] <= 1).all()
    for level in range(1, table.levels + 1):
        assert np.array_equal(passes[table.passes_of(level)[-1] + 1], table.depths[level - 1])


def test_the_papers_channel_partition_is_a_level_table() -> None:
    table = partition(512, 16, 1.0)
    sent = [int(np.isfinite(table.step_sizes(k)).sum()) for k in range(1, 17)]
    assert sent == [32 * k for k in range(1, 17)]
    assert set(np.unique(table.step_sizes(7))) == {1.0, np.inf}


def test_a_table_that_becomes_coarser_is_refused() -> None:
    with pytest.raises(ValueError, match="finer"):
        build(np.ones(2, np.float32), np.array([[2, 2], [2, 1]], np.int8))


@given(st.integers(0, 2**32 - 1), st.integers(1, 16))
@settings(max_examples=30, deadline=None)
def test_details_stay_inside_their_intervals(seed: int, level: int) -> None:
    indices = dead_zone.quantise(latents(TABLE, 100, 1), TABLE)
    indices = dead_zone.at_depths(indices, TABLE, TABLE.depths[level - 1])
    dead_zone_scale = np.full(24, 0.2, np.float32)
    made = sampling.sample(indices, TABLE, level, dead_zone_scale, seed)
    assert np.array_equal(direct(made, TABLE.step_sizes(level)), indices)


def test_details_depend_on_seed_channel_and_place_alone() -> None:
    whole = sampling.random_words((6, 9, 11), 7)
    assert np.array_equal(whole[:3, :4, :5], sampling.random_words((3, 4, 5), 7))
    assert not np.array_equal(whole, sampling.random_words((6, 9, 11), 8))
    assert sampling.random_words((1, 1, 2), 7).tolist() == [[[1007064072, 1598449436]]]
    many = sampling.random_words((4, 100, 100), 3) / 2.0**32
    assert (
        abs(many.mean() - 0.5) < 0.01
        and abs(np.corrcoef(many[0].ravel(), many[1].ravel())[0, 1]) < 0.03
    )


def test_latents_beyond_the_first_cut_saturate() -> None:
    table = partition(4, 2, 1.0)
    indices = dead_zone.quantise(np.full((4, 1, 1), 1e9, np.float32), table)
    assert indices.max() == dead_zone.ESCAPE_MAX
