"""The transforms with NumPy are those of training, and so are those for a GPU, run on the CPU."""

from __future__ import annotations

import numpy as np
import pytest
import torch

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
from sic_cli.codec.networks.on_gpu import TorchAnalysis, TorchSynthesis
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
def test_the_port_gives_the_vectors_that_came_with_the_weights() -> None:
    """Latents within 0.01, pixels within 0.01 grey levels of those of the definition, in float32."""
    from safetensors.numpy import load_file

    held = load_file(HANDED_OVER / "transforms.safetensors")
    vectors = load_file(HANDED_OVER / "vectors.safetensors")
    config = ModelConfig()

    def under(prefix: str, shapes: Shapes) -> Arrays:
        found = {k[len(prefix) :]: v for k, v in held.items() if k.startswith(prefix)}
        assert {k: v.shape for k, v in found.items()} == shapes
        return found

    pixels = np.rint(vectors["pixels"][0].transpose(1, 2, 0) + 127.5).astype(np.uint8)
    analysis = AnalysisRunner(under("analysis.", analysis_shapes(config)), config)
    assert np.abs(analysis(pixels) - vectors["latents"][0]).max() < 0.01
    noise = NoiseMaps(*(vectors[f"noise{s}"][0].transpose(1, 2, 0).copy() for s in (16, 8, 4)))
    for name, maps in (("mse", None), ("perceptual", noise)):
        shapes = synthesis_shapes(config, perceptual=maps is not None)
        decoder = SynthesisGradient(under(f"{name}.", shapes), config)
        for level in (int(k[5:]) for k in vectors if k.startswith("index")):
            depth = held["octaves"][level].astype(np.int32)
            step = np.where(depth < 0, np.inf, np.ldexp(held["unit"], -depth)).astype(np.float32)
            index, size = vectors[f"index{level}"][0], step[:, None, None]
            offset = held["centre"][level][:, None, None]
            value = (np.sign(index) * (np.abs(index) + offset) * size).astype(np.float32)
            made: list[np.ndarray] = []

            def keep(shown: np.ndarray, made: list[np.ndarray] = made) -> np.ndarray:
                made.append(shown.copy())
                return np.zeros_like(shown)

            decoder.vjp(value, step, level + 1, keep, maps)
            want = vectors[f"{name}{level}"][0].transpose(1, 2, 0) + 127.5
            assert np.abs(made[0] - want).max() < 0.01
