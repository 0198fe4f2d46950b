"""Indices nest: those of every level are shifts of the finest ones."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sic_cli.codec.quantization import dead_zone
from sic_cli.codec.quantization.step_sizes import (
    MEAN_COLOURS,
    NOT_SENT,
    StepSizes,
    planned,
    staggered,
    step_sizes_of,
)


def made(first_sent: int = 1) -> StepSizes:
    """24 channels, 16 levels; the last channel is sent from level `first_sent` on."""
    unit, depths = staggered(24, 16, 192.0, 8.0, np.zeros((16, 24), np.int32))
    finer = np.maximum.accumulate(np.arange(16) // 4)
    depths[:, list(MEAN_COLOURS)] = np.array([5, 6, 6]) + finer[:, None]
    depths[: first_sent - 1, 23] = NOT_SENT
    return step_sizes_of(unit, depths, *planned(depths, ((6, 4), (24, 1))))


TABLE = made()


def latents(table: StepSizes, scale: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.laplace(size=(table.channels, 5, 7)) * scale).astype(np.float32)


def direct(latent: np.ndarray, step: np.ndarray) -> np.ndarray:
    """Indices by the definition: sign(y) floor(|y| / step)."""
    return (np.sign(latent) * np.floor(np.abs(latent) / step[:, None, None])).astype(np.int32)


@given(st.integers(0, 10**6), st.floats(0.5, 600))
@settings(max_examples=50, deadline=None)
def test_indices_of_every_level_are_shifts_of_the_finest(seed: int, scale: float) -> None:
    latent = latents(TABLE, scale, seed)
    finest = dead_zone.quantise(latent, TABLE)
    for level in range(1, 17):
        got = dead_zone.at_depths(finest, TABLE, TABLE.depths[level - 1])
        assert np.array_equal(got, direct(latent, TABLE.step_sizes(level)))


def test_a_channel_that_is_not_sent_says_nothing() -> None:
    table = made(first_sent=5)
    assert np.isinf(table.step_sizes(4)[23]) and np.isfinite(table.step_sizes(5)[23])
    finest = dead_zone.quantise(latents(table, 300, 1), table)
    assert finest[23].any()
    assert not dead_zone.at_depths(finest, table, table.depths[3])[23].any()
    assert 23 in table.refined_by(5) and 23 not in table.refined_by(4)


def test_what_is_not_zero_behind_a_pass_is_found_where_it_lies() -> None:
    finest = dead_zone.quantise(latents(TABLE, 200, 2), TABLE)
    for one in TABLE.passes:
        behind = dead_zone.at_depths(finest, TABLE, one.after, one.channels)
        flat = dead_zone.gather(behind, one.lattices).reshape(-1)
        places, values = dead_zone.nonzero_behind(finest, TABLE, one)
        assert np.array_equal(places, np.flatnonzero(flat))
        assert np.array_equal(values, flat[places])


def test_values_lie_in_their_intervals() -> None:
    indices = dead_zone.at_depths(
        dead_zone.quantise(latents(TABLE, 100, 1), TABLE), TABLE, TABLE.depths[6]
    )
    value = dead_zone.reconstruct(indices, TABLE, 7, np.full(24, 0.4, np.float32))
    assert np.array_equal(direct(value, TABLE.step_sizes(7)), indices)


def test_latents_beyond_the_first_index_saturate() -> None:
    finest = dead_zone.quantise(np.full((24, 1, 1), 1e9, np.float32), TABLE)
    first = dead_zone.at_depths(finest, TABLE, TABLE.depths[0])
    assert (first == dead_zone.ESCAPE_MAX).all()
