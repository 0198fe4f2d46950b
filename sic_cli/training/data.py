"""Training pictures: decoded once into one packed file, then cropped from memory.

`pack` decodes folders of pictures into `pixels.bin` (all pixels, one after the other) and
`index.json` (where each picture lies). `Crops` maps that file and draws augmented crops, so that a
training step never waits for a decoder of pictures.
"""

from __future__ import annotations

import hashlib
import io
import json
import random
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ..storage.files import replace_file
from .screens import screen

SUFFIXES = {".avif", ".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp"}


def find_pictures(folder: Path) -> list[Path]:
    """Every picture below `folder`, in the order of their paths."""
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)


def read_rgb(path: Path) -> np.ndarray:
    """uint8 (H, W, 3) of one picture."""
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def pack(folders: Sequence[Path], out: Path, workers: int = 2) -> str:
    """Decode `folders` into `out`; return the data digest (SHA-256 over all pixels)."""
    paths = []
    for folder in folders:
        found = find_pictures(folder)
        if not found:
            raise FileNotFoundError(f"no pictures in {folder}")
        paths += found
    out.mkdir(parents=True, exist_ok=True)
    digest, rows, offset = hashlib.sha256(), [], 0
    with open(out / "pixels.part", "wb") as file, ProcessPoolExecutor(workers) as pool:
        for path, pixels in zip(paths, pool.map(read_rgb, paths, chunksize=4), strict=True):
            data = pixels.tobytes()
            file.write(data)
            digest.update(data)
            rows.append({"name": path.name, "offset": offset, "shape": pixels.shape})
            offset += len(data)
    (out / "index.json").unlink(missing_ok=True)
    (out / "pixels.part").rename(out / "pixels.bin")
    index = {"digest": digest.hexdigest(), "pictures": rows}
    replace_file(str(out / "index.json"), json.dumps(index).encode())
    return str(index["digest"])


def open_packed(folder: Path) -> tuple[list[np.ndarray], str]:
    """The packed pictures as uint8 (H, W, 3) views of a mapped file, and their digest."""
    index = json.loads((folder / "index.json").read_text())
    pixels = np.memmap(folder / "pixels.bin", dtype=np.uint8, mode="r")
    pictures = []
    for row in index["pictures"]:
        height, width, depth = row["shape"]
        end = row["offset"] + height * width * depth
        pictures.append(pixels[row["offset"] : end].reshape(height, width, depth))
    return pictures, index["digest"]


