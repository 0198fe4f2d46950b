"""The integer network: exact whatever the order of sums, equal to its trained form, provably bounded."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from sic_cli.codec.engine import Engine, assembled
from sic_cli.codec.inference import context
from sic_cli.codec.inference.integer_network import (
    EXACT,
    check_machine,
    feature_table,
    largest_sums,
)
from sic_cli.codec.networks.context import ContextNetwork
from sic_cli.codec.quantization.dead_zone import Indices, at_depths
from sic_cli.codec.quantization.passes import CodingPass, gather, scatter
from sic_cli.codec.weights.card import ModelCard
from sic_cli.codec.weights.load import load
from tests.tiny import CONFIG

BOTH = pytest.mark.parametrize("which", ["tiny", "shipped"])


def machine_of(which: str, request: pytest.FixtureRequest) -> Engine:
    return assembled(load(request.getfixturevalue(which)))


def drawn(machine: Engine, height: int, width: int, seed: int) -> Indices:
    """Indices at the last level, near 0 and far from it."""
    rng = np.random.default_rng(seed)
    made = (rng.laplace(size=(machine.table.channels, height, width)) * 40).astype(np.int32)
    made[rng.random(made.shape) < 0.3] *= 50
    return made


def before(machine: Engine, target: Indices, number: int) -> tuple[Indices, np.ndarray]:
    """What is decoded before a pass, and where earlier phases of its group have coded, bool (h, w)."""
    table, one = machine.table, machine.table.passes[number]
    indices = at_depths(target, table, one.before).astype(np.int32)
    coded = np.zeros(target.shape[1:], bool)
    for y, x in one.coded:
        coded[y::2, x::2] = True
    finer = at_depths(target, table, one.after)
    return np.where(coded, finer, indices), coded


def features(machine: Engine, indices: Indices, one: CodingPass, coded: np.ndarray) -> np.ndarray:
    """FORMAT.md, section 6.4, in int64: (2 C, h, w)."""
    weights = machine.model_weights
    depth = np.where(coded, one.after[:, None, None], one.before[:, None, None]).astype(int)
    lift = weights.reach.astype(int)[:, None, None] - depth
    m = np.minimum(np.abs(indices), 255)
    value = np.minimum(127, np.floor((2 * m + 1) * 2.0**lift)).astype(int) * np.sign(indices)
    log = np.clip(weights.logs.astype(int)[m] + 16 * lift, 1, 127)
    return np.concatenate([value, np.where(indices != 0, log, 0)])


def integer_logits(machine: Engine, target: Indices, number: int) -> np.ndarray:
    """FORMAT.md, section 6.4, in int64: an independent count of the logits at all positions."""
    w, one = machine.model_weights.context, machine.table.passes[number]
    indices, coded = before(machine, target, number)

    def conv(kernel: np.ndarray, x: np.ndarray) -> np.ndarray:
        k = kernel.astype(np.int64)
        pad = k.shape[2] // 2
        padded = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
        view = np.lib.stride_tricks.sliding_window_view(padded, k.shape[2:], axis=(1, 2))
        return np.einsum("oijk,ihwjk->ohw", k, view)

    def r(v: np.ndarray) -> np.ndarray:
        return (v + 64) >> 7

    def bias(b: np.ndarray) -> np.ndarray:
        return b.astype(np.int64)[:, None, None]

    pending, done = w.entry_bias[number]
    entered = conv(w.entry, features(machine, indices, one, coded))
    x = np.clip(r(entered + np.where(coded, bias(done), bias(pending))), 0, 255)
    h = np.clip(r(conv(w.mid, x) + bias(w.mid_bias[number])), 0, 255)
    x = np.clip(x + r(conv(w.back, h)), 0, 255)
    return conv(w.exit, x) + bias(w.exit_bias[number])


def classes_of(logits: np.ndarray, one: CodingPass) -> np.ndarray:
    significance, sign, refinement = (logits >> 9).reshape(3, -1, *logits.shape[1:])[
        :, one.channels
    ]
    kinds = (
        np.clip(significance + 8, 0, 55),
        np.clip(sign + 16, 0, 31),
        np.clip(refinement + 8, 0, 31),
    )
    return np.stack([gather(kind, one.lattices) for kind in kinds])


@BOTH
@pytest.mark.parametrize(("height", "width"), [(6, 5), (1, 1), (1, 7), (37, 34)])
def test_the_network_is_the_one_that_the_format_describes(
    which: str, height: int, width: int, request: pytest.FixtureRequest
) -> None:
    """Pass after pass, over sums that are updated: all classes, all phases."""
    machine = machine_of(which, request)
    target, incremental = drawn(machine, height, width, 2), machine.context_runner.incremental()
    known = at_depths(target, machine.table, machine.table.start).astype(np.int32)
    for number, one in enumerate(machine.table.passes):
        got = incremental(known, number)
        if which == "tiny" or number % 3 == 0 or one.phases > 1:
            assert np.array_equal(got, classes_of(integer_logits(machine, target, number), one))
        planes = known[one.channels]
        behind = at_depths(target, machine.table, one.after, one.channels)
        scatter(gather(behind, one.lattices), planes, one.lattices)
        known[one.channels] = planes
    assert np.array_equal(known, at_depths(target, machine.table, machine.table.depths[-1]))


def test_the_trained_form_and_the_integers_agree_to_the_last_bit(tiny: ModelCard) -> None:
    machine = assembled(load(tiny))
    torch.manual_seed(0)
    net = ContextNetwork(CONFIG, machine.table.passes)
    weights = net.weights().map(lambda v: v.detach().numpy())
    object.__setattr__(machine.model_weights, "context", weights)
    target = drawn(machine, 9, 8, 3)
    for number, one in enumerate(machine.table.passes):
        indices, coded = before(machine, target, number)
        seen = torch.from_numpy(features(machine, indices, one, coded)).float().permute(1, 2, 0)
        made = net(seen[None], number, torch.from_numpy(coded))[0].detach().numpy() * 2048
        want = integer_logits(machine, target, number)
        want = want.reshape(3, -1, 9, 8)[:, one.channels].transpose(2, 3, 0, 1)
        assert np.array_equal(made, want)


@BOTH
def test_no_sum_of_the_weights_can_reach_2_to_24(
    which: str, request: pytest.FixtureRequest
) -> None:
    assert max(largest_sums(load(request.getfixturevalue(which)).context).values()) < EXACT


def test_a_pass_may_begin_anew_at_the_first_phase_of_a_group(tiny: ModelCard) -> None:
    """And only one that follows the pass before takes over its sums."""
    machine = assembled(load(tiny))
    one, two = (drawn(machine, 8, 6, seed) for seed in (4, 5))
    incremental = machine.context_runner.incremental()
    for target in (one, two):
        for number in (
            n for n, p in enumerate(machine.table.passes) if p.phase == 0 and n % 2 == 0
        ):
            known, _ = before(machine, target, number)
            got = incremental(known, number)
            want = classes_of(integer_logits(machine, target, number), machine.table.passes[number])
            assert np.array_equal(got, want)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_classes_do_not_depend_on_bands_and_threads(
    shipped: ModelCard, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = assembled(load(shipped))
    runner, target = machine.context_runner, drawn(machine, 67, 40, 6)
    monkeypatch.setattr(context, "OUTPUT_POSITIONS", 100)
    for number in (0, 3, 9):
        known, _ = before(machine, target, number)
        sums = runner.first_layer(known, machine.table.passes[number].before)
        if machine.table.passes[number].phase:
            continue
        got = runner.context_classes(sums, number, threads)
        want = classes_of(integer_logits(machine, target, number), machine.table.passes[number])
        assert np.array_equal(got, want)


def test_autocast_of_the_caller_changes_nothing(tiny: ModelCard) -> None:
    machine = assembled(load(tiny))
    known, _ = before(machine, drawn(machine, 5, 5, 3), 0)
    want = machine.context_runner.incremental()(known, 0)
    with torch.autocast("cpu", torch.bfloat16):
        assert np.array_equal(machine.context_runner.incremental()(known, 0), want)


def test_this_machine_adds_whole_numbers_exactly() -> None:
    check_machine.cache_clear()
    check_machine()


def test_sums_beyond_2_to_24_would_be_noticed() -> None:
    """The proof has power: float32 does lose whole numbers above the bound."""
    assert (torch.tensor(float(EXACT)) + 1).item() == EXACT


@BOTH
def test_features_by_look_up_are_those_of_the_formula(
    which: str, request: pytest.FixtureRequest
) -> None:
    machine = machine_of(which, request)
    count = machine.table.channels
    indices = np.broadcast_to(np.arange(-255, 256), (count, 1, 511))
    reach, logs = (
        v.astype(np.int32) for v in (machine.model_weights.reach, machine.model_weights.logs)
    )
    for one in machine.table.passes:
        plain = replace(one, before=one.after)
        want = features(machine, indices, plain, np.zeros((1, 511), bool)).reshape(2, count, 511)
        made = feature_table(reach, one.after.astype(np.int32), logs, np.arange(-255, 256))
        sent = one.after >= 0
        assert np.array_equal(made[sent], want.transpose(1, 2, 0)[sent])


def test_large_indices_count_as_the_largest_of_the_table(shipped: ModelCard) -> None:
    machine = assembled(load(shipped))
    number = machine.table.passes_of(9)[0]
    indices, several = np.zeros((machine.table.channels, 2, 3), np.int32), []
    for most in (255, 256, 100_000):
        indices[:5, 1, 1] = most, -most, most, -most, most
        several.append(machine.context_runner.incremental()(indices, number))
    assert np.array_equal(several[0], several[1]) and np.array_equal(several[0], several[2])
