"""Training resumes where it was, and what it exports is what it trained."""

from __future__ import annotations

import signal
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from sic_cli.codec.bitstream.reader import parse
from sic_cli.codec.encode import encode
from sic_cli.codec.engine import engine
from sic_cli.codec.networks.codec_model import CodecModel
from sic_cli.codec.weights.card import ModelCard
from sic_cli.codec.weights.load import decoder_at, load
from sic_cli.errors import ModelError
from sic_cli.training.checkpoint import (
    TrainingProgress,
    load_model,
    load_optimisers,
    model_from_weights,
    save,
    save_small,
)
from sic_cli.training.config import TrainConfig
from sic_cli.training.data import Crops, DeviceCrops, open_packed, pack
from sic_cli.training.evaluate import evaluate
from sic_cli.training.export import build_engine, export
from sic_cli.training.loop import TrainingRun, new_model, optimisers_for, train
from sic_cli.training.loss import layer_bits, quantise
from sic_cli.training.objective import TERMS, Objective, draw_levels, follow
from sic_cli.training.optimiser import orthogonalise
from tests.tiny import CONFIG, made_picture


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for seed in range(4):
        Image.fromarray(made_picture(150, 140, seed)).save(folder / f"{seed}.png")
    pack([folder], tmp_path / "packed", workers=1)
    return tmp_path


@pytest.fixture
def model() -> CodecModel:
    torch.manual_seed(0)
    return new_model(CONFIG, Crops([made_picture(128, 128, s) for s in range(4)], 64, 0), 3000)


def objective_of(model: CodecModel, **terms: float) -> Objective:
    """Every level is divided by the same number."""
    norms = torch.full((TERMS, model.config.levels), 100.0)
    config = TrainConfig(**terms)  # type: ignore[arg-type]
    return Objective(model, config, norms, None, torch.Generator().manual_seed(0))


def pixels_of(seed: int, count: int = 2) -> Tensor:
    crops = Crops([made_picture(128, 128, s) for s in range(4)], 64, seed)
    return torch.from_numpy(crops.batch(count)).permute(0, 3, 1, 2).float() - 127.5


def one_step(model: CodecModel, optimisers: list[torch.optim.Optimizer], seed: int) -> float:
    loss = objective_of(model)(pixels_of(seed), np.random.default_rng(seed))
    loss.backward()
    for optimiser in optimisers:
        optimiser.step()
    model.zero_grad()
    return float(loss.detach())


def test_a_model_at_the_start_is_a_klt(model: CodecModel) -> None:
    basis = model.analysis.linear.detach()
    assert torch.allclose(basis @ basis.T, torch.eye(len(basis)), atol=1e-3)
    assert torch.equal(model.synthesis.linear.T, basis)


def test_a_resumed_run_goes_on_exactly(model: CodecModel, tmp_path: Path) -> None:
    config = TrainConfig(lr=1e-3)
    optimisers = optimisers_for(model, config)
    one_step(model, optimisers, 1)
    average = {n: p.detach().clone() for n, p in model.named_parameters()}
    save(
        tmp_path / "c.safetensors",
        model,
        average,
        optimisers,
        TrainingProgress(1, 2, 0.5, [1.0] * 5),
    )
    want = [one_step(model, optimisers, s) for s in (2, 3, 4)]
    again, _, progress = load_model(tmp_path / "c.safetensors")
    assert (progress.steps, progress.crops, progress.norms) == (1, 2, [1.0] * 5)
    fresh = optimisers_for(again, config)
    load_optimisers(tmp_path / "c.safetensors", again, fresh)
    assert [one_step(again, fresh, s) for s in (2, 3, 4)] == want
    for (name, a), (_, b) in zip(model.named_parameters(), again.named_parameters(), strict=True):
        assert torch.equal(a, b), name


def test_a_few_steps_lower_the_loss(model: CodecModel) -> None:
    optimisers = optimisers_for(model, TrainConfig(lr=2e-3, muon_lr=4e-3))
    first = np.mean([one_step(model, optimisers, 5) for _ in range(2)])
    for _ in range(25):
        one_step(model, optimisers, 5)
    assert one_step(model, optimisers, 5) < first


