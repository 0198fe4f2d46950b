"""Checkpoints: a safetensors file, written whole or not at all, that a killed run resumes from."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save as serialise
from safetensors.torch import save_file
from torch import Tensor, nn

from ..codec.inference.config import ModelConfig
from ..codec.inference.integer_network import LOGIT_ONE, WEIGHT_SHIFT
from ..codec.inference.transforms import Arrays
from ..codec.networks.codec_model import CodecModel
from ..codec.quantization.step_sizes import StepSizes, build
from ..codec.weights.card import ModelCard
from ..codec.weights.load import load
from ..storage.files import replace_file


@dataclass(slots=True)
class TrainingProgress:
    """What has been done so far, over all runs: optimiser steps, crops seen, hours of wall time."""

    steps: int = 0
    crops: int = 0
    hours: float = 0.0
    norms: list[float] = field(default_factory=list)
    notes: dict[str, str] = field(default_factory=dict)


def table_of(model: CodecModel) -> StepSizes:
    """The step-size table that a model carries in its buffers."""
    config = model.config
    depths = model.depths.to(torch.int8).numpy()
    return build(model.unit.numpy(), depths, config.groups, config.lead)


def save(
    path: Path,
    model: CodecModel,
    average: dict[str, Tensor],
    optimisers: list[torch.optim.Optimizer],
    progress: TrainingProgress,
) -> None:
    """Write everything that `load` needs."""
    tensors = {f"model.{k}": v.detach().contiguous() for k, v in model.state_dict().items()}
    tensors |= {f"average.{k}": v.contiguous() for k, v in average.items()}
    names: dict[Tensor, str] = {p: n for n, p in model.named_parameters()}
    for index, optimiser in enumerate(optimisers):
        for parameter, state in optimiser.state.items():
            for key, value in state.items():
                value = torch.as_tensor(value).detach().clone().contiguous()
                tensors[f"optimiser{index}.{key}.{names[parameter]}"] = value
    facts = {
        "config": json.dumps(model.config.to_dict()),
        "progress": _facts(progress),
    }
    part = path.with_suffix(".part")
    save_file({k: v.cpu() for k, v in tensors.items()}, part, facts)
    os.replace(part, path)


def save_small(path: Path, checkpoint: Path) -> None:
    """The averaged parameters of a checkpoint alone, in half precision: what travels between machines.

    `load_model` reads it like any checkpoint; optimisers start anew.
    """
    model, average, progress = load_model(checkpoint)
    tensors = {f"model.{k}": v for k, v in model.state_dict().items()}
    tensors |= {f"model.{k}": v.half() for k, v in average.items()}
    facts = {"config": json.dumps(model.config.to_dict()), "progress": _facts(progress)}
    replace_file(str(path), serialise({k: v.contiguous() for k, v in tensors.items()}, facts))


def _facts(progress: TrainingProgress) -> str:
    names = ("steps", "crops", "hours", "norms", "notes")
    return json.dumps({k: getattr(progress, k) for k in names})


def load_model(path: Path) -> tuple[CodecModel, dict[str, Tensor], TrainingProgress]:
    """The model of a checkpoint, its averaged parameters and its progress."""
    with safe_open(path, "pt") as file:
        facts = file.metadata()
        tensors = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
    config = ModelConfig.from_dict(json.loads(facts["config"]))
    depths = tensors["model.depths"].to(torch.int8).numpy()
    table = build(tensors["model.unit"].numpy(), depths, config.groups, config.lead)
    model = CodecModel(config, table)
    if any(k.startswith("model.perceptual_synthesis.") for k in tensors):
        model.add_perceptual_synthesis()
    model.load_state_dict({k[6:]: v for k, v in tensors.items() if k.startswith("model.")})
    average = {k[8:]: v for k, v in tensors.items() if k.startswith("average.")}
    return model, average, TrainingProgress(**json.loads(facts["progress"]))


def averaged(checkpoint: Path) -> tuple[CodecModel, TrainingProgress]:
    """The model of a checkpoint with its averaged parameters."""
    model, average, progress = load_model(checkpoint)
    model.load_state_dict({**model.state_dict(), **average})
    return model, progress


def model_from_weights(card: ModelCard, perceptual: bool = False) -> CodecModel:
    """The trainable form of weights, so that what was trained is never started again.

    perceptual_synthesis: with its decoder of realism 1.

    The context network comes back exactly, the transforms as the weights file has them, rounded.
    """
    model_weights = load(card)
    config = card.config
    model = CodecModel(
        config, build(model_weights.unit, model_weights.depths, config.groups, config.lead)
    )
    model.analysis.load_state_dict(tensors_of(model_weights.analysis))
    model.synthesis.load_state_dict(
        tensors_of(model_weights.perceptual_synthesis if perceptual else model_weights.synthesis)
    )
    known = model_weights.context.map(torch.from_numpy)
    with torch.no_grad():
        model.reconstruction_offset.copy_(torch.from_numpy(model_weights.reconstruction_offset))
        model.reach.copy_(torch.from_numpy(model_weights.reach))
        model.logs.copy_(torch.from_numpy(model_weights.logs))
        for name in ("entry", "mid", "back", "exit"):
            _fill(getattr(model.context, name), getattr(known, name), 2**WEIGHT_SHIFT)
        for name in ("entry_bias", "mid_bias", "exit_bias"):
            _fill(getattr(model.context, name), getattr(known, name), LOGIT_ONE)
    return model


def tensors_of(arrays: Arrays) -> dict[str, Tensor]:
    """float32."""
    return {name: torch.from_numpy(value.astype(np.float32)) for name, value in arrays.items()}


def _fill(own: Tensor | nn.ParameterList, known: Tensor | tuple[Tensor, ...], one: int) -> None:
    """Real parameters from whole ones, single or by block."""
    many = isinstance(known, tuple)
    for parameter, value in zip(own if many else (own,), known if many else (known,), strict=True):
        parameter.copy_(value / one)


def load_optimisers(path: Path, model: CodecModel, optimisers: list[torch.optim.Optimizer]) -> None:
    """Give optimisers the state that a checkpoint holds for parameters of the same name."""
    parameters = dict(model.named_parameters())
    with safe_open(path, "pt") as file:
        for name in file.keys():  # noqa: SIM118
            kind, _, rest = name.partition(".")
            if not kind.startswith("optimiser"):
                continue
            key, _, parameter = rest.partition(".")
            index, value = int(kind[9:]), file.get_tensor(name)
            target = parameters.get(parameter)
            if index >= len(optimisers) or target is None:
                continue
            groups = optimisers[index].param_groups
            if any(target is p for group in groups for p in group["params"]):
                on = target.device if key != "step" else value.device
                optimisers[index].state[target][key] = value.to(on)
