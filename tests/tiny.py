"""A model of 8 channels and 5 levels: a cosine transform, small untrained networks beside it.

    python -m tests.tiny        writes tests/weights/tiny anew (and makes its golden files invalid)

It is already a codec, and fast enough to decode thousands of files in a test.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sic_cli.codec.inference.config import PATCH, ModelConfig
from sic_cli.codec.inference.integer_network import ContextWeights, context_shapes
from sic_cli.codec.inference.transforms import Shapes, analysis_shapes, synthesis_shapes
from sic_cli.codec.quantization.passes import passes_of
from sic_cli.codec.quantization.step_sizes import MEAN_COLOURS, planned, staggered
from sic_cli.training.export import Tensors, context_tensors, half, write_weights

FOLDER = Path(__file__).parent / "weights"
CONFIG = ModelConfig(
    channels=8,
    levels=5,
    width=8,
    half_width=8,
    blocks=1,
    head_width=8,
    head_features=1,
    noise=(2, 1, 1),
    context_width=8,
    context_hidden=8,
    widest=256.0,
    finest=32.0,
)
COLOURS = np.array([[1, 1, 1], [-1, 0, 1], [1, -2, 1]]) / np.sqrt([[3], [2], [6]])
"""Brightness, red - blue and green - magenta, as layer 0 has them."""
COSINES = {2: (0, 1), 3: (1, 0), 5: (1, 1), 6: (0, 2), 7: (2, 0)}
"""Channel -> vertical and horizontal frequency, of brightness."""


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


def basis() -> NDArray[np.float32]:
    """(8, 768): orthonormal, for patches (colour, row, column)."""
    place = (np.arange(16) + 0.5) * np.pi / 16

    def cosine(frequency: int) -> NDArray[np.float64]:
        wave = np.cos(frequency * place)
        return wave / np.linalg.norm(wave)

    rows = np.zeros((8, 3, 16, 16))
    for channel, colour in zip(MEAN_COLOURS, COLOURS, strict=True):
        rows[channel] = colour[:, None, None] / 16
    for channel, (down, right) in COSINES.items():
        rows[channel] = COLOURS[0][:, None, None] * np.outer(cosine(down), cosine(right))
    return rows.reshape(8, PATCH).astype(np.float32)


def small(shapes: Shapes, rng: np.random.Generator, prefix: str) -> Tensors:
    """Small random parameters; gains and scales near 1."""
    made: Tensors = {}
    for name, shape in shapes.items():
        if "gain" in name or name == "scale":
            made[prefix + name] = rng.uniform(0.8, 1.2, shape).astype(np.float32)
        else:
            loud = 0.02 if name.startswith(("exit", "head_out")) else 0.3
            spread = loud / np.sqrt(max(1, np.prod(shape[1:])))
            made[prefix + name] = rng.normal(0, spread, shape).astype(np.float32)
    return made


def tensors() -> Tensors:
    """All that a weights file holds but tables and estimates."""
    rng = np.random.default_rng(3)
    finer = np.zeros((CONFIG.levels, CONFIG.channels), np.int32)
    unit, depths = staggered(CONFIG.channels, CONFIG.levels, CONFIG.widest, CONFIG.finest, finer)
    first = np.array([5, 6, 6])
    depths[:, list(MEAN_COLOURS)] = first + np.array([0, 0, 1, 1, 2])[:, None]
    level, reached, phases = planned(depths, ((4, 4), (8, 2)))
    shapes = context_shapes(CONFIG, len(passes_of(level, reached, phases)))
    numbers = {
        name: rng.integers(-200, 200, shape) if "bias" in name else rng.integers(-30, 30, shape)
        for name, shape in shapes.items()
    }
    parts = (
        ("analysis.", analysis_shapes(CONFIG)),
        ("mse.", synthesis_shapes(CONFIG, perceptual=False)),
        ("perceptual.", synthesis_shapes(CONFIG, perceptual=True)),
    )
    made: Tensors = {}
    for prefix, wanted in parts:
        made |= small(wanted, rng, prefix)
    made["analysis.linear"] = basis()
    for decoder in ("mse.", "perceptual."):
        made[decoder + "linear"] = basis().T
        made[decoder + "scale"] = np.full(CONFIG.channels, 200, np.float32)
    made["analysis.scale"] = np.full(CONFIG.channels, 1.5, np.float32)
    whole = {name: v.astype(np.float32) for name, v in numbers.items()}
    return {
        **half(made),
        **context_tensors(ContextWeights(**whole)),
        "unit": unit,
        "octaves": depths,
        "centre": np.full((CONFIG.levels, CONFIG.channels), 0.46, np.float32),
        "groups.level": level,
        "groups.depths": reached,
        "groups.phases": phases,
        "reach": (depths[0] + 1).astype(np.int8),
        "logs": np.rint(16 * np.log2(2 * np.arange(256) + 1)).astype(np.int16),
    }


def main() -> None:
    pictures = [made_picture(96, 96, seed) for seed in range(12)]
    facts = {"made": "by tests/tiny.py"}
    card = write_weights(CONFIG, tensors(), pictures, FOLDER / "tiny", "tiny", facts)
    print(card.id.hex())


if __name__ == "__main__":
    main()