def test_bits_of_all_steps_are_what_the_evaluation_counts(model: CodecModel) -> None:
    picture = made_picture(64, 80, 3)
    curve = evaluate(model, [picture], torch.device("cpu"))
    pixels = torch.from_numpy(picture).permute(2, 0, 1)[None].float() - 127.5
    with torch.no_grad():
        latent = model.analysis(pixels)
        total = sum(
            layer_bits(model, latent, torch.tensor([s])).item()
            for s in range(len(model.pass_level))
        )
    assert curve.bpp[-1] == pytest.approx(total / (64 * 80), rel=1e-5)
    assert all(b > a for a, b in pairwise(curve.psnr))


def test_a_run_stops_by_the_clock_and_can_go_on(packed: Path) -> None:
    where = TrainingRun(
        packed=str(packed / "packed"),
        out=str(packed / "run"),
        validation=str(packed / "pictures"),
        minutes=0.02,
        evaluate_minutes=9,
    )
    config = TrainConfig(batch=2, crop=64, warmup=2, statistics=0.5, blocking=0.1)
    model = new_model(CONFIG, Crops([made_picture(128, 128, 1)], 64, 0), 3000)
    (packed / "run").mkdir()
    average = {n: p.detach().clone() for n, p in model.named_parameters()}
    save(packed / "run" / "checkpoint.safetensors", model, average, [], TrainingProgress())
    handlers = [signal.getsignal(name) for name in (signal.SIGINT, signal.SIGTERM)]
    train(where, config, CONFIG)
    assert handlers == [signal.getsignal(name) for name in (signal.SIGINT, signal.SIGTERM)]
    first = load_model(packed / "run" / "checkpoint.safetensors")[2]
    train(where, config, CONFIG)
    second = load_model(packed / "run" / "checkpoint.safetensors")[2]
    assert first.steps > 0 and second.steps > first.steps and second.crops == 2 * second.steps
    squared, _, texture, _ = np.reshape(second.norms, (TERMS, CONFIG.levels))
    assert squared.max() > 0 and texture.max() > 0, "each term is divided by its own mean"
    assert len((packed / "run" / "training.jsonl").read_text().splitlines()) == 2


def test_stages_freeze_what_they_say(model: CodecModel) -> None:
    optimisers_for(model, TrainConfig(stage="decoder"))
    live = {n.split(".")[0] for n, p in model.named_parameters() if p.requires_grad}
    assert live == {"synthesis"}
    optimisers_for(model, TrainConfig(stage="context"))
    assert {n.split(".")[0] for n, p in model.named_parameters() if p.requires_grad} == {"context"}
    optimisers_for(model, TrainConfig(stage="decoding"))
    live = {n.split(".")[0] for n, p in model.named_parameters() if p.requires_grad}
    assert live == {"synthesis", "context"}
    optimisers_for(model, TrainConfig())
    assert all(p.requires_grad for p in model.parameters())


def test_muons_updates_are_nearly_orthogonal() -> None:
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonalise(torch.randn(20, 50)))
    assert values.min() > 0.3 and values.max() < 1.4


def test_packed_pictures_are_the_pictures(packed: Path) -> None:
    pictures, digest = open_packed(packed / "packed")
    assert len(pictures) == 4 and len(digest) == 64
    assert np.array_equal(pictures[2], made_picture(150, 140, 2))
    assert Crops(pictures, 64, 1).batch(3).shape == (3, 64, 64, 3)
    with pytest.raises(ValueError, match="crop"):
        Crops(pictures, 512, 0)


def test_weights_that_travelled_in_half_precision_go_on(model: CodecModel, tmp_path: Path) -> None:
    average = {n: p.detach().clone() for n, p in model.named_parameters()}
    save(tmp_path / "c.safetensors", model, average, [], TrainingProgress(5, 40, 0.1))
    save_small(tmp_path / "s.safetensors", tmp_path / "c.safetensors")
    again, nothing, progress = load_model(tmp_path / "s.safetensors")
    assert nothing == {} and progress.crops == 40
    for (name, a), (_, b) in zip(model.named_parameters(), again.named_parameters(), strict=True):
        assert torch.allclose(a, b, rtol=1e-3, atol=1e-4), name
    one_step(again, optimisers_for(again, TrainConfig()), 1)


def test_training_goes_on_from_a_release(tiny: ModelCard) -> None:
    model, model_weights = model_from_weights(tiny), load(tiny)
    known = model_weights.context
    with torch.no_grad():
        again = model.context.weights().map(lambda v: v.numpy())
    for name in ("entry", "entry_bias", "exit", "exit_bias"):
        assert np.array_equal(getattr(known, name), getattr(again, name)), name
    assert all(np.array_equal(a, b) for a, b in zip(known.mid, again.mid, strict=True))
    picture = made_picture(64, 80, 3)
    indices = engine(tiny).quantise(engine(tiny).analyse(picture))
    here = build_engine(model, model_weights.arrays)
    assert np.array_equal(here.quantise(here.analyse(picture)), indices)
    one_step(model, optimisers_for(model, TrainConfig()), 1)


