"""The integer network: exact whatever the order of sums, equal to its trained form, provably bounded."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from sic_cli.codec.engine import assembled
from sic_cli.codec.inference.integer_network import (
    EXACT,
    check_machine,
    feature_table,
    largest_sums,
)
from sic_cli.codec.networks.context import (
    ContextNet,
    exact,
    features,
    logits,
    magnitude_logs,
    trunk,
)
from sic_cli.codec.quantization.dead_zone import at_depths
from sic_cli.codec.weights.card import Card
from sic_cli.codec.weights.load import load
from sic_cli.errors import ModelError
from sic_cli.training.export import context_tensors
from tests.tiny import CONFIG


def integer_context(release, indices: np.ndarray, coding_pass: int) -> np.ndarray:  # type: ignore[no-untyped-def]
    """FORMAT.md section 6.4 in numpy int64: an independent count of the same logits."""
    w, table = release.context, assembled(release).table
    reach = release.reach.astype(int)
    lift = reach - table.pass_depths[coding_pass].astype(int)
    m = np.minimum(np.abs(indices), 255)
    value = np.minimum(127, np.floor((2 * m + 1) * 2.0 ** lift[:, None, None])).astype(
        int
    ) * np.sign(indices)
    log = np.clip(release.logs.astype(int)[m] + 16 * lift[:, None, None], 1, 127)
    seen = np.concatenate([value, np.where(indices != 0, log, 0)])

    def conv(kernel: np.ndarray, x: np.ndarray) -> np.ndarray:
        k = kernel.astype(np.int64)
        pad = k.shape[2] // 2
        padded = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
        view = np.lib.stride_tricks.sliding_window_view(padded, k.shape[2:], axis=(1, 2))
        return np.einsum("oijk,ihwjk->ohw", k, view)

    def r(v: np.ndarray) -> np.ndarray:
        return (v + 64) >> 7

    def bias(b: np.ndarray) -> np.ndarray:
        return b[coding_pass].astype(np.int64)[:, None, None]

    x = r(conv(w.entry, seen) + bias(w.entry_bias))
    for mid, mid_bias, back in zip(w.mid, w.mid_bias, w.back, strict=True):
        h = np.clip(r(conv(mid, np.clip(x, 0, 255)) + bias(mid_bias)), 0, 255)
        x = x + r(conv(back, h))
    return conv(w.exit, np.clip(x, 0, 255)) + bias(w.exit_bias)


@pytest.mark.parametrize("which", ["tiny", "shipped"])
def test_the_network_is_the_one_that_the_format_describes(
    which: str, request: pytest.FixtureRequest
) -> None:
    release = load(request.getfixturevalue(which))
    machine, rng = assembled(release), np.random.default_rng(2)
    table = machine.table
    for coding_pass in range(0, len(table.pass_level), 3):
        indices = (rng.laplace(size=(table.channels, 6, 5)) * 3).astype(np.int32)
        indices[table.pass_depths[coding_pass] < 0] = 0
        want = integer_context(release, indices, coding_pass)
        channels = np.arange(table.channels)
        got = machine.context_runner.context_classes(indices, coding_pass, channels)
        zero, sign, inner = (want >> 9).reshape(3, table.channels, 6, 5)
        assert np.array_equal(got[0], np.clip(zero + 8, 0, 55))
        assert np.array_equal(got[1], np.clip(sign + 16, 0, 31))
        assert np.array_equal(got[2], np.clip(inner + 8, 0, 31))


def test_the_trained_form_and_the_integers_agree_to_the_last_bit() -> None:
    torch.manual_seed(0)
    net = ContextNet(CONFIG, 9)
    indices = torch.from_numpy(
        (np.random.default_rng(0).laplace(size=(2, 8, 5, 6)) * 2).astype(np.int32)
    ).float()
    depth, reach, coding_pass = torch.full((2, 8), 3.0), torch.full((8,), 4.0), torch.tensor([2, 5])
    seen = features(indices, depth, reach, magnitude_logs())
    trained = net(seen, coding_pass).detach() * 2048
    with exact():
        whole = logits(net.weights(), trunk(net.weights(), seen, coding_pass), coding_pass)
    assert torch.equal(trained, whole) and torch.equal(whole, whole.round())


@pytest.mark.parametrize("which", ["tiny", "shipped"])
def test_no_sum_of_a_release_can_reach_2_to_24(which: str, request: pytest.FixtureRequest) -> None:
    assert max(largest_sums(load(request.getfixturevalue(which)).context).values()) < EXACT


def test_export_refuses_a_network_whose_sums_could_overflow() -> None:
    net = ContextNet(replace(CONFIG, context_width=600), 9)
    with torch.no_grad():
        net.exit.fill_(1.0)
    with pytest.raises(ModelError, match="exit may reach"):
        context_tensors(net.weights().map(lambda v: v.detach().numpy()))


def test_a_step_that_refines_nothing_has_no_classes(tiny: Card) -> None:
    indices = np.zeros((8, 2, 3), np.int16)
    none = assembled(load(tiny)).context_runner.context_classes(indices, 0, np.zeros(0, np.intp))
    assert none.shape == (3, 0, 2, 3)


def test_autocast_of_the_caller_changes_nothing(tiny: Card) -> None:
    release = load(tiny)
    context_runner, indices = (
        assembled(release).context_runner,
        np.random.default_rng(3).integers(-9, 9, (8, 5, 5)).astype(np.int32),
    )
    channels = np.arange(8)
    want = context_runner.context_classes(indices, 6, channels)
    with torch.autocast("cpu", torch.bfloat16):
        assert np.array_equal(context_runner.context_classes(indices, 6, channels), want)


def test_this_machine_adds_whole_numbers_exactly() -> None:
    check_machine.cache_clear()
    check_machine()


def test_sums_beyond_2_to_24_would_be_noticed() -> None:
    """The proof has power: float32 does lose whole numbers above the bound."""
    assert (torch.tensor(float(EXACT)) + 1).item() == EXACT


@pytest.mark.parametrize("positions", [1, 40, 77])
def test_strips_of_any_height_give_the_same_classes(
    shipped: Card, positions: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = load(shipped)
    machine = assembled(release)
    context_runner, table = machine.context_runner, machine.table
    rng = np.random.default_rng(4)
    indices = rng.integers(-3, 4, (table.channels, 19, 11)).astype(np.int32)
    channels = np.flatnonzero(table.pass_depths[8] > table.pass_depths[7])
    whole = context_runner.context_classes(indices, 7, channels)
    monkeypatch.setattr("sic_cli.codec.inference.context.STRIP_POSITIONS", positions)
    assert np.array_equal(context_runner.context_classes(indices, 7, channels), whole)


@pytest.mark.parametrize("which", ["tiny", "shipped"])
def test_features_by_look_up_are_those_of_the_formula(
    which: str, request: pytest.FixtureRequest
) -> None:
    release = load(request.getfixturevalue(which))
    table = assembled(release).table
    indices = torch.arange(-255, 256).float().expand(1, table.channels, 1, 511)
    whole = [v.astype(np.int32) for v in (release.reach, release.logs)]
    for depth in table.pass_depths:
        tensors = (torch.from_numpy(v).float() for v in (depth[None], *whole))
        want = features(indices, *tensors).reshape(2, table.channels, 511).numpy()
        depths = depth.astype(np.int32)
        made = feature_table(whole[0], depths, whole[1], np.arange(-255, 256))
        sent = depth >= 0
        assert np.array_equal(made[sent], want.transpose(1, 2, 0)[sent])


def test_large_cells_count_as_the_largest_of_the_table(shipped: Card) -> None:
    machine = assembled(load(shipped))
    indices = np.zeros((machine.table.channels, 2, 3), np.int32)
    channels, several = np.arange(machine.table.channels), []
    for most in (255, 256, 100_000):
        indices[:5, 1, 1] = most, -most, most, -most, most
        several.append(machine.context_runner.context_classes(indices, 9, channels))
    assert np.array_equal(several[0], several[1]) and np.array_equal(several[0], several[2])


@pytest.mark.parametrize("which", ["tiny", "shipped"])
def test_steps_in_their_order_have_the_classes_of_each_step_alone(
    which: str, request: pytest.FixtureRequest
) -> None:
    """Sums that are carried from pass to pass, over indices near 0 and far from it."""
    machine = assembled(load(request.getfixturevalue(which)))
    context_runner, table, rng = machine.context_runner, machine.table, np.random.default_rng(6)
    target_indices = (rng.laplace(size=(table.channels, 37, 34)) * 40).astype(np.int32)
    target_indices[rng.random(target_indices.shape) < 0.3] *= 50
    following, jumping = context_runner.incremental(), context_runner.incremental()
    for coding_pass in range(len(table.pass_level)):
        indices, channels = (
            at_depths(target_indices, table, table.pass_depths[coding_pass]),
            context_runner.refined_channels(coding_pass),
        )
        want = context_runner.context_classes(indices, coding_pass, channels)
        assert np.array_equal(following(indices, coding_pass, channels), want)
        if coding_pass % 3:  # begins anew wherever a pass was left out
            assert np.array_equal(jumping(indices, coding_pass, channels), want)
    assert len(np.unique(want)) > 10


@pytest.mark.parametrize("kept", [0, 1 << 17])
def test_the_first_cells_of_another_picture_begin_anew(
    tiny: Card, kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sic_cli.codec.inference.context.KEPT_POSITIONS", kept)
    machine, rng = assembled(load(tiny)), np.random.default_rng(7)
    following, table = machine.context_runner.incremental(), machine.table
    for size in (3, 5):
        target_indices = (rng.laplace(size=(table.channels, size, 4)) * 9).astype(np.int32)
        for coding_pass in range(4):
            indices = at_depths(target_indices, table, table.pass_depths[coding_pass])
            channels = machine.context_runner.refined_channels(coding_pass)
            want = machine.context_runner.context_classes(indices, coding_pass, channels)
            assert np.array_equal(following(indices, coding_pass, channels), want)
