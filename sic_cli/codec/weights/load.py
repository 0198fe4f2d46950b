"""A weights file -> parameters and tables in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays

from ...errors import ModelError
from ..inference.config import ModelConfig
from ..inference.convolution import Array
from ..inference.integer_network import MAGNITUDES, ContextWeights, context_shapes
from ..inference.transforms import Arrays, analysis_shapes, synthesis_shapes
from ..quantization.step_sizes import StepSizes, step_sizes_of
from .card import WEIGHTS, Card
from .pinned import read_weights

PERCEPTUAL = "vivid."
"""Prefix of the decoder at realism 1 in a weights file."""
SINGLE = {
    **{name: name for name in ("reach", "logs", "psnr_fit")},
    "reconstruction_offset": "centre",
    "dead_zone_scale": "spread",
}
"""Attribute -> name in a weights file."""


@dataclass(frozen=True, slots=True)
class ModelWeights:
    """Everything that a weights file holds.

    analysis, synthesis, vivid: parameters of the networks by name, the decoder at realism 0 and at
    realism 1; the last two are one object if the release has one. arrays: coding tables by name; table:
    step sizes and passes; reach, logs: context features; reconstruction_offset, dead_zone_scale: float32 (K, C);
    psnr_fit: float32 (K, 2), see codec/encode.py.
    """

    card: ModelCard
    analysis: Arrays
    synthesis: Arrays
    perceptual_synthesis: Arrays
    context: ContextWeights[Array]
    reach: Array
    logs: Array
    arrays: dict[str, NDArray[np.int64]]
    table: StepSizes
    reconstruction_offset: Array
    dead_zone_scale: Array
    psnr_fit: Array


def load(card: ModelCard) -> ModelWeights:
    """Read and check. Raises ModelError if digest or contents are wrong."""
    data = read_weights(card)
    try:
        found = load_arrays(data)

        def under(prefix: str) -> Arrays:
            return {k[len(prefix) :]: v for k, v in found.items() if k.startswith(prefix)}

        def single(name: str) -> Array:
            return found[name].astype(np.float32)

        table = _checked(card.config, found)
        synthesis = under("synthesis.")
        return ModelWeights(
            card=card,
            analysis=under("analysis."),
            synthesis=synthesis,
            perceptual_synthesis=under(PERCEPTUAL) or synthesis,
            context=ContextWeights(
                single("context.entry"),
                single("context.entry_bias"),
                single("context.mid"),
                single("context.mid_bias"),
                single("context.back"),
                single("context.exit"),
                single("context.exit_bias"),
            ),
            arrays={k: v.astype(np.int64) for k, v in under("tables.").items()},
            table=table,
            **{name: single(stored) for name, stored in SINGLE.items()},
        )
    except (KeyError, ValueError, TypeError, AttributeError, SafetensorError) as error:
        raise ModelError(
            f"{card.folder / WEIGHTS}: not a weights file of this sic ({error})"
        ) from None


def _checked(config: ModelConfig, found: dict[str, NDArray[Any]]) -> StepSizes:
    """The step-size table. Raises ValueError unless these are the arrays of such a model, no more and no
    less, and the table nests."""
    levels, channels = config.levels, config.channels
    wanted: dict[str, tuple[int, ...]] = {
        **dict.fromkeys(("reach", "unit"), (channels,)),
        **dict.fromkeys(("octaves", "centre", "spread"), (levels, channels)),
        "logs": (MAGNITUDES,),
        "psnr_fit": (levels, 2),
    }
    for name, shape in wanted.items():
        if found[name].shape != shape:
            raise ValueError(f"{name} is {found[name].shape}, not {shape}")
    groups = (found[f"groups.{name}"].astype(np.int8) for name in ("level", "depths", "phases"))
    table = step_sizes_of(found["unit"], found["octaves"], *groups)
    parts = {
        "analysis.": analysis_shapes(config),
        "synthesis.": synthesis_shapes(config),
        "context.": context_shapes(config, len(table.passes)),
    }
    if any(name.startswith(PERCEPTUAL) for name in found):
        parts[PERCEPTUAL] = synthesis_shapes(config)
    for prefix, shapes in parts.items():
        wanted |= {prefix + name: shape for name, shape in shapes.items()}
    have = {k: v.shape for k, v in found.items() if not k.startswith(("tables.", "groups."))}
    for name in sorted(have.keys() | wanted.keys()):
        if have.get(name) != wanted.get(name):
            raise ValueError(f"{name} is {have.get(name)}, not {wanted.get(name)}")
    return table


def decoder_at(model_weights: ModelWeights, realism: float) -> Arrays:
    """The decoder between its two ends: parameters mixed linearly, 0 the MSE decoder, 1 the perceptual one.

    Two networks of which one was trained on from the other can be mixed like this (Wang and others,
    "Deep Network Interpolation for Continuous Imagery Effect Transition", CVPR 2019).
    """
    if realism == 0 or model_weights.perceptual_synthesis is model_weights.synthesis:
        return model_weights.synthesis
    if realism == 1:
        return model_weights.perceptual_synthesis
    ends = (
        (k, v.astype(np.float32), model_weights.perceptual_synthesis[k])
        for k, v in model_weights.synthesis.items()
    )
    return {name: own + np.float32(realism) * (end - own) for name, own, end in ends}
