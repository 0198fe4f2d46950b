"""The transforms with NumPy are those of training, and so are those for a GPU, run on the CPU."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from sic_cli.codec.inference.config import ModelConfig
from sic_cli.codec.inference.noise import NoiseMaps, noise_maps
from sic_cli.codec.inference.synthesis_backward import SynthesisGradient
from sic_cli.codec.inference.transforms import (
    AnalysisRunner,
    Arrays,
    Shapes,
    SynthesisRunner,
    analysis_shapes,
    gelu,
    synthesis_shapes,
)
from sic_cli.codec.networks.on_gpu import TorchAnalysis, TorchSynthesis, filled
from sic_cli.codec.networks.transforms import Synthesis
from sic_cli.codec.weights.card import ModelCard
from sic_cli.codec.weights.load import ModelWeights, decoder_at, load
from tests.conftest import ROOT


@pytest.fixture(params=["tiny", "shipped"])
def model_weights(request: pytest.FixtureRequest) -> ModelWeights:
    card: ModelCard = request.getfixturevalue(request.param)
    return load(card)


@pytest.mark.parametrize("shape", [(16, 16), (32, 112), (560, 48)])
def test_the_latent_is_that_of_the_trained_network(
    model_weights: ModelWeights, shape: tuple[int, int]
) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (*shape, 3)).astype(np.uint8)
    config = model_weights.card.config
    got = AnalysisRunner(model_weights.analysis, config)(pixels)
    want = TorchAnalysis(model_weights.analysis, config, "cpu")(pixels)
    assert got.shape == want.shape == (config.channels, shape[0] // 16, shape[1] // 16)
    assert np.abs(got - want).max() < 1e-5 * np.abs(want).max()


@pytest.mark.parametrize("shape", [(1, 1), (2, 7), (35, 3)])
@pytest.mark.parametrize("realism", [0, 0.4, 1])
def test_pixels_are_those_of_the_trained_network(
    model_weights: ModelWeights, shape: tuple[int, int], realism: float
) -> None:
    rng, config = np.random.default_rng(2), model_weights.card.config
    latent = rng.laplace(0, 100, (config.channels, *shape)).astype(np.float32)
    width = rng.choice([8, 16, np.inf], config.channels).astype(np.float32)
    latent[np.isinf(width)] = 0
    arrays = decoder_at(model_weights, realism)
    for level in (1, config.levels):
        noise = noise_maps(level, config.noise, slice(3, 3 + shape[0]), slice(0, shape[1]))
        maps = noise if realism else None
        got = SynthesisRunner(arrays, config)(latent, width, level, maps)
        want = TorchSynthesis(arrays, config, "cpu")(latent, width, level, maps)
        assert got.shape == want.shape == (shape[0] * 16, shape[1] * 16, 3)
        far = np.abs(got.astype(int) - want)
        assert far.max() <= 1 and (far > 0).mean() < 1e-3
        assert got.std() > 4, "no picture at all"


def test_a_host_that_autocasts_changes_nothing(model_weights: ModelWeights) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (16, 16, 3)).astype(np.uint8)
    network = TorchAnalysis(model_weights.analysis, model_weights.card.config, "cpu")
    want = network(pixels)
    with torch.autocast("cpu", torch.bfloat16):
        assert np.array_equal(network(pixels), want)


def test_gelu_is_the_one_that_was_trained_with() -> None:
    x = np.linspace(-9, 9, 1001, dtype=np.float32)
    got = np.empty_like(x)
    gelu(x, got)
    want = torch.nn.functional.gelu(torch.from_numpy(x), approximate="tanh").numpy()
    assert np.abs(got - want).max() < 2e-6


HANDED_OVER = ROOT.parent / "shared" / "weights"


@pytest.mark.skipif(not HANDED_OVER.is_dir(), reason="../shared/weights is not here")
@pytest.mark.parametrize("by", ["NumPy", "torch"])
def test_the_vectors_that_came_with_the_weights(by: str) -> None:
    """Latents within 0.01, pixels within 0.01 grey levels of those of the definition, in float32; indices
    equal, but for latents on the edge of an interval."""
    held = load_file(HANDED_OVER / "transforms.safetensors")
    vectors = load_file(HANDED_OVER / "vectors.safetensors")
    config = ModelConfig()

    def under(prefix: str, shapes: Shapes) -> Arrays:
        found = {k[len(prefix) :]: v for k, v in held.items() if k.startswith(prefix)}
        assert {k: v.shape for k, v in found.items()} == shapes
        return found

    pixels = np.rint(vectors["pixels"][0].transpose(1, 2, 0) + 127.5).astype(np.uint8)
    analysis, arrays = AnalysisRunner, under("analysis.", analysis_shapes(config))
    latent = (analysis(arrays, config) if by == "NumPy" else TorchAnalysis(arrays, config, "cpu"))(
        pixels
    )
    assert np.abs(latent - vectors["latents"][0]).max() < 0.01
    noise = NoiseMaps(*(vectors[f"noise{s}"][0].transpose(1, 2, 0).copy() for s in (16, 8, 4)))
    levels = [int(name[5:]) for name in vectors if name.startswith("index")]
    assert len(levels) == 7
    for name, maps in (("mse", None), ("perceptual", noise)):
        decoder = under(f"{name}.", synthesis_shapes(config, perceptual=maps is not None))
        for level in levels:
            depth = held["octaves"][level].astype(np.int32)
            step = np.where(depth < 0, np.inf, np.ldexp(held["unit"], -depth)).astype(np.float32)
            index, size = vectors[f"index{level}"][0], step[:, None, None]
            ratio = np.abs(latent / size)
            inner = np.abs(ratio - np.rint(ratio)) > 1e-2 / size  # no edge within 0.01
            assert inner.mean() > 0.99
            assert np.array_equal(np.trunc(latent / size)[inner], index[inner])
            offset = held["centre"][level][:, None, None]
            value = (np.sign(index) * (np.abs(index) + offset) * size).astype(np.float32)
            made = painted(by, decoder, config, value, step, level, maps)
            want = vectors[f"{name}{level}"][0].transpose(1, 2, 0) + 127.5
            assert np.abs(made - want).max() < 0.01


def painted(
    by: str,
    arrays: Arrays,
    config: ModelConfig,
    latent: np.ndarray,
    step: np.ndarray,
    level: int,
    maps: NoiseMaps | None,
) -> np.ndarray:
    """Pixels, neither rounded nor cut, at a level from 0."""
    if by == "torch":
        network = filled(lambda c: Synthesis(c, maps is not None), arrays, config, "cpu")
        tensors = (torch.from_numpy(a)[None] for a in (latent, step))
        noise = None
        if maps is not None:
            parts = (maps.stride16, maps.stride8, maps.stride4)
            noise = tuple(torch.from_numpy(part).permute(2, 0, 1)[None] for part in parts)
        out = network(*tensors, torch.tensor([level]), noise)[0].permute(1, 2, 0)
        made: np.ndarray = out.numpy() + 127.5
        return made
    kept: list[np.ndarray] = []

    def keep(shown: np.ndarray) -> np.ndarray:
        kept.append(shown.copy())
        return np.zeros_like(shown)

    SynthesisGradient(arrays, config).vjp(latent, step, level + 1, keep, maps)
    return kept[0]
