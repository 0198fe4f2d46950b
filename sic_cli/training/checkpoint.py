"""Checkpoints: a safetensors file, written whole or not at all, that a killed run resumes from to the bit.

What is random in a step follows from the seed and the number of the step, so nothing of it needs to be stored.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialise
from torch import Tensor, nn

from ..codec.inference.config import ModelConfig
from ..codec.weights.card import CARD, WEIGHTS, read_card
from ..codec.weights.pinned import read_weights
from ..errors import ModelError
from ..storage.files import replace_file
from .model import TrainModel
from .optimiser import FROZEN

NAME = "checkpoint.safetensors"
PARTS = ("analysis.", "mse.", "perceptual.")
"""Networks by the beginnings of their names, in a weights file as here."""
STORED = {"unit": "unit", "depths": "octaves", "centre": "centre"}
"""The others: name here, name in a weights file."""
SMALL = 2048
"""Numbers up to which a tensor stays in 32 bits in what `save_resumable` writes."""


@dataclass(slots=True)
class TrainingProgress:
    """What has been done so far, over all runs: optimiser steps, crops seen, hours of wall time. begun, begun_steps:
    crops and steps when the current stage began; stage; notes: facts for the model card."""

    steps: int = 0
    crops: int = 0
    hours: float = 0.0
    begun: int = 0
    begun_steps: int = 0
    stage: str = ""
    notes: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class TrainingState:
    """All that a step changes. average: moving averages of the parameters that learn, by name; norms: as in
    `Objective`; the discriminator's optimiser is the last one."""

    model: TrainModel
    average: dict[str, Tensor]
    optimisers: list[torch.optim.Optimizer]
    norms: Tensor
    progress: TrainingProgress
    discriminator: nn.Module | None = None

    def names(self) -> dict[Tensor, str]:
        """Names of all parameters that an optimiser may have."""
        found: dict[Tensor, str] = {p: n for n, p in self.model.named_parameters()}
        if self.discriminator is not None:
            parts = self.discriminator.named_parameters()
            found |= {p: f"discriminator.{n}" for n, p in parts}
        return found

    def tensors(self) -> dict[str, Tensor]:
        """Everything by the names of a checkpoint."""
        found = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        found |= {f"average.{k}": v for k, v in self.average.items()}
        found["norms"] = self.norms
        if self.discriminator is not None:
            state = self.discriminator.state_dict()
            found |= {f"discriminator.{k}": v for k, v in state.items()}
        names = self.names()
        for index, optimiser in enumerate(self.optimisers):
            for parameter, own in optimiser.state.items():
                for key, value in own.items():
                    found[f"optimiser{index}.{key}.{names[parameter]}"] = torch.as_tensor(value)
        return {k: v.detach().cpu().clone().contiguous() for k, v in found.items()}


def save(path: Path, state: TrainingState) -> None:
    """Write everything that `load` and `restore` need."""
    write(path, state.tensors(), state.model.config, state.progress)


def write(
    path: Path, tensors: dict[str, Tensor], config: ModelConfig, progress: TrainingProgress
) -> None:
    """Write a checkpoint, whole or not at all."""
    facts = {"config": json.dumps(config.to_dict()), "progress": json.dumps(asdict(progress))}
    replace_file(str(path), serialise(tensors, facts))


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a safetensors file. Raises ModelError."""
    try:
        with safe_open(path, "pt") as file:
            found = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
            return found, file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path}: not a file of tensors ({error})") from None


def load(path: Path) -> tuple[TrainModel, TrainingProgress, dict[str, Tensor]]:
    """The model of a checkpoint, its progress, and all its tensors for `restore`. Raises ModelError."""
    tensors, facts = read(path)
    if "progress" not in facts:
        raise ModelError(f"{path}: not a checkpoint")
    state = under(tensors, "model.")
    model = model_of(ModelConfig.from_dict(json.loads(facts["config"])), state, path)
    return model, TrainingProgress(**json.loads(facts["progress"])), tensors


def restore(state: TrainingState, tensors: dict[str, Tensor]) -> None:
    """Give averages, running means, discriminator and optimisers what a checkpoint holds of them."""
    device = state.norms.device
    for name, value in under(tensors, "average.").items():
        if name in state.average:
            state.average[name].copy_(value)
    if "norms" in tensors and tensors["norms"].shape == state.norms.shape:
        state.norms.copy_(tensors["norms"])
    known = under(tensors, "discriminator.")
    if state.discriminator is not None and known:
        state.discriminator.load_state_dict(known)
    own = {name: p for p, name in state.names().items()}
    for index, optimiser in enumerate(state.optimisers):
        inside = {p for group in optimiser.param_groups for p in group["params"]}
        for rest, value in under(tensors, f"optimiser{index}.").items():
            key, _, name = rest.partition(".")
            parameter = own.get(name)
            if parameter is not None and parameter in inside:
                value = value if key == "step" else value.to(device)
                optimiser.state[parameter][key] = value


def under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Those whose names begin so, without the beginning."""
    return {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}


