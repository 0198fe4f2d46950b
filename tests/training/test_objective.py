"""What a step minimises: levels, running means, the price of bits, and what each loss sees."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from sic_cli.training.data import Crops
from sic_cli.training.discriminator import Patches, View, judge_loss, logistic_loss, told_right
from sic_cli.training.evaluate import Curve, entropy, estimated_bits, evaluate, table
from sic_cli.training.loss import stand_in_rate
from sic_cli.training.lpips_loss import perceptual_networks
from sic_cli.training.model import TrainModel, draw_noise, quantise
from sic_cli.training.objective import TERMS, Chance, Objective, draw_levels, follow
from sic_cli.training.optimiser import learning_factor, optimisers_for, orthogonalise
from sic_cli.training.precision import choose, computing
from tests.tiny import CONFIG, made_picture
from tests.training.made import backbones, config_of, pictures, tiny_model


@pytest.fixture
def model() -> TrainModel:
    return tiny_model(perceptual=True)


def pixels_of(seed: int, count: int = 2) -> Tensor:
    crops = Crops(pictures(), 64, seed)
    return torch.from_numpy(crops.batch(count)).permute(0, 3, 1, 2).float() - 127.5


def chance(seed: int) -> Chance:
    return Chance(np.random.default_rng(seed), torch.Generator().manual_seed(seed))


def gradients(model: TrainModel, **more: Any) -> dict[str, Tensor]:
    """Of a step of stage mse, every level divided by the same number."""
    model.zero_grad()
    norms = torch.full((TERMS, CONFIG.levels), 100.0)
    Objective(model, config_of("mse", **more), norms).backward(pixels_of(2), chance(2))
    return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


def test_a_new_model_is_a_klt_whose_mean_colours_layer_0_knows() -> None:
    basis = tiny_model().analysis.linear.detach()
    assert torch.allclose(basis @ basis.T, torch.eye(len(basis)), atol=1e-3)
    flat = basis.view(len(basis), 3, -1).sum(2) / 16
    red, green, blue = flat[0].tolist()
    assert min(red, green, blue) > 0.2, "brightness"
    assert flat[1, 2] - flat[1, 0] > 0.5 and flat[4, 0] + flat[4, 2] - 2 * flat[4, 1] > 0.5


def test_a_few_steps_lower_the_loss() -> None:
    model, config = tiny_model(), config_of("mse", lr=2e-3, muon_lr=4e-3)
    optimisers = optimisers_for(model, config)
    objective = Objective(model, config, torch.full((TERMS, CONFIG.levels), 100.0))

    def one_step() -> float:
        loss = objective.backward(pixels_of(5), chance(5))["loss"]
        for optimiser in optimisers:
            optimiser.step()
        model.zero_grad()
        objective.norms.fill_(100.0)
        return float(loss)

    first = one_step()
    for _ in range(25):
        one_step()
    assert one_step() < first - 0.1


def test_a_higher_price_pulls_latents_inwards(model: TrainModel) -> None:
    dear, cheap = (gradients(model, price=price)["analysis.linear"] for price in (9.0, 0.0))
    pull = (dear - cheap).flatten() @ model.analysis.linear.detach().flatten()
    assert pull > 0, "a step down the gradient makes the filters smaller"


def test_blocking_has_a_weight(model: TrainModel) -> None:
    with torch.no_grad():
        model.mse.exit.bias.add_(0.1)
    one, two = (gradients(model, blocking=w)["mse.exit.weight"] for w in (0.0, 5.0))
    assert not torch.allclose(one, two)


def test_the_rate_counts_what_lies_outside_the_dead_zone(model: TrainModel) -> None:
    latent = model.analysis(pixels_of(1)).detach().requires_grad_()
    what = quantise(model, latent, torch.tensor([1, 4]))
    stand_in_rate(model, what).sum().backward()
    assert latent.grad is not None
    assert torch.equal(latent.grad != 0, what.guard == 1) and 0 < what.guard.mean() < 1
    inside = what.indices == 0
    assert (what.value[inside & (what.guard == 0)] == 0).all()


def test_evaluation_sees_finer_levels_cost_more_and_show_more(
    model: TrainModel, tmp_path: Path
) -> None:
    networks = perceptual_networks(backbones(tmp_path))
    curve = evaluate(model, [made_picture(64, 80, 3)], torch.device("cpu"), networks)
    assert curve.levels == [1, 2, 3, 4, 5]
    assert np.all(np.diff(curve.bpp) > 0) and np.all(np.diff(curve.psnr) > 0)
    assert curve.perceptual_psnr is not None and curve.perceptual_psnr != curve.psnr
    shown = table(curve)
    assert f"{curve.psnr[3]:.2f}" in shown and "LPIPS" in shown
    half = Curve([1, 2], [0.1, 0.4], [20.0, 30.0])
    assert half.at(half.psnr, [0.2]) == pytest.approx([25.0])


def test_estimated_bits_are_an_entropy() -> None:
    rng = np.random.default_rng(0)
    noise = torch.from_numpy(rng.integers(0, 4, 4000))
    assert entropy(noise) == pytest.approx(8000, rel=0.01)
    flat = torch.zeros(8, 32, 32)
    assert estimated_bits(flat) < 30
    spread = torch.from_numpy(rng.laplace(0, 2, (8, 32, 32))).round().float()
    level = (spread * torch.linspace(0, 3, 32)).round()  # known by their neighbours
    assert estimated_bits(flat) < estimated_bits(spread) < 5 * spread.numel()
    mixed = level[:, torch.randperm(32)][:, :, torch.randperm(32)]
    assert estimated_bits(level) < 0.97 * estimated_bits(mixed)


def test_muons_updates_are_nearly_orthogonal() -> None:
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonalise(torch.randn(20, 50)))
    assert values.min() > 0.3 and values.max() < 1.4


def test_rates_rise_at_first_and_fall_in_the_last_part_alone() -> None:
    config = config_of("mse", warmup=10, decay=0.5)
    assert learning_factor(0, 0.0, config, True) == pytest.approx(0.1)
    assert learning_factor(50, 0.4, config, True) == 1
    assert 0.6 < learning_factor(50, 0.75, config, True) < 0.8
    assert learning_factor(50, 1.0, config, True) < 0.01
    assert learning_factor(50, 1.0, config, False) == 1


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
    numbers = np.random.default_rng(0)
    drawn = np.concatenate([draw_levels(numbers, 16, 4, favour=1.0) for _ in range(2000)])
    share = np.bincount(drawn, minlength=16) / len(drawn)
    assert share[0] / share[-1] == pytest.approx(np.e, rel=0.15)
    assert (np.diff(share) < 0.01).all()


def test_noise_is_normal_and_has_the_shapes_of_the_decoder() -> None:
    maps = draw_noise(CONFIG, 3, 20, 30, torch.Generator().manual_seed(1))
    assert [m.shape for m in maps] == [(3, 2, 20, 30), (3, 1, 40, 60), (3, 1, 80, 120)]
    assert all(abs(float(m.mean())) < 0.1 and abs(float(m.std()) - 1) < 0.1 for m in maps)


@pytest.mark.parametrize(
    ("flags", "first"),
    [
        ("flags : fpu avx512_bf16 avx2", "bfloat16 (avx512_bf16)"),
        ("flags : amx_bf16 avx512_bf16", "bfloat16 (amx_bf16)"),
        ("flags : avx512f avx2", "float32"),
    ],
)
def test_bfloat16_is_chosen_where_the_processor_multiplies_it(
    tmp_path: Path, flags: str, first: str
) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text(flags)
    cpu = torch.device("cpu")
    assert choose(cpu, "auto", file).startswith(first)
    assert choose(cpu, "auto", tmp_path / "none").startswith("float32")
    assert choose(cpu, "float32", file).startswith("float32")


def test_the_choice_is_what_networks_are_computed_in(model: TrainModel) -> None:
    """Latents keep the exact linear map, and differ in what the network adds."""
    with torch.no_grad():
        model.analysis.exit.weight.normal_()
    pixels, cpu = pixels_of(1, 1), torch.device("cpu")
    with torch.no_grad():
        with computing(cpu, "bfloat16"):
            h = model.analysis.entry(torch.rand(1, 192, 2, 2))
            short = model.analysis(pixels)
        exact = model.analysis(pixels)
        with torch.no_grad():
            model.analysis.exit.weight.zero_()
            model.analysis.exit.bias.zero_()  # type: ignore[union-attr]
        with computing(cpu, "bfloat16"):
            linear = model.analysis(pixels)
        assert torch.equal(linear, model.analysis(pixels))
    assert h.dtype == torch.bfloat16 and short.dtype == torch.float32
    assert not torch.equal(short, exact) and torch.allclose(short, exact, atol=0.5, rtol=0.02)


def view(pixels: Tensor) -> View:
    plain = torch.zeros_like(pixels)
    count, _, height, width = pixels.shape
    latent = torch.zeros(count, 8, height // 16, width // 16)
    return View(pixels, {}, plain, latent, torch.zeros(count, dtype=torch.int64))


@pytest.mark.parametrize("loss", [judge_loss, logistic_loss])
def test_a_discriminator_learns_to_tell_grain_from_none(loss: Any) -> None:
    torch.manual_seed(0)
    judge = Patches(CONFIG.levels)
    optimiser = torch.optim.Adam(judge.parameters(), 2e-3, betas=(0.5, 0.95))
    shares = []
    for step in range(30):
        drawn = torch.randn(4, 3, 48, 48, generator=torch.Generator().manual_seed(step))
        real, made = judge(view(40 * drawn)), judge(view(4 * drawn))
        shares.append(float(told_right(real, made).mean()))
        optimiser.zero_grad()
        loss(real, made).backward()
        optimiser.step()
    assert np.mean(shares[:2]) < 0.75 and np.mean(shares[-5:]) > 0.9


def test_the_discriminators_gradient_has_the_asked_share(tmp_path: Path) -> None:
    """Heads: 0.4 of the norm of all other gradients at the pixels, whatever the discriminator says."""
    from sic_cli.training.loop import discriminator_for

    model = tiny_model(perceptual=True)
    networks = perceptual_networks(backbones(tmp_path))
    found = {}
    for strength in (0.0, 0.4, 0.8):
        config = config_of("gan", adversarial=strength, alone=0)
        optimisers_for(model, config)
        judge = discriminator_for(model, config, networks)
        norms = torch.full((TERMS, CONFIG.levels), 100.0)
        objective = Objective(model, config, norms, networks, judge)
        losses = objective.backward(pixels_of(3), chance(3), 100)
        assert model.perceptual is not None and losses["share"] > 0
        grad = model.perceptual.head_out.weight.grad
        assert grad is not None
        found[strength] = grad.clone()
        model.zero_grad()
    one, two = found[0.4] - found[0.0], found[0.8] - found[0.0]
    assert one.norm() > 0 and torch.allclose(2 * one, two, atol=1e-4 * float(two.abs().max()))