def test_crops_cut_on_the_device_come_from_the_pictures() -> None:
    ramp = np.arange(80 * 90 * 3, dtype=np.uint32).reshape(80, 90, 3) % 251
    crops = DeviceCrops([ramp.astype(np.uint8)], 48, 1, torch.device("cpu"))
    got = crops.batch(40).numpy()
    windows = np.lib.stride_tricks.sliding_window_view(ramp, (48, 48), axis=(0, 1))
    known = {w.tobytes() for row in windows.astype(np.uint8) for w in row}
    found = 0
    for crop in got.astype(np.uint8):
        turns = (
            crop,
            crop[:, :, ::-1],
            crop.transpose(0, 2, 1),
            crop.transpose(0, 2, 1)[:, :, ::-1],
        )
        found += any(np.ascontiguousarray(t).tobytes() in known for t in turns)
    assert found == 40
    small = DeviceCrops([np.full((100, 100, 3), 77, np.uint8)], 48, 1, torch.device("cpu"))
    assert (small.batch(30) == 77).all()


def test_running_means_follow_each_level_alone() -> None:
    norms = torch.zeros(3)
    follow(norms, torch.tensor([0, 0, 2]), torch.tensor([2.0, 4.0, 10.0]))
    assert norms.tolist() == [3.0, 0.0, 10.0]
    follow(norms, torch.tensor([2]), torch.tensor([20.0]))
    assert norms.tolist() == pytest.approx([3.0, 0.0, 10.2])


def test_levels_are_drawn_evenly() -> None:
    drawn = draw_levels(np.random.default_rng(0), 16, 40)
    assert len(drawn) == 40 and np.bincount(drawn).min() >= 2


def test_a_favoured_level_is_drawn_more_often() -> None:
    chance = np.random.default_rng(0)
    drawn = np.concatenate([draw_levels(chance, 16, 4, favour=1.0) for _ in range(2000)])
    share = np.bincount(drawn, minlength=16) / len(drawn)
    assert share[0] / share[-1] == pytest.approx(np.e, rel=0.15)
    assert (np.diff(share) < 0.01).all()


def checkpoint_of(model: CodecModel, folder: Path) -> Path:
    folder.mkdir()
    average = {n: p.detach().clone() for n, p in model.named_parameters()}
    save(folder / "checkpoint.safetensors", model, average, [], TrainingProgress())
    return folder / "checkpoint.safetensors"


def test_a_release_of_two_decoders_mixes_them_and_keeps_the_symbols(
    model: CodecModel, tmp_path: Path
) -> None:
    mse_decoder = checkpoint_of(model, tmp_path / "mse")
    with torch.no_grad():
        model.synthesis.exit.bias += 0.2
    perceptual = checkpoint_of(model, tmp_path / "perceptual")
    pictures = [made_picture(400, 400, s) for s in range(2)]
    card = export(mse_decoder, pictures, tmp_path / "two", "two", 8, perceptual)
    alone = export(mse_decoder, pictures, tmp_path / "alone", "alone", 8)
    picture = made_picture(40, 50, 9)
    data = encode(picture, card)
    one, two = parse(encode(picture, alone)), parse(data)
    assert [x.payload for x in one.layers] == [x.payload for x in two.layers]
    model_weights = load(card)
    own, end = model_weights.synthesis["exit.bias"], model_weights.perceptual_synthesis["exit.bias"]
    half = decoder_at(model_weights, 0.5)["exit.bias"]
    assert np.abs(end - own).max() > 0.1 and np.allclose(half, (own + end) / 2, atol=1e-3)
    machine = engine(card)
    indices = machine.quantise(machine.analyse(picture))
    seen = [
        machine.synthesise(machine.dequantise(indices, 5, "mean", 0), 5, 40, 50, r)
        for r in (0, 0.5, 1)
    ]
    means = [float(v.mean()) for v in seen]
    assert means[0] < means[1] < means[2]
    plain = engine(alone)
    assert load(alone).perceptual_synthesis is not None and np.array_equal(
        plain.synthesise(plain.dequantise(indices, 5, "mean", 0), 5, 40, 50, 1.0), seen[0]
    )


