"""Each stage: what learns, what stays as it is, and that a run that was stopped goes on to the bit."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from sic_cli.errors import ModelError, UsageError
from sic_cli.training.checkpoint import (
    NAME,
    TrainingProgress,
    TrainingState,
    averaged,
    load,
    load_resumable,
    read,
    save,
    save_resumable,
    transforms_of,
    under,
)
from sic_cli.training.config import STAGES, Stage
from sic_cli.training.loop import LOG, Worker, begin, train
from sic_cli.training.objective import TERMS
from tests.tiny import CONFIG
from tests.training.made import backbones, config_of, packed, run_of, tiny_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Packed pictures, networks of the perceptual loss, and a checkpoint `start` of both decoders."""
    made = backbones(packed(tmp_path_factory.mktemp("train")))
    torch.set_num_threads(1)
    model = tiny_model(perceptual=True)
    state = TrainingState(
        model, {}, [], torch.zeros(TERMS, CONFIG.levels), TrainingProgress(stage="both")
    )
    save(made / "start", state)
    return made


def parameters(path: Path) -> dict[str, Tensor]:
    return read(path)[0]


def run(folder: Path, out: Path, stage: Stage, crops: int, **more: object) -> dict[str, Tensor]:
    """All tensors of a checkpoint of so many crops."""
    start = None if stage == "mse" else str(folder / "start")
    where = run_of(folder, out=str(out), start=start, crops=crops, **more)
    train(where, config_of(stage), CONFIG)
    return parameters(out / NAME)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stopped_run_goes_on_to_the_bit(folder: Path, tmp_path: Path, stage: Stage) -> None:
    whole = run(folder, tmp_path / "whole", stage, 10)
    run(folder, tmp_path / "parts", stage, 6)
    parts = run(folder, tmp_path / "parts", stage, 10)
    assert whole.keys() == parts.keys()
    for name, value in whole.items():
        assert torch.equal(value, parts[name]), name
    assert any(name.startswith("optimiser1.exp_avg") for name in whole)


def test_stage_mse_learns_from_nothing(folder: Path, tmp_path: Path) -> None:
    after = run(folder, tmp_path, "mse", 6)
    assert not under(after, "model.perceptual.")
    assert after["norms"][0].max() > 0 and after["norms"][1:].max() == 0
    assert after["model.analysis.exit.weight"].abs().max() > 0, "it began at zero"


def test_stage_both_grows_a_second_decoder_and_all_of_it_learns(
    folder: Path, tmp_path: Path
) -> None:
    one = run(folder, tmp_path / "mse", "mse", 2)
    where = run_of(folder, out=str(tmp_path / "both"), start=str(tmp_path / "mse"), crops=6)
    train(where, config_of("both"), CONFIG)
    after = parameters(tmp_path / "both" / NAME)
    average = under(one, "average.")
    for name in ("analysis.exit.weight", "mse.exit.weight", "centre"):
        assert not torch.equal(after[f"model.{name}"], average[name]), name
    mse, perceptual = under(after, "model.mse."), under(after, "model.perceptual.")
    assert perceptual.keys() - mse.keys() == {
        f"noise{stride}{end}" for stride in (4, 8, 16) for end in (".weight", "_gain")
    }
    assert not torch.equal(mse["exit.weight"], perceptual["exit.weight"])
    assert (after["norms"].max(1).values > 0).all(), "each term is divided by its own mean"


@pytest.mark.parametrize("kind", ["heads", "patches"])
def test_stage_gan_moves_the_perceptual_decoder_alone(
    folder: Path, tmp_path: Path, kind: str
) -> None:
    before = parameters(folder / "start")
    where = run_of(folder, out=str(tmp_path), start=str(folder / "start"), crops=10)
    train(where, config_of("gan", discriminator=kind), CONFIG)
    after = parameters(tmp_path / NAME)
    for name, value in under(before, "model.").items():
        same = torch.equal(value, after[f"model.{name}"])
        assert same or name.startswith("perceptual."), name
    assert not torch.equal(
        before["model.perceptual.head_out.weight"], after["model.perceptual.head_out.weight"]
    )
    assert under(after, "discriminator.")
    assert {n.split(".")[0] for n in under(after, "average.")} == {"perceptual"}


