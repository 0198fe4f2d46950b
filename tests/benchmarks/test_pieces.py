"""Benchmarks that train: pieces add up to the same run, and the tables say what they should."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from sic_cli.training.checkpoint import NAME, TrainingProgress, TrainingState, save
from sic_cli.training.config import DEFAULTS, TrainConfig
from sic_cli.training.data import pack
from sic_cli.training.evaluate import Curve
from sic_cli.training.objective import TERMS
from tests.conftest import ROOT
from tests.tiny import CONFIG, made_picture
from tests.training.made import tiny_model

sys.path.insert(0, str(ROOT / "benchmarks"))
import ablation
import embedding
import pieces


@pytest.fixture
def plan(tmp_path: Path) -> pieces.Plan:
    """Four crops a run, all in one piece, two pictures in each set."""
    for name in ("holdout", "kodak", "train"):
        (tmp_path / name).mkdir()
        for seed in range(2):
            picture = Image.fromarray(made_picture(96, 80, seed))
            picture.save(tmp_path / name / f"{seed}.png")
    pack([tmp_path / "train"], tmp_path / "packed", workers=1)
    norms = torch.zeros(TERMS, CONFIG.levels)
    progress = TrainingProgress(stage="mse")
    (tmp_path / "start").mkdir()
    save(tmp_path / "start" / NAME, TrainingState(tiny_model(), {}, [], norms, progress))
    sets = {name: tmp_path / name for name in ("holdout", "kodak")}
    start = str(tmp_path / "start")
    return pieces.Plan(
        tmp_path / "out", tmp_path / "packed", start, 4, 1e4, 1, "cpu", None, sets, 1
    )


BASE = TrainConfig(batch=2, crop=64, lr=1e-4, muon_lr=2e-4)


def test_the_price_of_embedding_is_found_piece_by_piece(plan: pieces.Plan) -> None:
    runs = {"joint": BASE, "level-2": replace(BASE, only_level=2)}
    only = {"level-2": [2]}
    short = replace(plan, minutes=1e-9)
    assert pieces.go_on(short, runs, only) == ["joint", "level-2"]
    assert embedding.table(plan, [2]) == []
    assert pieces.go_on(plan, runs, only) == []
    rows = embedding.table(plan, [2])
    assert [(r["set"], r["level"]) for r in rows] == [("holdout", 2), ("kodak", 2)]
    assert all(abs(r["price_percent"]) < 20 for r in rows)  # type: ignore[arg-type]
    before = (plan.out / "joint" / "checkpoint.safetensors").read_bytes()
    assert pieces.go_on(plan, runs, only) == []
    assert (plan.out / "joint" / "checkpoint.safetensors").read_bytes() == before
    embedding.report(plan.out, rows, [])
    assert json.loads((plan.out / "embedding.json").read_text())["rows"] == rows
    assert "| kodak | 2 |" in (plan.out / "embedding.md").read_text()
    with pytest.raises(SystemExit, match="other options"):
        pieces.go_on(replace(plan, crops=8), runs, only)


def test_variants_change_what_they_name_and_get_a_row_each(plan: pieces.Plan) -> None:
    plan = replace(plan, sets={"holdout": plan.sets["holdout"]})
    names = ["plain", "price=9,even=0"]
    runs = {name: pieces.config_of(BASE, name) for name in names}
    assert runs["plain"] == BASE and (runs[names[1]].price, runs[names[1]].even) == (9, 0)
    assert pieces.go_on(plan, runs, {}) == []
    rows = ablation.table(plan, names)
    assert [r["variant"] for r in rows] == names and rows[0]["psnr"] != rows[1]["psnr"]


@pytest.mark.parametrize("text", ["prise=2", "price=two", "price"])
def test_a_variant_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(SystemExit, match=text):
        pieces.config_of(BASE, text)


def test_the_price_is_rate_at_equal_quality() -> None:
    joint = Curve([1, 2, 3], [0.1, 0.2, 0.4], [20.0, 25.0, 30.0])
    assert embedding.price(joint, Curve([1], [0.16], [25.0])) == pytest.approx(25.0)
    assert embedding.price(joint, Curve([1], [0.2], [22.5])) == pytest.approx(100 * (0.5**0.5 - 1))
    assert embedding.price(joint, Curve([1], [0.2], [31.0])) is None


def test_a_stage_brings_its_own_rates(plan: pieces.Plan) -> None:
    config = pieces.base_of(plan, "stage=both,batch=4")
    assert (config.stage, config.lr, config.batch) == ("both", DEFAULTS["both"].lr, 4)
    assert config.ema < 0.999, "the average of a short run is short"
    with pytest.raises(SystemExit, match="stage=joint"):
        pieces.base_of(plan, "stage=joint")


def test_a_torn_line_is_measured_again(tmp_path: Path) -> None:
    row: dict[str, Any] = {"set": "kodak", "picture": "1.png", "bpp": [1], "psnr": [30]}
    text = json.dumps(row) + "\n" + json.dumps(row | {"picture": "2.png"})[:20]
    (tmp_path / "measured.jsonl").write_text(text)
    assert list(pieces.measured(tmp_path)) == [("kodak", "1.png")]
