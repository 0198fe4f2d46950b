"""What the tests of training share: a tiny model, packed pictures, small random networks of the perceptual loss."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from sic_cli.training.config import DEFAULTS, Stage, TrainConfig
from sic_cli.training.data import Crops, pack
from sic_cli.training.initialise import new_model
from sic_cli.training.loop import TrainingRun
from sic_cli.training.lpips_loss import ALEX, SQUEEZE, TOGETHER
from sic_cli.training.model import TrainModel
from tests.tiny import CONFIG, made_picture

SMALL = {
    "batch": 2, "crop": 64, "warmup": 2, "alone": 4, "average_every": 2, "encoder_lr": 0.4,
}  # fmt: skip
ALEX_WIDTHS = (4, 5, 6, 4, 4)


def pictures(side: int = 128) -> list[np.ndarray]:
    return [made_picture(side, side, seed) for seed in range(4)]


def tiny_model(perceptual: bool = False) -> TrainModel:
    """A new model behind the KLT of a few pictures; with a perceptual decoder that differs from the other."""
    torch.manual_seed(0)
    model = new_model(CONFIG, Crops(pictures(), 64, 0), 3000)
    if perceptual:
        model.perceptual = model.grown()
        with torch.no_grad():
            model.perceptual.head_out.weight.add_(0.01)
    return model


def config_of(stage: Stage, **more: Any) -> TrainConfig:
    return replace(DEFAULTS[stage], **(SMALL | more))


def packed(folder: Path, side: int = 128) -> Path:
    """A folder with `packed` and `pictures`."""
    (folder / "pictures").mkdir(parents=True)
    for number, pixels in enumerate(pictures(side)):
        Image.fromarray(pixels).save(folder / "pictures" / f"{number}.png")
    pack([folder / "pictures"], folder / "packed", workers=1)
    return folder


def run_of(folder: Path, **more: Any) -> TrainingRun:
    given = {
        "packed": str(folder / "packed"),
        "out": str(folder / "run"),
        "validation": str(folder / "pictures"),
        "backbones": str(folder),
        "minutes": 60.0,
        "evaluate_minutes": 0.0,
        "precision": "float32",
        "patches": 3000,
    }
    return TrainingRun(**(given | more))


def backbones(folder: Path) -> Path:
    """Writes networks of the shapes that LPIPS has, with few channels and random weights."""
    chance = torch.Generator().manual_seed(5)
    made: dict[str, Tensor] = {}

    def conv(name: str, outputs: int, inputs: int, side: int) -> None:
        spread = (2 / (inputs * side * side)) ** 0.5
        made[f"{name}.weight"] = torch.randn(outputs, inputs, side, side, generator=chance) * spread
        made[f"{name}.bias"] = torch.zeros(outputs)

    inputs = 3
    for index, (number, _, _) in enumerate(ALEX):
        outputs, side = ALEX_WIDTHS[index], (11, 5, 3, 3, 3)[index]
        conv(f"alex.features.{number}", outputs, inputs, side)
        made[f"alex.lin{index}"] = torch.rand(1, outputs, 1, 1, generator=chance)
        inputs = outputs
    conv("squeeze.features.0", 4, 3, 3)
    for index, fires in enumerate(SQUEEZE):
        for number in fires:
            name = f"squeeze.features.{number}"
            conv(f"{name}.squeeze", 2, 4, 1)
            conv(f"{name}.expand1x1", 2, 2, 1)
            conv(f"{name}.expand3x3", 2, 2, 3)
        made[f"squeeze.lin{index}"] = torch.rand(1, 4, 1, 1, generator=chance)
    save_file(made, folder / TOGETHER)
    return folder
