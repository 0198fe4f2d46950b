"""Parameters of networks -> a folder of weights: tables and estimates fitted, arrays stored, card written."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from ..codec.encode import latent_psnr
from ..codec.engine import Engine, assembled
from ..codec.inference.config import ModelConfig
from ..codec.inference.convolution import Array
from ..codec.inference.integer_network import EXACT, ContextWeights, largest_sums
from ..codec.quantization import dead_zone
from ..codec.weights.card import CARD, WEIGHTS, ModelCard, read_card
from ..codec.weights.load import from_arrays
from ..errors import ModelError
from .fit_tables import fit, plain_arrays

Tensors = dict[str, NDArray[Any]]
"""Arrays by the names of a weights file (FORMAT.md, section 6.7)."""
MATRICES = (".weight", ".linear")
"""Ends of the names of matrices; gains and biases by level are no matrices."""
FITTED = 48
"""Crops that the expected PSNR is fitted to."""


def context_tensors(weights: ContextWeights[Array]) -> Tensors:
    """How the context network is stored. Raises ModelError if a sum could reach 2**24."""
    for name, value in largest_sums(weights).items():
        if value >= EXACT:
            raise ModelError(f"the context network's sums are not exact: {name} may reach {value}")

    def stored(array: Array, kind: str) -> NDArray[Any]:
        whole = array.astype(kind)
        if not np.array_equal(whole, array):
            raise ModelError("the context network's numbers are not whole or too large")
        return whole

    return {
        **{
            f"context.{name}": stored(getattr(weights, name), "int8")
            for name in ("entry", "mid", "back", "exit")
        },
        **{
            f"context.{name}": stored(getattr(weights, name), "int32")
            for name in ("entry_bias", "mid_bias", "exit_bias")
        },
    }


def half(arrays: Tensors) -> Tensors:
    """Large matrices in half precision, everything else in single, as a weights file stores transforms."""

    def kind(name: str, array: NDArray[Any]) -> type[np.floating[Any]]:
        large = array.ndim > 1 and array.size > 2048 and name.endswith(MATRICES)
        return np.float16 if large else np.float32

    return {name: np.ascontiguousarray(v, kind(name, v)) for name, v in arrays.items()}


def engine_of(config: ModelConfig, tensors: Tensors) -> Engine:
    """An engine of arrays in memory, with tables that are not fitted yet if they have none."""
    tables = {f"tables.{name}": v for name, v in plain_arrays().items()}
    fit_line = np.tile(np.array([1.0, 0.0], np.float32), (config.levels, 1))
    card = ModelCard("in-memory", Path(), "0" * 64, 0, config, {})
    return assembled(from_arrays(card, tables | {"psnr_fit": fit_line} | tensors))


def psnr_fit(
    machine: Engine, crops: list[NDArray[np.uint8]], latents: list[NDArray[np.float32]]
) -> NDArray[np.float32]:
    """float32 (K, 2): slope and offset from the latent's PSNR to that of the MSE decoder's pixels, by level."""
    fitted = []
    for level in range(1, machine.table.levels + 1):
        seen, true = [], []
        for pixels, latent in zip(crops, latents, strict=True):
            indices = machine.quantise(latent)
            at = dead_zone.at_depths(indices, machine.table, machine.table.depths[level - 1])
            value = machine.dequantise(at, level)
            error = float(
                np.square(latent - value, dtype=np.float64).sum() / (latent[0].size * 768)
            )
            out = machine.synthesise(value, level, pixels.shape[0], pixels.shape[1], realism=0.0)
            mse = np.square(out.astype(np.float64) - pixels).mean()
            seen.append(latent_psnr(error))
            true.append(10 * np.log10(255**2 / max(mse, 1e-3)))
        slope, offset = np.polyfit(seen, true, 1) if len(seen) > 1 else (1.0, true[0] - seen[0])
        fitted.append((slope, offset))
    return np.array(fitted, np.float32)


def write_weights(
    config: ModelConfig,
    tensors: Tensors,
    crops: list[NDArray[np.uint8]],
    out: Path,
    name: str,
    facts: dict[str, Any],
) -> ModelCard:
    """Fit tables and estimates to crops, and write a folder of weights.

    tensors: all but `tables.*` and `psnr_fit`; crops: uint8 (H, W, 3) of training pictures.
    """
    number = next_number(out)  # what is wrong with it is said before all the work
    machine = engine_of(config, tensors)
    latents = [machine.analyse(crop) for crop in crops]
    arrays = fit(
        machine.table, machine.context_runner.incremental, (machine.quantise(v) for v in latents)
    )
    tensors = tensors | {f"tables.{k}": v.astype(np.int32) for k, v in arrays.items()}
    tensors["psnr_fit"] = psnr_fit(machine, crops[:FITTED], latents[:FITTED])
    data = save({k: np.ascontiguousarray(tensors[k]) for k in sorted(tensors)})
    facts = facts | {"largest_sum": max(largest_sums(machine.model_weights.context).values())}
    digest = hashlib.sha256(data).hexdigest()
    place = out.with_name(f".{out.name}.part")
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    (place / WEIGHTS).write_bytes(data)
    (place / CARD).write_text(card_text(name, digest, number, config, facts), encoding="utf-8")
    shutil.rmtree(out, ignore_errors=True)
    place.rename(out)
    return ModelCard(name, out, digest, number, config, facts)


def next_number(out: Path) -> int:
    """Of weights in a folder with others. Raises ModelError if a card of theirs is broken."""
    others = [read_card(p.parent) for p in out.parent.glob(f"*/{CARD}") if p.parent != out]
    return 1 + max((card.number for card in others), default=0)


def card_text(
    name: str, digest: str, number: int, config: ModelConfig, facts: dict[str, Any]
) -> str:
    """The card as TOML. JSON's numbers, strings and lists are TOML's too."""
    rows = [
        f"name = {json.dumps(name)}",
        f"digest = {json.dumps(digest)}",
        f"number = {number}",
        "",
        "[model]",
        *(f"{k} = {json.dumps(v)}" for k, v in config.to_dict().items()),
        "",
        "[facts]",
        *(f"{k} = {json.dumps(v)}" for k, v in facts.items()),
    ]
    return "\n".join(rows) + "\n"
