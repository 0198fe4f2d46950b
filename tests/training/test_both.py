"""Two decoders behind one encoder, trained at once; new context networks behind trained transforms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from sic_cli.codec.networks.codec_model import CodecModel
from sic_cli.codec.weights.load import load
from sic_cli.errors import ModelError, UsageError
from sic_cli.training.checkpoint import TrainingProgress, averaged, load_model, save
from sic_cli.training.config import TrainConfig
from sic_cli.training.data import Crops, pack
from sic_cli.training.evaluate import evaluate
from sic_cli.training.export import export, write_weights
from sic_cli.training.initialise import new_context
from sic_cli.training.loop import TrainingRun, new_model, optimisers_for, train
from sic_cli.training.objective import TERMS, Objective
from tests.tiny import CONFIG, made_picture


@pytest.fixture
def model() -> CodecModel:
    torch.manual_seed(0)
    made = new_model(CONFIG, Crops([made_picture(128, 128, s) for s in range(4)], 64, 0), 3000)
    made.add_perceptual_synthesis()
    return made


def objective(model: CodecModel, **terms: float) -> Objective:
    config = TrainConfig(stage="both", **terms)  # type: ignore[arg-type]
    norms = torch.full((TERMS, CONFIG.levels), 100.0)
    return Objective(model, config, norms, None, torch.Generator())


def slopes(model: CodecModel, **terms: float) -> dict[str, torch.Tensor]:
    """Gradients of one batch by parameter."""
    pixels = torch.from_numpy(np.stack([made_picture(64, 64, 9)] * 4)).permute(0, 3, 1, 2) - 127.5
    model.zero_grad()
    objective(model, **terms)(pixels.float(), np.random.default_rng(1)).backward()  # type: ignore[no-untyped-call]
    return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


def test_both_decoders_and_the_encoder_learn(model: CodecModel) -> None:
    optimisers_for(model, TrainConfig(stage="both"))
    found = slopes(model, perceptual_decoder=0.5, statistics=1.0)
    for part in ("synthesis.", "perceptual_synthesis.", "analysis.", "context."):
        assert any(g.abs().max() > 0 for n, g in found.items() if n.startswith(part)), part


def test_what_the_perceptual_decoder_pays_reaches_the_encoder_and_not_the_other(
    model: CodecModel,
) -> None:
    with_it, without = (
        slopes(model, perceptual_decoder=0.5, statistics=1.0),
        slopes(model, perceptual_decoder=0.0),
    )
    assert not torch.equal(with_it["analysis.linear"], without["analysis.linear"])
    assert torch.equal(with_it["synthesis.linear"], without["synthesis.linear"])
    assert without["perceptual_synthesis.linear"].abs().max() == 0


def test_a_higher_rate_weight_pulls_latents_inwards(model: CodecModel) -> None:
    cheap, dear = slopes(model, rate_weight=0.0), slopes(model, rate_weight=10.0)
    inwards = (dear["analysis.linear"] - cheap["analysis.linear"]) * model.analysis.linear
    assert inwards.sum() > 0, "gradient descent shrinks the basis vectors"


def test_a_checkpoint_keeps_both_decoders_and_a_release_has_them(
    model: CodecModel, tmp_path: Path
) -> None:
    assert model.perceptual_synthesis is not None
    with torch.no_grad():
        model.perceptual_synthesis.head_out.weight.add_(0.01)
    average = {n: p.detach().clone() for n, p in model.named_parameters()}
    path = tmp_path / "run" / "checkpoint.safetensors"
    path.parent.mkdir()
    save(path, model, average, [], TrainingProgress(crops=7))
    again, _ = averaged(path)
    assert again.perceptual_synthesis is not None
    assert torch.equal(
        again.perceptual_synthesis.head_out.weight, model.perceptual_synthesis.head_out.weight
    )
    card = export(path, [made_picture(400, 400, 1)], tmp_path / "sic-9", "sic-9", count=2)
    model_weights = load(card)
    assert card.facts["perceptual_crops"] == 7
    own, end = (
        part["head_out.weight"]
        for part in (model_weights.synthesis, model_weights.perceptual_synthesis)
    )
    assert not np.array_equal(own, end)
    assert np.array_equal(end, model.perceptual_synthesis.head_out.weight.detach().half().numpy())


def test_a_new_context_network_leaves_pictures_as_they_were(model: CodecModel) -> None:
    pictures = [made_picture(64, 96, 3)]
    fresh = new_context(model, 4, 2)
    before, after = (evaluate(m, pictures, torch.device("cpu")) for m in (model, fresh))
    assert fresh.config.context_width == 4 and len(fresh.context.mid) == 2
    assert before.psnr == after.psnr and before.bpp != after.bpp
    assert fresh.perceptual_synthesis is not None


def test_a_release_takes_the_context_network_of_another_checkpoint(
    model: CodecModel, tmp_path: Path
) -> None:
    def saved(name: str, one: CodecModel, crops: int) -> Path:
        average = {n: p.detach().clone() for n, p in one.named_parameters()}
        save(tmp_path / name, one, average, [], TrainingProgress(crops=crops))
        return tmp_path / name

    first = saved("first", model, 7)
    fresh = new_context(model, 4, 2)
    second = saved("second", fresh, 12)
    pictures = [made_picture(400, 400, 1)]
    card = export(first, pictures, tmp_path / "new", "new", count=2, context=second)
    model_weights = load(card)
    assert card.facts["crops"] == 7 and card.facts["context_crops"] == 5
    assert card.config.context_width == 4 and len(model_weights.context.mid) == 2
    assert model_weights.perceptual_synthesis is not model_weights.synthesis
    with torch.no_grad():
        fresh.analysis.linear += 0.01
    third = saved("third", fresh, 12)
    with pytest.raises(ModelError, match="more than their context"):
        export(first, pictures, tmp_path / "no", "no", count=2, context=third)


def running(tmp_path: Path, start: Path | str, stage: str, **more: Any) -> CodecModel:
    """The model of a run of two crops."""
    pictures = tmp_path / "pictures"
    if not pictures.exists():
        pictures.mkdir()
        for seed in range(3):
            Image.fromarray(made_picture(100, 100, seed)).save(pictures / f"{seed}.png")
        pack([pictures], tmp_path / "packed", workers=1)
    out = str(more.pop("out", tmp_path / "run"))
    run = TrainingRun(
        str(tmp_path / "packed"), out, str(pictures), 60, start=str(start), evaluate_minutes=0,
        crops=2, **more,
    )  # fmt: skip
    train(run, TrainConfig(stage=stage, batch=2, crop=64, statistics=1.0), CONFIG)
    return load_model(Path(out) / "checkpoint.safetensors")[0]


def test_from_a_release_both_decoders_go_on(
    model: CodecModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert model.perceptual_synthesis is not None
    second = model.perceptual_synthesis
    with torch.no_grad():
        second.exit.bias += 1.0
    model.perceptual_synthesis = None
    pictures = [made_picture(128, 128, s) for s in range(4)]
    write_weights(model, pictures, tmp_path / "weights" / "own", "own", {}, second)
    monkeypatch.setenv("SIC_MODEL_PATH", str(tmp_path / "weights"))
    made = running(tmp_path, "own", "both")
    assert (
        made.perceptual_synthesis is not None and made.perceptual_synthesis.exit.bias.mean() > 0.5
    )
    assert made.synthesis.exit.bias.mean() < 0.5


def test_decoders_are_not_dropped_or_doubled_without_a_word(
    model: CodecModel, tmp_path: Path
) -> None:
    assert model.perceptual_synthesis is not None
    with torch.no_grad():
        model.perceptual_synthesis.exit.bias += 1.0
    average = {n: p.detach().clone() for n, p in model.named_parameters()}
    two = tmp_path / "two.safetensors"
    save(two, model, average, [], TrainingProgress(crops=5))
    with pytest.raises(UsageError, match="has two decoders, and --stage joint"):
        running(tmp_path, two, "joint")
    kept = running(tmp_path, two, "context", out=tmp_path / "context")
    assert kept.perceptual_synthesis is not None
    assert torch.equal(kept.perceptual_synthesis.exit.bias, model.perceptual_synthesis.exit.bias), (
        "the context stage freezes it"
    )
    model.perceptual_synthesis = None
    average = {n: p.detach().clone() for n, p in model.named_parameters()}
    one = tmp_path / "one.safetensors"
    save(one, model, average, [], TrainingProgress(crops=5))
    running(tmp_path, one, "joint", out=tmp_path / "again")
    with pytest.raises(UsageError, match="has one decoder, and --stage both"):
        running(tmp_path, one, "both", out=tmp_path / "again")
    made = running(tmp_path, one, "both", out=tmp_path / "third", perceptual_start=str(two))
    assert (
        made.perceptual_synthesis is not None and made.perceptual_synthesis.exit.bias.mean() > 0.5
    )
    card = export(one, [made_picture(400, 400, 1)], tmp_path / "new", "new", 2, perceptual=two)
    assert load(card).perceptual_synthesis["exit.bias"].mean() > 0.5


def test_a_run_begins_with_two_decoders_and_a_new_context(
    model: CodecModel, tmp_path: Path
) -> None:
    model.perceptual_synthesis = None
    average = {n: p.detach().clone() for n, p in model.named_parameters()}
    save(tmp_path / "start.safetensors", model, average, [], TrainingProgress(crops=5))
    made = running(tmp_path, tmp_path / "start.safetensors", "both", context=(4, 2))
    assert made.perceptual_synthesis is not None and made.config.context_width == 4
    assert not torch.equal(made.perceptual_synthesis.exit.weight, made.synthesis.exit.weight)
