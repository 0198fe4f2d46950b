"""A checkpoint -> a folder of weights: rounded networks, fitted tables, card and learning curve."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save
from torch import Tensor
from torch.nn import Module

from ..codec.encode import latent_psnr
from ..codec.engine import Engine, assembled
from ..codec.inference.convolution import Array
from ..codec.inference.integer_network import EXACT, ContextWeights, largest_sums
from ..codec.inference.transforms import Arrays
from ..codec.networks.codec_model import CodecModel
from ..codec.networks.transforms import Synthesis
from ..codec.quantization import dead_zone
from ..codec.weights.card import CARD, WEIGHTS, ModelCard, read_card
from ..codec.weights.load import PERCEPTUAL, ModelWeights
from ..errors import ModelError
from .checkpoint import averaged, table_of
from .data import Crops
from .fit_tables import fit, plain_arrays


def context_tensors(weights: ContextWeights[Array]) -> dict[str, Tensor]:
    """int8 weights and int32 biases by name. Raises ModelError if a sum could reach 2**24."""
    sums = largest_sums(weights)
    worst = max(sums, key=lambda k: sums[k])
    if sums[worst] >= EXACT:
        raise ModelError(f"context network: sums in {worst} may reach {sums[worst]}, 2**24 or more")
    named = {
        "entry": weights.entry,
        "entry_bias": weights.entry_bias,
        "exit": weights.exit,
        "exit_bias": weights.exit_bias,
    }
    for i, (mid, bias, back) in enumerate(
        zip(weights.mid, weights.mid_bias, weights.back, strict=True)
    ):
        named |= {f"mid.{i}": mid, f"mid_bias.{i}": bias, f"back.{i}": back}
    kinds = {k: torch.int32 if "bias" in k else torch.int8 for k in named}
    return {f"context.{k}": torch.from_numpy(v).to(kinds[k]).contiguous() for k, v in named.items()}


def arrays_of(network: Module) -> Arrays:
    """The parameters of a network, as a weights file holds them."""
    return {name: value.detach().numpy() for name, value in network.state_dict().items()}


def build_engine(
    model: CodecModel,
    arrays: dict[str, NDArray[np.int64]],
    perceptual_synthesis: Synthesis | None = None,
) -> Engine:
    """An engine for a model in memory, its transforms rounded to fp16 as a weights file stores them.

    perceptual_synthesis: the decoder at realism 1, if there is a second one.
    """
    table, levels, channels = table_of(model), model.config.levels, model.config.channels
    with torch.no_grad():
        for p in (
            *model.analysis.parameters(),
            *model.synthesis.parameters(),
            *(perceptual_synthesis.parameters() if perceptual_synthesis else ()),
            model.reconstruction_offset,
        ):
            p.copy_(p.half().float())
        weights = model.context.weights().map(lambda v: v.numpy())
    card = ModelCard("in-memory", Path(), "0" * 64, 0, model.config, {})
    model_weights = ModelWeights(
        card=card,
        analysis=arrays_of(model.analysis),
        synthesis=arrays_of(model.synthesis),
        perceptual_synthesis=arrays_of(perceptual_synthesis or model.synthesis),
        context=weights,
        reach=model.reach.numpy(),
        logs=model.logs.numpy(),
        arrays=arrays,
        unit=model.unit.numpy(),
        depths=table.depths,
        reconstruction_offset=model.reconstruction_offset.detach().numpy(),
        dead_zone_scale=np.full((levels, channels), 0.3, np.float32),
        psnr_fit=np.tile(np.array([1.0, 0.0], np.float32), (levels, 1)),
    )
    return assembled(model_weights)


def dead_zone_scales(machine: Engine, latents: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    """float32 (K, C): mean magnitude inside the dead zone, in units of its half width."""
    table = machine.table
    out = np.full((table.levels, table.channels), 0.3, np.float32)
    magnitude = np.abs(np.concatenate([v.reshape(table.channels, -1) for v in latents], 1))
    for level in range(1, table.levels + 1):
        ratio = magnitude / table.step_sizes(level)[:, None]
        inside = ratio < 1
        mean = (ratio * inside).sum(1) / np.maximum(1, inside.sum(1))
        out[level - 1] = np.clip(mean, 0.01, 0.5)
    return out


def psnr_fit(
    machine: Engine, crops: list[NDArray[np.uint8]], latents: list[NDArray[np.float32]]
) -> NDArray[np.float32]:
    """float32 (K, 2): slope and offset from the latent's PSNR to that of the pixels, by level."""
    fitted = []
    for level in range(1, machine.table.levels + 1):
        seen, true = [], []
        for pixels, latent in zip(crops, latents, strict=True):
            indices = machine.quantise(latent)
            at = dead_zone.at_depths(indices, machine.table, machine.table.depths[level - 1])
            place = machine.dequantise(at, level, "mean", 0)
            error = float(
                np.square(latent - place, dtype=np.float64).sum() / (latent[0].size * 768)
            )
            out = machine.synthesise(place, level, *pixels.shape[:2])
            mse = np.square(out.astype(np.float64) - pixels).mean()
            seen.append(latent_psnr(error))
            true.append(10 * np.log10(255**2 / max(mse, 1e-3)))
        slope, offset = np.polyfit(seen, true, 1)
        fitted.append((slope, offset))
    return np.array(fitted, np.float32)


DECODERS = ("synthesis.", "perceptual_synthesis.")


