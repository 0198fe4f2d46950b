"""Variants of the context network: each changes what it says, and what is finished is not done again."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sic_cli.codec.networks.codec_model import CodecModel
from sic_cli.codec.networks.context import ContextNet, features
from sic_cli.codec.weights.card import ModelCard
from sic_cli.training.checkpoint import model_from_weights
from sic_cli.training.loss import dead_zone_indices, layer_bits
from tests.conftest import ROOT
from tests.tiny import made_picture

sys.path.insert(0, str(ROOT / "benchmarks"))
import context
import context_variants

FACTS: dict[str, Any] = {"start": "tiny", "seconds": 0.2}


@pytest.fixture
def start(tiny: ModelCard) -> CodecModel:
    return model_from_weights(tiny)


@pytest.fixture
def latent(start: CodecModel) -> torch.Tensor:
    return context.latent_of(start, made_picture(96, 80, 1))


def made(start: CodecModel, name: str) -> CodecModel:
    return context_variants.fresh(start, context_variants.variants(start.config)[name])


def every_bit(model: CodecModel, latent: torch.Tensor) -> list[float]:
    model.context.look(model, latent)
    with torch.no_grad():
        passes = range(len(model.pass_level))
        return [
            layer_bits(model, latent, torch.tensor([coding_pass])).item() for coding_pass in passes
        ]


def test_the_base_is_the_context_network_of_the_codec(
    start: CodecModel, latent: torch.Tensor
) -> None:
    model = made(start, "base")
    own = ContextNet(model.config, len(model.pass_level))
    own.load_state_dict(model.context.state_dict())
    coding_pass = torch.tensor([2])
    depth = model.pass_depths[coding_pass]
    seen = features(
        dead_zone_indices(latent, model.step_sizes(depth)), depth, model.reach, model.logs
    )
    assert model.pass_level == start.pass_level and torch.equal(
        model.pass_depths, start.pass_depths
    )
    with torch.no_grad():
        assert torch.equal(model.context(seen, coding_pass), own(seen, coding_pass))


@pytest.mark.parametrize("name", ["hyper", "float", "depth-3", "stale", "one-position", "width-48"])
def test_every_variant_counts_other_bits_than_the_base(
    start: CodecModel, latent: torch.Tensor, name: str
) -> None:
    assert every_bit(made(start, name), latent) != every_bit(made(start, "base"), latent)


def test_what_sees_no_indices_says_the_same_whatever_they_are(start: CodecModel) -> None:
    for name in ("static", "hyper-only"):
        model = made(start, name)
        model.context.look(model, torch.zeros(1, 8, 6, 5))
        seen = torch.randint(-99, 99, (1, 16, 6, 5)).float()
        coding_pass = torch.tensor([3])
        assert torch.equal(model.context(seen, coding_pass), model.context(0 * seen, coding_pass))


def test_stale_blocks_miss_one_step_and_no_more(start: CodecModel) -> None:
    late = context_variants.late(torch.arange(7), start.config)
    assert start.pass_level == (1, 1, 1, 2, 3, 4, 5)
    assert late.tolist() == [False, False, False, False, True, False, True]
    fewer = context_variants.products(made(start, "stale"))
    assert fewer < context_variants.products(made(start, "base"))


def test_finished_variants_are_lines_and_stay(
    start: CodecModel, latent: torch.Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = context_variants.variants(start.config)
    runs = {name: known[name] for name in ("base", "hyper", "static")}
    pictures = [made_picture(64, 64, seed) for seed in range(2)]
    latents = context.crop_latents(start, pictures, tmp_path, 8, 64)
    assert latents.shape == (8, 8, 4, 4) and np.abs(latents).max() > 1
    context.go_on(tmp_path, runs, start, latents, [latent], FACTS)
    text = (tmp_path / "context.jsonl").read_text()
    rows = context.finished(tmp_path, FACTS)
    assert list(rows) == list(runs) and all(row["seen"] >= 8 for row in rows.values())
    assert rows["hyper"]["side_bpp"] > 0 == rows["base"]["side_bpp"]
    assert all(row["bpp"] == sorted(row["bpp"]) for row in rows.values())
    monkeypatch.setattr(context, "trained", None)
    context.go_on(tmp_path, runs, start, latents, [latent], FACTS)
    assert (tmp_path / "context.jsonl").read_text() == text
    with pytest.raises(SystemExit, match="other options"):
        context.finished(tmp_path, FACTS | {"seconds": 9})


def test_training_lowers_the_bits(start: CodecModel, tmp_path: Path) -> None:
    pictures = [made_picture(64, 64, seed) for seed in range(2)]
    latents = context.crop_latents(start, pictures, tmp_path, 16, 64)
    held = [torch.from_numpy(latents[:4].astype(np.float32))[i : i + 1] for i in range(4)]
    variant = context_variants.variants(start.config)["float"]
    before = context.rates(context_variants.fresh(start, variant), held)[1]
    model, _ = context.trained(context_variants.fresh(start, variant), variant, latents, 1.0)
    assert context.rates(model, held)[1][-1] < before[-1]


def test_the_table_tells_percents_of_the_base_and_what_cannot_be_timed(
    start: CodecModel, latent: torch.Tensor
) -> None:
    known = context_variants.variants(start.config)
    runs = {name: known[name] for name in ("base", "stale", "one-position", "static")}
    times = context.milliseconds(start, runs, [latent])
    assert times["base"] and times["stale"]
    assert times["one-position"] is None is times["static"]
    row: dict[str, Any] = {
        "seen": 8,
        "passes": 7,
        "products": 1500.0,
        "bpp": [0.1, 0.2, 0.3, 0.4, 0.5],
    }
    more = row | {"bpp": [0.11, 0.19, 0.3, 0.4, 0.5]}
    text = context.table({n: r | {"ms": times[n]} for n, r in (("base", row), ("static", more))})
    assert "| static | 8 | 7 | 2k | - | +10.00 % | +0.00 % |" in text


def test_all_variants_can_be_made(start: CodecModel) -> None:
    known = context_variants.variants(start.config)
    work = {
        n: context_variants.products(context_variants.fresh(start, v)) for n, v in known.items()
    }
    assert work["static"] == 0 < work["one-position"] < work["stale"] < work["base"]
    assert work["depth-3"] > work["base"] == work["float"] > work["hyper-only"]