def test_heads_learn_alone_before_the_decoder_follows(folder: Path, tmp_path: Path) -> None:
    first = run(folder, tmp_path, "gan", 4)
    before = parameters(folder / "start")
    name = "model.perceptual.head_out.weight"
    assert torch.equal(before[name], first[name]), "4 crops belong to the discriminator"
    judged = {k: v for k, v in first.items() if k.startswith("discriminator.")}
    second = run(folder, tmp_path, "gan", 6)
    assert not torch.equal(before[name], second[name])
    assert any(not torch.equal(v, second[k]) for k, v in judged.items())


def test_two_processes_hold_the_mean_of_their_weights(folder: Path, tmp_path: Path) -> None:
    """A run of two processes ends with the mean of what each would have trained alone."""
    config = config_of("mse")
    where = run_of(folder, out=str(tmp_path / "run"), crops=8, processes=2, port=29610)
    train(where, config, CONFIG)
    together = parameters(tmp_path / "run" / NAME)
    (tmp_path / "alone").mkdir()
    begin(run_of(folder, out=str(tmp_path / "alone")), config, CONFIG)
    found = []
    for rank in range(2):
        alone = Worker(rank, replace(where, out=str(tmp_path / "alone")), config)
        for _ in range(2):
            alone.set_rates(0.0)
            alone.step()
            alone.state.progress.steps += 1
            alone.state.progress.crops += 4
        found.append(alone.state.tensors())
    assert together["model.mse.exit.weight"].abs().max() > 0
    for name, value in under(together, "model.").items():
        a, b = (one[f"model.{name}"].float() for one in found)
        assert torch.allclose(value.float(), (a + b) / 2, atol=1e-7), name
    for name, value in under(together, "optimiser1.").items():
        a, b = (one[f"optimiser1.{name}"] for one in found)
        assert torch.allclose(value, (a + b) / 2, rtol=1e-5, atol=1e-12), name