def model_of(config: ModelConfig, state: dict[str, Tensor], path: Path) -> TrainModel:
    """A model of these parameters. Raises ModelError unless they are all of its own and nothing else."""
    try:
        perceptual = any(k.startswith("perceptual.") for k in state)
        model = TrainModel(config, state["unit"].numpy(), state["depths"].numpy(), perceptual)
        model.load_state_dict(
            {k: v.float() if v.is_floating_point() else v for k, v in state.items()}
        )
    except (KeyError, RuntimeError, ValueError) as error:
        raise ModelError(f"{path}: not transforms of this configuration ({error})") from None
    return model


def averaged(path: Path) -> tuple[TrainModel, TrainingProgress]:
    """The model of a checkpoint with its averaged parameters, which are what is released."""
    model, progress, tensors = load(path)
    model.load_state_dict({**model.state_dict(), **under(tensors, "average.")})
    return model, progress


def transforms_of(path: Path) -> tuple[TrainModel, TrainingProgress]:
    """The transforms to begin with: of a checkpoint, of a folder of weights, or of a file of transforms (tensors by
    the names of a weights file). Raises ModelError."""
    if path.is_dir() and (path / NAME).is_file():
        path = path / NAME
    if path.is_dir() and (path / CARD).is_file():
        card = read_card(path)
        read_weights(card)
        tensors, facts = read(path / WEIGHTS)
        config, known = card.config, card.facts
    else:
        tensors, facts = read(path)
        if "progress" in facts:
            return averaged(path)
        config = ModelConfig()
        if "config" in facts:
            config = ModelConfig.from_dict(json.loads(facts["config"]))
        known = {k: json.loads(v) for k, v in facts.items() if k in ("crops", "hours", "steps")}
    state = {k: v for k, v in tensors.items() if k.startswith(PARTS)}
    state |= {own: tensors[name] for own, name in STORED.items() if name in tensors}
    progress = TrainingProgress(
        int(known.get("steps", 0)), int(known.get("crops", 0)), float(known.get("hours", 0.0))
    )
    return model_of(config, state, path), progress


def save_resumable(out: Path, path: Path) -> None:
    """A checkpoint in 16 bits, without what its stage leaves as it is: what `sic train run --start` needs beside
    these frozen parts is less than half of a checkpoint's size.

    Parameters and averages are kept in half precision, optimisers' states, whose squares are too small for that, in
    bfloat16. `load_resumable` reads it.
    """
    tensors, facts = read(path)
    progress = json.loads(facts["progress"])
    frozen = tuple(f"model.{name}" for name in FROZEN[progress["stage"]])
    kept = {}
    for name, value in tensors.items():
        if name.startswith(frozen):
            continue
        if value.is_floating_point() and value.numel() > SMALL:
            value = value.to(torch.bfloat16 if name.startswith("optimiser") else torch.float16)
        kept[name] = value.contiguous()
    replace_file(str(out), serialise(kept, facts))


def load_resumable(out: Path, small: Path, transforms: Path) -> None:
    """Write the checkpoint `out` from what `save_resumable` kept and from the transforms that its stage began with.
    Raises ModelError."""
    kept, facts = read(small)
    model, _ = transforms_of(transforms)
    progress = TrainingProgress(**json.loads(facts["progress"]))
    whole = {f"model.{k}": v for k, v in model.state_dict().items()}
    whole |= {k: v.float() if v.is_floating_point() else v for k, v in kept.items()}
    write(out, {k: v.contiguous() for k, v in whole.items()}, model.config, progress)