def test_decoders_of_different_encoders_are_not_put_together(
    model: CodecModel, tmp_path: Path
) -> None:
    first = checkpoint_of(model, tmp_path / "first")
    with torch.no_grad():
        model.analysis.linear += 0.01
    second = checkpoint_of(model, tmp_path / "second")
    with pytest.raises(ModelError, match="more than their decoder"):
        export(first, [made_picture(400, 400, 1)], tmp_path / "out", "out", 8, second)


def test_samples_lie_inside_their_intervals(model: CodecModel) -> None:
    latent = model.analysis(pixels_of(1)).detach()
    what = quantise(model, latent, torch.tensor([1, 4]))
    chance = torch.Generator().manual_seed(1)
    place = what.sample(latent, chance)
    assert torch.equal(place.sign() * place.abs().floor(), what.indices)
    assert not torch.equal(place, what.sample(latent, chance))
    near = (latent / what.width[:, :, None, None]).abs()[what.indices == 0].mean()
    assert place.abs()[what.indices == 0].mean() == pytest.approx(near.item(), rel=0.3)


@pytest.mark.parametrize(
    "terms", [{"samples": 3}, {"full": 0.5}, {"consistency": 0.3}, {"statistics": 1.0}], ids=str
)
def test_each_term_changes_the_gradient_of_the_decoder_and_is_off_by_default(
    model: CodecModel, terms: dict[str, float]
) -> None:
    def gradient(**given: float) -> Tensor:
        model.zero_grad()
        objective_of(model, **given)(pixels_of(2), np.random.default_rng(2)).backward()
        grad = model.synthesis.exit.weight.grad
        assert grad is not None and torch.isfinite(grad).all()
        return grad.clone()

    plain = gradient()
    assert torch.equal(plain, gradient(**dict.fromkeys(terms, TERMS_OFF[next(iter(terms))])))
    assert not torch.allclose(plain, gradient(**terms))


TERMS_OFF = {"samples": 1, "full": 0.0, "consistency": 0.0, "statistics": 0.0}


def test_expected_losses_are_means_over_samples(model: CodecModel) -> None:
    """Many members give nearly the same loss each time, two do not."""

    def dead_zone_scale(samples: int) -> float:
        objective = objective_of(model, samples=samples, bits_weight=0.0)
        with torch.no_grad():
            found = [objective(pixels_of(3, 1), np.random.default_rng(3)).item() for _ in range(6)]
        return float(np.std(found))

    assert 0 < dead_zone_scale(16) < dead_zone_scale(2)


def test_a_model_whose_pictures_encode_alike_is_consistent(model: CodecModel) -> None:
    """At the start both transforms are one rotation: only the indices and the rest of the KLT differ."""
    pixels = pixels_of(4)
    latent = model.analysis(pixels).detach()
    what = quantise(model, latent, torch.tensor([4, 4]))
    made = what.decoded(model).detach()
    again = (model.analysis(made) - latent).square().sum((1, 2, 3)) / made[0].numel()
    lost = objective_of(model, consistency=1.0).distortion(what, made, pixels)
    alone = objective_of(model).distortion(what, made, pixels)
    assert torch.allclose(lost - alone, again, rtol=1e-3)
    assert (again < alone).all(), "what the KLT leaves out is no part of the latent"


def test_one_level_alone_is_drawn_and_pays_for_its_own_steps(model: CodecModel) -> None:
    chance = np.random.default_rng(0)
    level, passes = objective_of(model, only_level=2).choose_levels(200, chance)
    assert level.unique().tolist() == [1]
    levels = {model.pass_level[k] for k in passes.unique().tolist()}
    assert levels == {1, 2}
    _, every = objective_of(model).choose_levels(200, chance)
    assert len(every.unique()) == len(model.pass_level)


def test_a_run_of_so_many_crops_goes_on_where_the_minutes_ended_it(packed: Path) -> None:
    config = TrainConfig(batch=2, crop=64, warmup=2)
    start = checkpoint_of(
        new_model(CONFIG, Crops([made_picture(128, 128, 1)], 64, 0), 3000), packed / "start"
    )
    where = TrainingRun(
        *(str(packed / "packed"), str(packed / "run"), "", 1e-9),
        crops=8, final=True, start=str(start), evaluate_minutes=0,
    )  # fmt: skip
    seen = []
    for _ in range(6):
        train(where, config, CONFIG)
        seen.append(load_model(packed / "run" / "checkpoint.safetensors")[2].crops)
    assert seen == [2, 4, 6, 8, 8, 8]
    assert not (packed / "run" / "training.jsonl").exists()