def test_a_run_stops_by_the_clock_and_leaves_a_table(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    handlers = [signal.getsignal(name) for name in (signal.SIGINT, signal.SIGTERM)]
    where = run_of(
        folder, out=str(tmp_path), start=str(folder / "start"), minutes=0.01, evaluate_minutes=9.0
    )
    train(where, config_of("both"), CONFIG)
    assert handlers == [signal.getsignal(name) for name in (signal.SIGINT, signal.SIGTERM)]
    shown = capsys.readouterr()
    assert "LPIPS-Alex" in shown.out and "computes in float32" in shown.err
    assert len((tmp_path / LOG).read_text().splitlines()) == 2, "at the start and at the end"
    _, progress, _ = load(tmp_path / NAME)
    assert progress.crops == 2 * progress.steps > 0


def test_a_signal_writes_a_checkpoint_first_and_the_run_goes_on_to_the_bit(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(folder, tmp_path / "whole", "both", 8)
    step = Worker.step

    def stopped(self: Worker) -> None:
        step(self)
        signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patched, pytest.raises(SystemExit) as end:
        patched.setattr(Worker, "step", stopped)
        run(folder, tmp_path / "parts", "both", 8)
    assert end.value.code == 128 + signal.SIGTERM
    assert load(tmp_path / "parts" / NAME)[1].crops == 2
    parts = run(folder, tmp_path / "parts", "both", 8)
    for name, value in whole.items():
        assert torch.equal(value, parts[name]), name


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_checkpoint_is_written_whole_or_not_at_all(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    """A disk that fails under a checkpoint, at its bytes or at its name, leaves the last one and nothing else."""
    run(folder, tmp_path, "mse", 4)
    before = (tmp_path / NAME).read_bytes()

    def fail(*_: object) -> None:
        raise OSError("no space left on device")

    with monkeypatch.context() as patched, pytest.raises(OSError, match="no space left"):
        patched.setattr(os, failing, fail)
        run(folder, tmp_path, "mse", 8)
    assert (tmp_path / NAME).read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [NAME]
    run(folder, tmp_path, "mse", 8)
    assert load(tmp_path / NAME)[1].crops == 8


def test_wrong_starts_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="needs --start"):
        train(run_of(folder, out=str(tmp_path / "a")), config_of("both"), CONFIG)
    run(folder, tmp_path / "mse", "mse", 2)
    where = run_of(folder, out=str(tmp_path / "b"), start=str(tmp_path / "mse"))
    with pytest.raises(UsageError, match="no perceptual decoder"):
        train(where, config_of("gan"), CONFIG)
    with pytest.raises(UsageError, match="is of stage mse, not both"):
        train(run_of(folder, out=str(tmp_path / "mse")), config_of("both"), CONFIG)
    (tmp_path / "broken").write_bytes(b"no tensors")
    with pytest.raises(ModelError, match="not a file of tensors"):
        train(run_of(folder, start=str(tmp_path / "broken")), config_of("mse"), CONFIG)
    with pytest.raises(ModelError, match="no such file"):
        train(run_of(folder, start=str(tmp_path / "none")), config_of("mse"), CONFIG)
    with pytest.raises(ModelError, match="no networks of the perceptual loss"):
        run(folder, tmp_path / "c", "gan", 2, backbones=str(tmp_path))


def test_what_travels_in_16_bits_goes_on(folder: Path, tmp_path: Path) -> None:
    run(folder, tmp_path / "run", "gan", 8)
    save_resumable(tmp_path / "small", tmp_path / "run" / NAME)
    kept = parameters(tmp_path / "small")
    assert not any(name.startswith(("model.analysis", "model.mse")) for name in kept)
    load_resumable(tmp_path / "again", tmp_path / "small", folder / "start")
    one, two = parameters(tmp_path / "run" / NAME), parameters(tmp_path / "again")
    assert one.keys() == two.keys()
    for name, value in one.items():
        assert torch.allclose(value.float(), two[name].float(), rtol=1e-2, atol=1e-3), name
    where = run_of(
        folder, out=str(tmp_path / "on"), start=str(folder / "start"), crops=10,
        resume=str(tmp_path / "small"),
    )  # fmt: skip
    train(where, config_of("gan"), CONFIG)
    assert load(tmp_path / "on" / NAME)[1].crops == 10


def test_averages_are_what_a_run_begins_with(folder: Path, tmp_path: Path) -> None:
    after = run(folder, tmp_path, "mse", 6)
    model, progress = averaged(tmp_path / NAME)
    again, _ = transforms_of(tmp_path)
    assert progress.crops == 6
    for one in (model, again):
        weight = one.mse.exit.weight.detach()
        assert torch.equal(weight, after["average.mse.exit.weight"])
        assert not torch.equal(weight, after["model.mse.exit.weight"])


def test_steps_that_went_wrong_count_for_nothing(folder: Path, tmp_path: Path) -> None:
    model = tiny_model()
    state = TrainingState(
        model, {}, [], torch.zeros(TERMS, CONFIG.levels), TrainingProgress(stage="mse")
    )
    with torch.no_grad():
        model.mse.scale.fill_(float("nan"))
    (tmp_path / "run").mkdir()
    save(tmp_path / "run" / NAME, state)
    train(replace(run_of(folder, out=str(tmp_path / "run")), crops=4), config_of("mse"), CONFIG)
    after, _, _ = load(tmp_path / "run" / NAME)
    assert torch.equal(after.mse.exit.weight, model.mse.exit.weight)
