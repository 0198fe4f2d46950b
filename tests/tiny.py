"""A model of 8 channels and 5 levels: the KLT of a made picture, a small untrained context network.

    python -m tests.tiny        writes tests/weights/tiny anew (and makes its golden files invalid)

It is what `sic train` starts from, only smaller: already a codec, and fast enough to decode thousands
of files in a test.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from sic_cli.codec.inference.config import ModelConfig
from sic_cli.training.data import Crops
from sic_cli.training.export import write_weights
from sic_cli.training.loop import new_model

FOLDER = Path(__file__).parent / "weights"
CONFIG = ModelConfig(
    channels=8,
    levels=5,
    width=8,
    blocks=1,
    head_width=8,
    head_features=1,
    context_width=8,
    context_blocks=1,
    widest=256.0,
    finest=32.0,
    groups=(2, 4),
    lead=1,
)


def made_picture(height: int, width: int, seed: int) -> np.ndarray:
    """uint8 (height, width, 3): soft blobs, an edge and some grain."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    out = np.zeros((height, width, 3))
    for _ in range(6):
        cy, cx, size = rng.uniform(0, height), rng.uniform(0, width), rng.uniform(5, 40)
        out += np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (2 * size**2))[..., None] * rng.uniform(
            -90, 120, 3
        )
    out += np.where(x * rng.uniform(-1, 1) + y * rng.uniform(-1, 1) > 0, 60, 0)[..., None]
    out += 80 + rng.normal(0, 4, (height, width, 3))
    return out.clip(0, 255).astype(np.uint8)


def main() -> None:
    torch.manual_seed(3)
    torch.set_num_threads(1)
    pictures = [made_picture(128, 128, seed) for seed in range(12)]
    model = new_model(CONFIG, Crops(pictures, 64, 0), 20_000)
    card = write_weights(model, pictures, FOLDER / "tiny", "tiny", {"made": "by tests/tiny.py"})
    print(card.id.hex())


if __name__ == "__main__":
    main()