def same_but(a: CodecModel, b: CodecModel, but: tuple[str, ...]) -> bool:
    """True if two models differ in nothing but the parameters whose names begin with these words."""
    first, second = a.state_dict(), b.state_dict()
    return all(torch.equal(v, second[k]) for k, v in first.items() if not k.startswith(but))


def export(
    checkpoint: Path,
    pictures: list[NDArray[np.uint8]],
    out: Path,
    name: str,
    count: int = 96,
    perceptual: Path | None = None,
    context: Path | None = None,
) -> ModelCard:
    """Write the weights `out` from a checkpoint's averaged parameters.

    pictures: training pictures that tables and estimates are fitted to; count: crops of 384x384;
    perceptual_synthesis: a checkpoint of stage 3 that goes on from the first, for realism 1, if the first has not both
    decoders; context: a checkpoint of stage "context" behind the same transforms, whose context network
    is taken. Raises ModelError if they do not belong together.
    """
    next_number(out)  # what is wrong with it is told before all the work
    model, progress = averaged(checkpoint)
    second: Synthesis | None = model.perceptual_synthesis
    model.perceptual_synthesis = None
    more: dict[str, float] = {"perceptual_crops": progress.crops} if second else {}
    if perceptual:
        other, later = averaged(perceptual)
        if not same_but(model, other, DECODERS):
            raise ModelError(f"{perceptual} and {checkpoint} differ in more than their decoder")
        second = other.perceptual_synthesis or other.synthesis
        more = {"perceptual_crops": later.crops, "perceptual_hours": round(later.hours, 3)}
    if context:
        other, later = averaged(context)
        if not same_but(model, other, ("context.", "perceptual_synthesis.")):
            raise ModelError(
                f"{context} and {checkpoint} differ in more than their context network"
            )
        model.context, model.config = other.context, other.config
        more |= {"context_crops": later.crops - progress.crops}
    source = Crops(pictures, 384, seed=1)
    crops = [np.ascontiguousarray(source.one()) for _ in range(count)]
    facts = {
        "crops": progress.crops,
        "steps": progress.steps,
        "hours": round(progress.hours, 3),
        "data_digest": progress.notes.get("data", ""),
    } | more
    card = write_weights(model, crops, out, name, facts, second)
    curve = (perceptual or checkpoint).parent / "training.jsonl"
    if curve.exists():
        shutil.copy(curve, out / "training.jsonl")
    return card


def write_weights(
    model: CodecModel,
    crops: list[NDArray[np.uint8]],
    out: Path,
    name: str,
    facts: dict[str, Any],
    perceptual_synthesis: Synthesis | None = None,
) -> ModelCard:
    """Fit tables and estimates of a model to crops, and write its folder."""
    machine = build_engine(model, plain_arrays(), perceptual_synthesis)
    latents = [machine.analyse(c) for c in crops]
    arrays = fit(
        machine.table,
        machine.context_runner.context_classes,
        (machine.quantise(v) for v in latents),
    )
    tensors: dict[str, Tensor] = {}
    parts = {"analysis.": model.analysis, "synthesis.": model.synthesis}
    for prefix, part in (
        parts | ({PERCEPTUAL: perceptual_synthesis} if perceptual_synthesis else {})
    ).items():
        state = part.state_dict()
        tensors |= {prefix + k: v.half().contiguous() for k, v in state.items()}
    tensors |= context_tensors(machine.model_weights.context)
    tensors |= {f"tables.{k}": torch.from_numpy(v.astype(np.int32)) for k, v in arrays.items()}
    tensors |= {
        "reach": model.reach.to(torch.int8),
        "logs": model.logs.to(torch.int16),
        "unit": model.unit.clone(),
        "octaves": model.depths.to(torch.int8),
        "centre": model.reconstruction_offset.detach().half(),
        "spread": torch.from_numpy(dead_zone_scales(machine, latents)).half(),
        "psnr_fit": torch.from_numpy(psnr_fit(machine, crops[:48], latents[:48])),
    }
    data = save(tensors)
    facts = facts | {"largest_sum": max(largest_sums(machine.model_weights.context).values())}
    digest = hashlib.sha256(data).hexdigest()
    number = next_number(out)
    place = out.with_name(f".{out.name}.part")
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    (place / WEIGHTS).write_bytes(data)
    (place / CARD).write_text(card_text(name, digest, number, model, facts), encoding="utf-8")
    shutil.rmtree(out, ignore_errors=True)
    place.rename(out)
    return ModelCard(name, out, digest, number, model.config, facts)


def next_number(out: Path) -> int:
    """Of weights in a folder with others. Raises ModelError if a card of theirs is broken."""
    others = [read_card(p.parent) for p in out.parent.glob(f"*/{CARD}") if p.parent != out]
    return 1 + max((card.number for card in others), default=0)


def card_text(name: str, digest: str, number: int, model: CodecModel, facts: dict[str, Any]) -> str:
    """The card as TOML. JSON's numbers, strings and lists are TOML's too."""
    rows = [
        f"name = {json.dumps(name)}",
        f"digest = {json.dumps(digest)}",
        f"number = {number}",
        "",
        "[model]",
        *(f"{k} = {json.dumps(v)}" for k, v in model.config.to_dict().items()),
        "",
        "[facts]",
        *(f"{k} = {json.dumps(v)}" for k, v in facts.items()),
    ]
    return "\n".join(rows) + "\n"
