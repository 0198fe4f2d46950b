"""sic train: every option reaches the run that it is about; what makes no sense ends at once."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from sic_cli.codec.inference.config import ModelConfig
from sic_cli.codec.weights.card import ModelCard
from sic_cli.training import assemble, context, loop, mean_colours
from sic_cli.training.config import DEFAULTS, STAGES, TrainConfig
from tests.conftest import Outcome, run_main


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the work was called with; the folders that a run needs are there."""
    (tmp_path / "packed").mkdir()
    (tmp_path / "packed" / "index.json").write_text("{}")
    (tmp_path / "start").touch()
    seen: list[Any] = []
    for module, name in (
        (loop, "train"),
        (context, "train_context"),
        (mean_colours, "train_mean_colours"),
    ):
        monkeypatch.setattr(module, name, lambda *words: seen.extend(words))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SIC_LPIPS_WEIGHTS", raising=False)
    return seen


def run(*more: str) -> Outcome:
    return run_main(
        *("train", "run", "--packed", "packed", "--validation", ".", "--out", "out", *more)
    )


@pytest.mark.parametrize("stage", STAGES)
def test_without_options_it_is_the_stages_default(given: list[Any], stage: str) -> None:
    assert run("--stage", stage, "--backbones", ".", "--start", "start").code == 0
    where, config, _ = given
    assert config == DEFAULTS[stage]  # type: ignore[index]
    assert (where.minutes, where.crops, where.final) == (60, 0, False)
    assert (where.start, where.backbones, where.precision) == ("start", ".", "auto")


def test_every_number_arrives(given: list[Any]) -> None:
    words = {
        **{"batch": 2, "crop": 64, "lr": 1e-4, "ema": 0.9, "decay": 1.0, "seed": 7, "even": 0.5},
        **{"lpips_alex": 3.0, "lpips_squeeze": 1.5, "statistics": 0.5, "blocking": 2.0},
        **{"favour": 1.5, "price": 2.5, "encoder_lr": 0.2, "average_every": 3, "only_level": 4},
        **{"adversarial": 0.3, "alone": 9, "discriminator_lr": 1e-3},
    }
    more = [f"--{name.replace('_', '-')}={value}" for name, value in words.items()]
    more += ["--crops=80", "--minutes=2", "--stage=gan", "--final", "--processes=2", "--threads=3"]
    more += ["--discriminator=patches", "--precision=float32", "--backbones=.", "--start=start"]
    assert run(*more, "--resume", "start").code == 0
    where, config, _ = given
    assert {name: getattr(config, name) for name in words} == words
    assert (config.muon_lr, config.stage, config.discriminator) == (2e-4, "gan", "patches")
    assert (where.crops, where.minutes, where.final, where.processes) == (80, 2, True, 2)
    assert (where.threads, where.precision, where.resume) == (3, "float32", "start")
    unnamed = {f.name for f in fields(TrainConfig)} - set(words)
    assert unnamed == {"stage", "muon_lr", "discriminator", "linear_lr", "warmup", "clip"}


def test_backbones_may_come_from_the_environment(
    given: list[Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SIC_LPIPS_WEIGHTS", str(tmp_path))
    assert run("--stage", "both", "--start", "start").code == 0
    assert given[0].backbones == str(tmp_path)


@pytest.mark.parametrize(
    ("more", "code"),
    [
        (["--crop", "100"], 2),
        (["--stage", "gan", "--start", "start"], 2),
        (["--stage", "joint"], 2),
        (["--resume", "start"], 2),
        (["--blocking", "-1"], 2),
        (["--minutes", "0"], 2),
        (["--start", "no-such-weights"], 6),
        (["--validation", "nowhere"], 4),
        (["--packed", "nowhere"], 4),
    ],
    ids=str,
)
def test_wrong_options_end_before_any_work(given: list[Any], more: list[str], code: int) -> None:
    assert run(*more).code == code
    assert not given


def test_the_context_network_gets_its_options(given: list[Any]) -> None:
    words = ["train", "context", "--packed", "packed", "--validation", ".", "--out", "out"]
    words += ["--transforms", "start", "--crops", "90", "--minutes", "3", "--variants", "1"]
    assert run_main(*words, "--seed", "4").code == 0
    where, config = given
    assert (where.transforms, where.out, where.minutes, where.variants) == ("start", "out", 3, 1)
    assert (config.crops, config.seed) == (90, 4)


def test_mean_colours_get_theirs(given: list[Any]) -> None:
    words = ["train", "mean-colours", "--indices", "packed", "--transforms", "start", "file"]
    assert run_main(*words, "--steps", "5").code == 0
    assert given == [Path("start"), Path("packed"), Path("file"), 5, 1, 0]


def test_an_export_gets_its_parts(
    given: list[Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def called(*words: Any) -> ModelCard:
        given.extend(words)
        return ModelCard("own", tmp_path / "own", "ab" * 32, 1, ModelConfig(), {})

    monkeypatch.setattr(assemble, "export", called)
    (tmp_path / "packed" / "pixels.bin").write_bytes(b"0")
    (tmp_path / "packed" / "index.json").write_text('{"pictures": [], "digest": ""}')
    words = ["train", "export", "--packed", "packed", "--transforms", "start", "--name", "own"]
    assert run_main(*words, "--context", "nowhere").code == 6 and not given
    done = run_main(*words, "--context", "start", "--crops", "8")
    assert done.code == 0 and b"own" in done.out
    assert given[:2] == [Path("start"), Path("start")] and given[4:] == ["own", 8]