class Crops:
    """Endless augmented crops.

    One of twenty is a rendered screen. Of the others a quarter comes from the picture at half size,
    10 % went through JPEG (people encode JPEGs), 2 % are grey, 4 % as dark and noisy as a night; all
    are flipped and turned at random.
    """

    def __init__(self, pictures: Sequence[np.ndarray], size: int, seed: int) -> None:
        self.pictures = [p for p in pictures if min(p.shape[:2]) >= size]
        self.size = size
        self.random = random.Random(seed)
        if not self.pictures:
            raise ValueError(f"no picture is as large as a crop of {size} pixels")

    def reseed(self, seed: int) -> None:
        """What comes next depends on `seed` alone."""
        self.random.seed(seed)

    def one(self) -> np.ndarray:
        """uint8 (size, size, 3)."""
        rng, size = self.random, self.size
        if rng.random() < 0.05:
            return screen(rng, size)
        picture = rng.choice(self.pictures)
        half = rng.random() < 0.25 and min(picture.shape[:2]) >= 2 * size
        side = 2 * size if half else size
        top = rng.randrange(picture.shape[0] - side + 1)
        left = rng.randrange(picture.shape[1] - side + 1)
        crop = np.asarray(picture[top : top + side, left : left + side])
        if half:
            quads = crop.reshape(size, 2, size, 2, 3).astype(np.uint16).sum((1, 3))
            crop = ((quads + 2) // 4).astype(np.uint8)
        if rng.random() < 0.5:
            crop = crop[:, ::-1]
        crop = np.rot90(crop, rng.randrange(4)) if rng.random() < 0.25 else crop
        kind = rng.random()
        if kind < 0.10:
            file = io.BytesIO()
            Image.fromarray(np.ascontiguousarray(crop)).save(
                file, "JPEG", quality=rng.randrange(60, 96), subsampling=rng.choice((0, 2))
            )
            crop = np.asarray(Image.open(file))
        elif kind < 0.12:
            crop = np.asarray(
                Image.fromarray(np.ascontiguousarray(crop)).convert("L").convert("RGB")
            )
        elif kind < 0.16:
            crop = night(rng, crop)
        return crop

    def batch(self, count: int) -> np.ndarray:
        """uint8 (count, size, size, 3)."""
        return np.stack([self.one() for _ in range(count)])


def night(rng: random.Random, crop: np.ndarray) -> np.ndarray:
    """uint8 (H, W, 3): the crop much darker, with a sensor's noise."""
    light = (crop / 255.0) ** rng.uniform(1.2, 2.2) * rng.uniform(60, 180)
    noise = np.random.default_rng(rng.getrandbits(64)).normal(0, rng.uniform(0, 4), crop.shape)
    dark: np.ndarray = (light + noise).round().clip(0, 255).astype(np.uint8)
    return dark


class DeviceCrops:
    """Crops cut on a GPU, all pictures in its memory: flips, turns, half sizes; no JPEG, no
    screens, no nights.

    A batch is one gather: no picture ever passes through Python.
    """

    def __init__(
        self, pictures: Sequence[np.ndarray], size: int, seed: int, device: torch.device
    ) -> None:
        usable = [p for p in pictures if min(p.shape[:2]) >= size]
        if not usable:
            raise ValueError(f"no picture is as large as a crop of {size} pixels")
        flat = np.concatenate([np.asarray(p).reshape(-1) for p in usable])
        self.pixels = torch.from_numpy(flat).to(device)
        shapes = torch.tensor([p.shape[:2] for p in usable])
        self.rows, self.columns = (shapes[:, i].to(device) for i in (0, 1))
        sizes = shapes.prod(1) * 3
        self.offsets = (sizes.cumsum(0) - sizes).to(device)
        self.size, self.device = size, device
        self.chance = torch.Generator(device=device).manual_seed(seed)

    def reseed(self, seed: int) -> None:
        """What comes next depends on `seed` alone."""
        self.chance.manual_seed(seed)

    def batch(self, count: int) -> torch.Tensor:
        """float (count, 3, size, size), values 0..255."""

        def uniform() -> torch.Tensor:
            return torch.rand(count, generator=self.chance, device=self.device)

        which = (uniform() * len(self.rows)).long()
        rows, columns = self.rows[which], self.columns[which]
        roomy = torch.minimum(rows, columns) >= 2 * self.size
        step = torch.where(roomy & (uniform() < 0.25), 2, 1)
        top = (uniform() * (rows - step * self.size + 1)).long()
        left = (uniform() * (columns - step * self.size + 1)).long()
        line = torch.arange(self.size, device=self.device)
        colour = torch.arange(3, device=self.device)
        mean = torch.zeros(count, 3, self.size, self.size, device=self.device)
        for dy, dx in ((0, 0), (0, 1), (1, 0), (1, 1)):
            y = top[:, None] + line[None] * step[:, None] + dy * (step[:, None] - 1)
            x = left[:, None] + line[None] * step[:, None] + dx * (step[:, None] - 1)
            place = (
                self.offsets[which][:, None, None]
                + (y[:, :, None] * columns[:, None, None] + x[:, None, :]) * 3
            )
            mean += self.pixels[place[:, None] + colour[None, :, None, None]].float() / 4
        mirrored = torch.where((uniform() < 0.5)[:, None, None, None], mean.flip(3), mean)
        turned = mirrored.transpose(2, 3)
        return torch.where((uniform() < 0.25)[:, None, None, None], turned, mirrored).round()
