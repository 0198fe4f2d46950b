"""A weights file holds the arrays of its model, no more, no less, and of their shapes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save

from sic_cli.codec.engine import assembled
from sic_cli.codec.inference.config import ModelConfig
from sic_cli.codec.inference.integer_network import context_shapes
from sic_cli.codec.inference.transforms import analysis_shapes, synthesis_shapes
from sic_cli.codec.networks.context import ContextNetwork
from sic_cli.codec.networks.transforms import Analysis, Synthesis
from sic_cli.codec.weights import load as loading
from sic_cli.codec.weights.card import WEIGHTS, ModelCard
from sic_cli.errors import ModelError
from sic_cli.training.export import context_tensors
from tests.tiny import CONFIG

Arrays = dict[str, np.ndarray]
CONFIGS = (
    CONFIG,
    replace(CONFIG, blocks=3, half_width=4, head_features=4, context_hidden=6, context_width=12),
)


@pytest.mark.parametrize("config", CONFIGS)
def test_shapes_are_those_of_the_networks_that_are_trained(
    config: ModelConfig, tiny: ModelCard
) -> None:
    for network, shapes in (
        (Analysis(config), analysis_shapes(config)),
        (Synthesis(config), synthesis_shapes(config, perceptual=False)),
        (Synthesis(config, perceptual=True), synthesis_shapes(config, perceptual=True)),
    ):
        assert {k: tuple(v.shape) for k, v in network.state_dict().items()} == shapes
    passes = loading.load(tiny).table.passes
    weights = ContextNetwork(config, passes).weights().map(lambda v: v.detach().numpy())
    named = {
        k.removeprefix("context."): tuple(v.shape) for k, v in context_tensors(weights).items()
    }
    assert named == context_shapes(config, len(passes))


def renamed(arrays: Arrays, name: str) -> None:
    arrays["other"] = arrays.pop(name)


def spoiled(arrays: Arrays, name: str, value: float) -> None:
    arrays[name] = arrays[name].copy()
    arrays[name].flat[-1] = value


CHANGES: dict[str, Callable[[Arrays], object]] = {
    "one is missing": lambda a: a.pop("analysis.stride8.0.first.weight"),
    "a bias is missing": lambda a: a.pop("mse.head_out.bias"),
    "one more": lambda a: a.update({"analysis.more": np.zeros(3, np.float16)}),
    "another name": lambda a: renamed(a, "mse.exit.weight"),
    "fewer levels": lambda a: a.update({"mse.entry_level": a["mse.entry_level"][:3]}),
    "a bias that would be spread": lambda a: a.update(
        {"analysis.stride16.0.first.bias": a["analysis.stride16.0.first.bias"][:1]}
    ),
    "a context bias that would be spread": lambda a: a.update(
        {"context.entry_bias": a["context.entry_bias"][:, :1]}
    ),
    "a short exit": lambda a: a.update({"context.exit": a["context.exit"][:-1]}),
    "reach of one": lambda a: a.update({"reach": a["reach"][:1]}),
    "centres of one level": lambda a: a.update({"centre": a["centre"][:1]}),
    "no octaves": lambda a: a.pop("octaves"),
    "noise for the MSE decoder": lambda a: a.update(
        {"mse.noise16.weight": a["perceptual.noise16.weight"]}
    ),
    "no noise for the perceptual decoder": lambda a: a.pop("perceptual.noise4_gain"),
    "not a number": lambda a: spoiled(a, "analysis.exit.bias", np.nan),
    "infinite in half precision": lambda a: spoiled(a, "perceptual.linear", np.inf),
    "minus infinity": lambda a: spoiled(a, "centre", -np.inf),
    "a table that does not nest": lambda a: spoiled(a, "octaves", 0),
    "passes that lead elsewhere": lambda a: spoiled(a, "groups.depths", 1),
    "no passes": lambda a: a.pop("groups.level"),
    "phases that are not known": lambda a: spoiled(a, "groups.phases", 3),
    "a unit that is not positive": lambda a: spoiled(a, "unit", -1),
}


@pytest.mark.parametrize("change", CHANGES)
def test_other_arrays_are_refused(
    tiny: ModelCard, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrays = load_file(Path(tiny.folder) / WEIGHTS)
    monkeypatch.setattr(loading, "read_weights", lambda card: save(arrays))
    assembled(loading.load(tiny))  # as they are
    CHANGES[change](arrays)
    with pytest.raises(ModelError, match="not a weights file"):
        loading.load(tiny)
