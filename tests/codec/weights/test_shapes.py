"""A weights file holds the arrays of its model, no more, no less, and of their shapes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save

from sic_cli.codec.engine import assembled
from sic_cli.codec.inference.integer_network import context_shapes
from sic_cli.codec.inference.transforms import analysis_shapes, synthesis_shapes
from sic_cli.codec.networks.context import ContextNet
from sic_cli.codec.networks.transforms import Analysis, Synthesis
from sic_cli.codec.weights import load as loading
from sic_cli.codec.weights.card import WEIGHTS, ModelCard
from sic_cli.errors import ModelError
from sic_cli.training.export import context_tensors
from tests.tiny import CONFIG

Arrays = dict[str, np.ndarray]
CONFIGS = (CONFIG, replace(CONFIG, blocks=3, head_features=4, context_blocks=2, context_width=12))


@pytest.mark.parametrize("config", CONFIGS)
def test_shapes_are_those_of_the_networks_that_are_trained(config) -> None:  # type: ignore[no-untyped-def]
    for network, shapes in ((Analysis, analysis_shapes), (Synthesis, synthesis_shapes)):
        state = network(config).state_dict()
        assert {k: tuple(v.shape) for k, v in state.items()} == shapes(config)
    weights = ContextNet(config, 9).weights().map(lambda v: v.detach().numpy())
    named = {
        k.removeprefix("context."): tuple(v.shape) for k, v in context_tensors(weights).items()
    }
    assert named == context_shapes(config, 9)


def renamed(arrays: Arrays, name: str) -> None:
    arrays["other"] = arrays.pop(name)


CHANGES: dict[str, Callable[[Arrays], object]] = {
    "one is missing": lambda a: a.pop("analysis.blocks.0.first.weight"),
    "a bias is missing": lambda a: a.pop("synthesis.head_out.bias"),
    "one more": lambda a: a.update({"analysis.more": np.zeros(3, np.float16)}),
    "another name": lambda a: renamed(a, "synthesis.exit.weight"),
    "fewer levels": lambda a: a.update({"synthesis.entry_level": a["synthesis.entry_level"][:3]}),
    "a bias that would be spread": lambda a: a.update(
        {"analysis.blocks.0.first.bias": a["analysis.blocks.0.first.bias"][:1]}
    ),
    "a context bias that would be spread": lambda a: a.update(
        {"context.entry_bias": a["context.entry_bias"][:, :1]}
    ),
    "a short exit": lambda a: a.update({"context.exit": a["context.exit"][:-1]}),
    "reach of one": lambda a: a.update({"reach": a["reach"][:1]}),
    "centres of one level": lambda a: a.update({"centre": a["centre"][:1]}),
    "no octaves": lambda a: a.pop("octaves"),
    "half a second decoder": lambda a: a.update({"vivid.linear": a["synthesis.linear"]}),
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
