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


def cut(arrays: Arrays, name: str, *part: slice) -> None:
    arrays[name] = np.ascontiguousarray(arrays[name][part])


CHANGES: dict[str, tuple[Callable[[Arrays], object], str]] = {
    "one is missing": (
        lambda a: a.pop("analysis.stride8.0.first.weight"),
        "analysis.stride8.0.first.weight is None",
    ),
    "a bias is missing": (lambda a: a.pop("mse.head_out.bias"), "mse.head_out.bias is None"),
    "one more": (
        lambda a: a.update({"analysis.more": np.zeros(3, np.float16)}),
        r"analysis.more is \(3,\)",
    ),
    "another name": (lambda a: renamed(a, "mse.exit.weight"), "mse.exit.weight is None"),
    "fewer levels": (lambda a: cut(a, "mse.entry_level", slice(3)), r"mse.entry_level is \(3, "),
    "a bias that would be spread": (
        lambda a: cut(a, "analysis.stride16.0.first.bias", slice(1)),
        r"analysis.stride16.0.first.bias is \(1,\)",
    ),
    "a context bias that would be spread": (
        lambda a: cut(a, "context.entry_bias", slice(None), slice(1)),
        "context.entry_bias is",
    ),
    "a short exit": (lambda a: cut(a, "context.exit", slice(-1)), "context.exit is"),
    "reach of one": (lambda a: cut(a, "reach", slice(1)), r"reach is \(1,\)"),
    "centres of one level": (lambda a: cut(a, "centre", slice(1)), r"centre is \(1, 8\)"),
    "no octaves": (lambda a: a.pop("octaves"), "octaves"),
    "noise for the MSE decoder": (
        lambda a: a.update({"mse.noise16.weight": a["perceptual.noise16.weight"]}),
        "mse.noise16.weight",
    ),
    "no noise for the perceptual decoder": (
        lambda a: a.pop("perceptual.noise4_gain"),
        "perceptual.noise4_gain is None",
    ),
    "not a number": (
        lambda a: spoiled(a, "analysis.exit.bias", np.nan),
        "analysis.exit.bias holds numbers that are not finite",
    ),
    "infinite in half precision": (
        lambda a: spoiled(a, "perceptual.linear", np.inf),
        "perceptual.linear holds numbers that are not finite",
    ),
    "minus infinity": (lambda a: spoiled(a, "centre", -np.inf), "centre holds numbers"),
    "fractions in the context network": (
        lambda a: a.update({"context.mid": a["context.mid"].astype(np.float32)}),
        "context.mid holds float32, not whole numbers",
    ),
    "fractions in the logarithms": (
        lambda a: a.update({"logs": a["logs"].astype(np.float32)}),
        "logs holds float32",
    ),
    "sums that are not exact": (
        lambda a: spoiled(a, "context.mid_bias", 2**24),
        "sums of context.mid can reach",
    ),
    "a table that does not nest": (lambda a: spoiled(a, "octaves", 0), "do not nest"),
    "passes that lead elsewhere": (
        lambda a: spoiled(a, "groups.depths", 1),
        "one bit plane further|step sizes of level",
    ),
    "depths that would wrap around": (
        lambda a: a.update({"octaves": a["octaves"].astype(np.int16) + 256}),
        "octaves holds int16",
    ),
    "a scale of 0": (lambda a: spoiled(a, "mse.scale", 0), "mse.scale"),
    "a place outside of its interval": (lambda a: spoiled(a, "centre", 7), "centre"),
    "whole numbers for weights": (
        lambda a: a.update({"unit": a["unit"].astype(np.int32)}),
        "unit holds numbers",
    ),
    "no passes": (lambda a: a.pop("groups.level"), "groups.level"),
    "phases that are not known": (lambda a: spoiled(a, "groups.phases", 3), "number of phases"),
    "a unit that is not positive": (lambda a: spoiled(a, "unit", -1), "positive numbers"),
    "a unit that is not a number": (lambda a: spoiled(a, "unit", np.nan), "unit holds numbers"),
    "other mean colours": (
        lambda a: a.update({"unit": a["unit"] * np.float32(1.01)}),
        "mean colours' steps at level 1",
    ),
    "no table of signs": (lambda a: a.pop("tables.sign"), "tables.sign"),
    "a short table": (lambda a: cut(a, "tables.flag", slice(3)), r"tables.flag is \(3,\)"),
    "a frequency of 0": (lambda a: spoiled(a, "tables.sign", 0), "coding tables: a frequency"),
    "a frequency that is all": (
        lambda a: spoiled(a, "tables.refinement", 2**24),
        "coding tables: a frequency",
    ),
    "places that do not sum up": (lambda a: spoiled(a, "tables.block", 7), "coding tables: a freq"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_other_arrays_are_refused_by_name(
    tiny: ModelCard, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrays = load_file(Path(tiny.folder) / WEIGHTS)
    monkeypatch.setattr(loading, "read_weights", lambda card: save(arrays))
    assembled(loading.load(tiny))  # as they are
    make, words = CHANGES[change]
    make(arrays)
    with pytest.raises(ModelError, match=words) as caught:
        assembled(loading.load(tiny))
    assert str(tiny.folder) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "data",
    [b"", b"\x08", b"\xff" * 64, b"\x89PNG\r\n\x1a\n" + bytes(100), -1, 8, 100, 5000],
    ids=lambda v: f"cut at {v}" if isinstance(v, int) else f"{len(v)} bytes",
)
def test_files_that_are_cut_or_another_kind_are_refused(
    tiny: ModelCard, data: bytes | int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the card agrees with them."""
    whole = (Path(tiny.folder) / WEIGHTS).read_bytes()
    held = whole[:data] if isinstance(data, int) else data
    monkeypatch.setattr(loading, "read_weights", lambda card: held)
    with pytest.raises(ModelError, match="not a weights file of this sic"):
        loading.load(tiny)


def test_weights_of_another_configuration_are_refused(
    tiny: ModelCard, shipped: ModelCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = (Path(tiny.folder) / WEIGHTS).read_bytes()
    monkeypatch.setattr(loading, "read_weights", lambda card: whole)
    with pytest.raises(ModelError, match=r"is \(8,\), not \(256,\)"):
        loading.load(shipped)
