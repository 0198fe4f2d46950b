"""Quantisation indices of all training pictures in one file: what context networks learn from.

Once the transforms are fixed, latents do not change any more. They are computed once, quantised at the last level,
and mapped into memory; every coarser level follows by shifts.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ..codec.inference.config import STRIDE
from ..codec.quantization.step_sizes import NOT_SENT
from ..storage.files import replace_file
from .model import TrainModel

INDICES, INDEX = "indices.bin", "indices.json"
STRIP, HALO = 48, 10
"""Rows of latents that are computed together, and what they see beyond."""
LARGEST = 32000
LEAST = 16
"""Positions each way that a picture must have."""
AREA_POWER = 0.7
"""A picture is drawn in proportion to this power of its area."""


def analysis_digest(model: TrainModel) -> str:
    """SHA-256 of the analysis and of the step sizes, as a weights file rounds them: what indices depend on."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        if name.startswith("analysis."):
            digest.update(value.detach().cpu().half().numpy().tobytes())
    digest.update(model.unit.cpu().numpy().tobytes() + model.depths.cpu().numpy().tobytes())
    return digest.hexdigest()


@torch.inference_mode()
def indices_of(model: TrainModel, picture: NDArray[np.uint8]) -> NDArray[np.int16]:
    """int16 (h, w, C) at the last level, of a picture uint8 (H, W, 3) cut to whole patches."""
    height, width = (side - side % STRIDE for side in picture.shape[:2])
    pixels = torch.from_numpy(np.array(picture[:height, :width]))  # packed pictures are read-only
    pixels = pixels.to(model.unit.device).permute(2, 0, 1)[None].float() - 127.5
    pixels = pixels.contiguous(memory_format=torch.channels_last)
    step = model.step_sizes(torch.tensor([model.config.levels - 1], device=model.unit.device))
    rows, parts = height // STRIDE, []
    for first in range(0, rows, STRIP):
        last = min(rows, first + STRIP)
        above, below = max(0, first - HALO), min(rows, last + HALO)
        latent = model.analysis(pixels[:, :, above * STRIDE : below * STRIDE])
        parts.append(latent[0, :, first - above : last - above])
    latent = torch.cat(parts, 1)
    found = latent.sign() * torch.floor(latent.abs() / step[0][:, None, None])
    found = found.clamp(-LARGEST, LARGEST).to(torch.int16)
    made: NDArray[np.int16] = found.permute(1, 2, 0).contiguous().cpu().numpy()
    return made


def changed(picture: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """A picture at 0.5 to 1 times its size, turned or flipped; one of eight has been a JPEG file."""
    scale = rng.uniform(0.5, 1.0)
    image = Image.fromarray(picture)
    sides = [max(64, int(side * scale)) for side in image.size]
    image = image.resize((sides[0], sides[1]), Image.Resampling.LANCZOS)
    turn = int(rng.integers(1, 8))
    pixels = np.rot90(np.asarray(image), turn % 4)
    pixels = np.ascontiguousarray(pixels[:, ::-1] if turn >= 4 else pixels)
    if rng.random() < 0.12:
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=int(rng.integers(60, 95)))
        pixels = np.asarray(Image.open(file).convert("RGB"))
    return pixels


def pack_indices(
    model: TrainModel,
    pictures: Sequence[NDArray[np.uint8]],
    out: Path,
    variants: int = 2,
    seed: int = 0,
) -> Iterator[float]:
    """Write the indices of all pictures, as they are and changed; yields the share that is done."""
    out.mkdir(parents=True, exist_ok=True)
    shapes = []
    with open(out / "indices.part", "wb") as file:
        for variant in range(variants):
            for number, picture in enumerate(pictures):
                rng = np.random.default_rng((seed, variant, number))
                pixels = changed(np.asarray(picture), rng) if variant else np.asarray(picture)
                if min(pixels.shape[:2]) >= LEAST * STRIDE:
                    found = indices_of(model, pixels)
                    file.write(found.tobytes())
                    shapes.append(found.shape[:2])
                yield (variant + (number + 1) / len(pictures)) / variants
    (out / INDEX).unlink(missing_ok=True)
    (out / "indices.part").rename(out / INDICES)
    facts = {"digest": analysis_digest(model), "shapes": shapes, "channels": model.config.channels}
    replace_file(str(out / INDEX), json.dumps(facts).encode())


def are_packed(folder: Path, model: TrainModel) -> bool:
    """Whether a folder holds the indices that this analysis gives."""
    if not (folder / INDEX).is_file():
        return False
    known = json.loads((folder / INDEX).read_text())["digest"]
    return bool(known == analysis_digest(model))


@dataclass(slots=True)
class IndexCrops:
    """pictures: int16 (h, w, C) at the last level; share: how often each is drawn."""

    pictures: list[NDArray[np.int16]]
    share: NDArray[np.float64]

    @classmethod
    def of(cls, pictures: Sequence[NDArray[np.int16]]) -> IndexCrops:
        area = np.array([p.shape[0] * p.shape[1] for p in pictures], np.float64) ** AREA_POWER
        return cls(list(pictures), area / area.sum())

    @classmethod
    def open(cls, folder: Path) -> IndexCrops:
        """Those of `pack_indices`."""
        index = json.loads((folder / INDEX).read_text())
        flat = np.memmap(folder / INDICES, np.int16, "r").reshape(-1, index["channels"])
        pictures, start = [], 0
        for height, width in index["shapes"]:
            pictures.append(flat[start : start + height * width].reshape(height, width, -1))
            start += height * width
        return cls.of(pictures)

    def batch(self, rng: np.random.Generator, count: int, height: int, width: int) -> Tensor:
        """int16 (count, height, width, C)."""
        made: list[NDArray[np.int16]] = []
        while len(made) < count:
            one = self.pictures[int(rng.choice(len(self.pictures), p=self.share))]
            if one.shape[0] >= height and one.shape[1] >= width:
                top = int(rng.integers(one.shape[0] - height + 1))
                left = int(rng.integers(one.shape[1] - width + 1))
                made.append(one[top : top + height, left : left + width])
        return torch.from_numpy(np.stack(made))


def at_depth(indices: Tensor, last: Tensor, depth: NDArray[np.int8]) -> Tensor:
    """Indices (..., C) at depths `last` (C,), coarsened to `depth` (C,); 0 where not sent."""
    wanted = torch.from_numpy(depth.astype(np.int16))
    shift = (last.to(torch.int16) - wanted.clamp_min(0)).clamp_min(0)
    size = (indices.abs() >> shift) * (wanted != NOT_SENT).to(torch.int16)
    return size * indices.sign()
