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
from ..inference.integer_network import (
    EXACT,
    MAGNITUDES,
    REFINEMENT,
    SIGN,
    SIGNIFICANCE,
    ContextWeights,
    context_shapes,
    largest_sums,
)
from ..inference.transforms import Arrays, analysis_shapes, synthesis_shapes
from ..quantization.step_sizes import StepSizes, step_sizes_of
from .card import WEIGHTS, ModelCard
from .pinned import read_weights

SINGLE = {
    **{name: name for name in ("reach", "logs", "psnr_fit")},
    "reconstruction_offset": "centre",
}
"""Attribute -> name in a weights file."""
LONGEST_BLOCK = 64
TABLES = {
    **dict.fromkeys(("significance", "block", "flag"), (SIGNIFICANCE.count,)),
    **dict.fromkeys(("refinement", "escape"), (REFINEMENT.count,)),
    "sign": (SIGN.count,),
    "first": (SIGNIFICANCE.count, LONGEST_BLOCK),
}
WHOLE = ("octaves", "reach", "logs")
WHOLE_UNDER = ("groups.", "context.", "tables.")
"""Names, and beginnings of names, of arrays that hold whole numbers."""


@dataclass(frozen=True, slots=True)
class ModelWeights:
    """Everything that a weights file holds.

    analysis, mse, perceptual: parameters of the networks by name, the decoders at realism 0 and at realism 1.
    arrays: coding tables by name; table: step sizes and passes; reach, logs: context features;
    reconstruction_offset: float32 (K, C); psnr_fit: float32 (K, 2), see codec/encode.py.
    """

    card: ModelCard
    analysis: Arrays
    mse: Arrays
    perceptual: Arrays
    context: ContextWeights[Array]
    reach: Array
    logs: Array
    arrays: dict[str, NDArray[np.int64]]
    table: StepSizes
    reconstruction_offset: Array
    psnr_fit: Array


def load(card: ModelCard) -> ModelWeights:
    """Read and check. Raises ModelError if digest or contents are wrong."""
    data = read_weights(card)
    try:
        found = load_arrays(data)
        return from_arrays(card, found)
    except (KeyError, ValueError, TypeError, AttributeError, SafetensorError) as error:
        raise ModelError(
            f"{card.folder / WEIGHTS}: not a weights file of this sic ({error})"
        ) from None


def from_arrays(card: ModelCard, found: dict[str, NDArray[Any]]) -> ModelWeights:
    """What the arrays of a weights file hold. Raises ValueError or KeyError unless they are those of a model
    of the card's configuration."""

    def under(prefix: str) -> Arrays:
        return {k[len(prefix) :]: v for k, v in found.items() if k.startswith(prefix)}

    def single(name: str) -> Array:
        return found[name].astype(np.float32)

    table = _checked(card.config, found)
    context = ContextWeights(
        single("context.entry"),
        single("context.entry_bias"),
        single("context.mid"),
        single("context.mid_bias"),
        single("context.back"),
        single("context.exit"),
        single("context.exit_bias"),
    )
    for layer, most in largest_sums(context).items():
        if most >= EXACT:
            raise ValueError(f"sums of context.{layer} can reach {most}, beyond {EXACT}")
    return ModelWeights(
        card=card,
        analysis=under("analysis."),
        mse=under("mse."),
        perceptual=under("perceptual."),
        context=context,
        arrays={k: v.astype(np.int64) for k, v in under("tables.").items()},
        table=table,
        **{name: single(stored) for name, stored in SINGLE.items()},
    )


def _checked(config: ModelConfig, found: dict[str, NDArray[Any]]) -> StepSizes:
    """The step-size table. Raises ValueError unless these are the arrays of such a model, no more and no
    less, and the table nests."""
    levels, channels = config.levels, config.channels
    wanted: dict[str, tuple[int, ...]] = {
        **dict.fromkeys(("reach", "unit"), (channels,)),
        **dict.fromkeys(("octaves", "centre"), (levels, channels)),
        "logs": (MAGNITUDES,),
        "psnr_fit": (levels, 2),
        **{f"tables.{name}": shape for name, shape in TABLES.items()},
    }
    for name, array in found.items():
        if name.startswith(WHOLE_UNDER) or name in WHOLE:
            if array.dtype.kind not in "iu":
                raise ValueError(f"{name} holds {array.dtype}, not whole numbers")
        elif not _finite(array):
            raise ValueError(f"{name} holds numbers that are not finite")
    for name, shape in wanted.items():
        if found[name].shape != shape:
            raise ValueError(f"{name} is {found[name].shape}, not {shape}")
    depths = ("octaves", "groups.level", "groups.depths", "groups.phases")
    for name in depths:  # others would wrap around
        if found[name].dtype != np.int8:
            raise ValueError(f"{name} holds {found[name].dtype}, not int8")
    table = step_sizes_of(found["unit"], *(found[name] for name in depths))
    if (found["centre"] < 0).any() or (found["centre"] > 1).any():
        raise ValueError("centre holds places outside of their intervals")
    parts = {
        "analysis.": analysis_shapes(config),
        "mse.": synthesis_shapes(config, perceptual=False),
        "perceptual.": synthesis_shapes(config, perceptual=True),
        "context.": context_shapes(config, len(table.passes)),
    }
    for prefix, shapes in parts.items():
        wanted |= {prefix + name: shape for name, shape in shapes.items()}
    have = {k: v.shape for k, v in found.items() if not k.startswith("groups.")}
    for name in sorted(have.keys() | wanted.keys()):
        if have.get(name) != wanted.get(name):
            raise ValueError(f"{name} is {have.get(name)}, not {wanted.get(name)}")
    for part in parts:
        if part != "context." and not (found[f"{part}scale"] > 0).all():
            raise ValueError(f"{part}scale holds numbers that are not positive")
    return table


def _finite(array: NDArray[Any]) -> bool:
    """Whether all numbers are finite. Half precision is looked at as bits, which is ten times as fast."""
    if array.dtype == np.float16:
        return not bool(((array.view(np.uint16) & np.uint16(0x7C00)) == np.uint16(0x7C00)).any())
    return array.dtype.kind == "f" and bool(np.isfinite(array).all())


def decoder_at(model_weights: ModelWeights, realism: float) -> Arrays:
    """The decoder between its two ends: parameters mixed linearly, 0 the MSE decoder, 1 the perceptual one.
    The MSE decoder has no noise inputs, so between the two the gains of noise are a share of the perceptual
    decoder's.

    Two networks of which one was trained on from the other can be mixed like this (Wang and others,
    "Deep Network Interpolation for Continuous Imagery Effect Transition", CVPR 2019).
    """
    if realism in (0, 1):
        return model_weights.perceptual if realism else model_weights.mse
    share, mixed = np.float32(realism), dict[str, NDArray[np.floating[Any]]]()
    for name, end in model_weights.perceptual.items():
        if name in model_weights.mse:
            own = model_weights.mse[name].astype(np.float32)
            mixed[name] = own + share * (end - own)
        else:
            mixed[name] = end * share if name.endswith("_gain") else end
    return mixed
