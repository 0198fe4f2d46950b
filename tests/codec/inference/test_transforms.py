"""The transforms with NumPy are those of training, and so are those for a GPU, run on the CPU."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sic_cli.codec.inference.transforms import AnalysisRunner, SynthesisRunner, gelu
from sic_cli.codec.networks.on_gpu import TorchAnalysis, TorchSynthesis
from sic_cli.codec.weights.card import ModelCard
from sic_cli.codec.weights.load import ModelWeights, decoder_at, load


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
    latent = rng.laplace(0, 200, (config.channels, *shape)).astype(np.float32)
    width = rng.choice([8, 16, np.inf], config.channels).astype(np.float32)
    latent[np.isinf(width)] = 0
    arrays = decoder_at(model_weights, realism)
    for level in (1, config.levels):
        got = SynthesisRunner(arrays, config)(latent, width, level)
        want = TorchSynthesis(arrays, config, "cpu")(latent, width, level)
        assert got.shape == want.shape == (shape[0] * 16, shape[1] * 16, 3)
        far = np.abs(got.astype(int) - want)
        assert far.max() <= 1 and (far > 0).mean() < 1e-3
        assert got.std() > 5, "no picture at all"


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
