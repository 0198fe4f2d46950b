"""sic train run: every option reaches the run that it is about; what makes no sense ends at once."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from sic_cli.training import loop
from sic_cli.training.config import TrainConfig
from tests.conftest import Outcome, run_main


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What `train` was called with; the folders that a run needs are there."""
    (tmp_path / "packed").mkdir()
    (tmp_path / "packed" / "index.json").write_text("{}")
    (tmp_path / "lpips.safetensors").touch()
    seen: list[Any] = []
    monkeypatch.setattr(loop, "train", lambda *words: seen.extend(words))
    monkeypatch.chdir(tmp_path)
    return seen


def run(*more: str) -> Outcome:
    return run_main(
        *("train", "run", "--packed", "packed", "--validation", ".", "--out", "out", *more)
    )


def test_without_options_it_is_the_default(given: list[Any]) -> None:
    assert run().code == 0
    where, config, _ = given
    assert config == TrainConfig() and (where.minutes, where.crops, where.final) == (60, 0, False)


def test_every_number_arrives(given: list[Any]) -> None:
    words = {
        **{"batch": 2, "crop": 64, "lr": 1e-4, "ema": 0.9, "decay": 1.0, "seed": 7, "even": 0.25},
        **{"lpips": 3.0, "statistics": 0.5, "blocking": 2.0, "favour": 1.5, "only_level": 4},
        **{"samples": 2, "full": 0.5, "consistency": 0.1},
    }
    more = [f"--{name.replace('_', '-')}={value}" for name, value in words.items()]
    more += ["--crops=80", "--minutes=2", "--stage=decoder", "--final", "--processes=2"]
    assert run("--backbones", "lpips.safetensors", *more).code == 0
    where, config, _ = given
    assert {name: getattr(config, name) for name in words} == words
    assert config.muon_lr == 2e-4 and config.stage == "decoder"
    assert (where.crops, where.minutes, where.final, where.processes) == (80, 2, True, 2)
    unnamed = {f.name for f in fields(TrainConfig)} - set(words)
    assert {"stage", "muon_lr"} < unnamed and not {"blocking", "samples"} & unnamed


@pytest.mark.parametrize(
    ("more", "code"),
    [
        (["--crop", "100"], 2),
        (["--lpips", "1"], 2),
        (["--samples", "0"], 2),
        (["--blocking", "-1"], 2),
        (["--minutes", "0"], 2),
        (["--validation", "nowhere"], 4),
        (["--packed", "nowhere"], 4),
    ],
    ids=str,
)
def test_wrong_options_end_before_any_work(given: list[Any], more: list[str], code: int) -> None:
    assert run(*more).code == code
    assert not given
