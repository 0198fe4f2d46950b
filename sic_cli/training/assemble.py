"""Transforms and a context network, trained apart, put together: a folder of weights, or a small file that travels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save as serialise

from ..codec.weights.card import ModelCard
from ..errors import ModelError
from ..storage.files import replace_file
from .checkpoint import NAME, PARTS, STORED, averaged, transforms_of
from .context import context_of
from .export import Tensors, half, write_weights
from .indices import analysis_digest
from .model import TrainModel

SIDE = 384
"""Of the crops that tables are fitted to, in pixels."""


def transform_tensors(model: TrainModel) -> Tensors:
    """float32 and int8 arrays of the transforms and step sizes, by the names of a weights file. A model of one
    decoder shows the same picture at every realism."""
    state = {k: v.detach().cpu().numpy() for k, v in model.state_dict().items()}
    found: Tensors = {k: v for k, v in state.items() if k.startswith(PARTS)}
    found |= {name: state[own] for own, name in STORED.items()}
    if model.perceptual is None:
        grown = model.grown().state_dict()
        silent = ("noise4_gain", "noise8_gain", "noise16_gain")
        found |= {
            f"perceptual.{k}": (torch.zeros_like(v) if k in silent else v).cpu().numpy()
            for k, v in grown.items()
        }
    return found


def halved(tensors: Tensors) -> Tensors:
    """Networks in half precision, step sizes and offsets as they are."""
    return {**tensors, **half({k: v for k, v in tensors.items() if k.startswith(PARTS)})}


def save_small(out: Path, path: Path) -> None:
    """The averaged parameters of a checkpoint alone, in half precision: what travels between machines.

    `transforms_of` reads it; optimisers start anew. A discriminator is left behind.
    """
    model, progress = averaged(path)
    tensors = {
        k: torch.from_numpy(np.ascontiguousarray(v))
        for k, v in halved(transform_tensors(model)).items()
    }
    facts = {"config": json.dumps(model.config.to_dict())}
    facts |= {k: json.dumps(getattr(progress, k)) for k in ("steps", "crops", "hours")}
    replace_file(str(out), serialise(tensors, facts))


def export(
    transforms: Path,
    context: Path,
    pictures: list[NDArray[np.uint8]],
    out: Path,
    name: str,
    count: int = 96,
    side: int = SIDE,
    seed: int = 1,
) -> ModelCard:
    """Write the folder of weights `out`.

    transforms: what `transforms_of` reads; context: checkpoint of `sic train context`; pictures: of training, uint8
    (H, W, 3); count: crops of `side` pixels that tables are fitted to. Raises ModelError if the context network was
    trained behind another analysis.
    """
    if transforms.is_dir() and (transforms / NAME).is_file():
        transforms = transforms / NAME
    model, progress = transforms_of(transforms)
    trained = context_of(context)
    if trained.digest != analysis_digest(model):
        raise ModelError(f"{context} was trained behind another analysis than that of {transforms}")
    tensors = halved(transform_tensors(model)) | trained.tensors()
    facts: dict[str, Any] = {
        "steps": progress.steps,
        "crops": progress.crops,
        "hours": round(progress.hours, 3),
        "context_crops": trained.crops,
        "context_hours": round(trained.hours, 3),
    }
    facts |= {k: v for k, v in progress.notes.items() if k in ("data", "start")}
    return write_weights(
        model.config, tensors, crops_of(pictures, count, side, seed), out, name, facts
    )


def crops_of(
    pictures: list[NDArray[np.uint8]], count: int, side: int, seed: int
) -> list[NDArray[np.uint8]]:
    """Random crops of pictures that are at least as large. Raises ModelError if there is none."""
    large = [p for p in pictures if min(p.shape[:2]) >= side]
    if not large:
        raise ModelError(f"no picture has {side} pixels a side, as tables need")
    rng = np.random.default_rng(seed)
    crops = []
    for _ in range(count):
        picture = large[rng.integers(len(large))]
        top, left = (int(rng.integers(n - side + 1)) for n in picture.shape[:2])
        crops.append(np.ascontiguousarray(picture[top : top + side, left : left + side]))
    return crops
