"""Pixels -> latent -> cells -> layers -> file. `decode.py` is the same list upward."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ..bitstream.fields import MAX_PIXELS, MAX_SIDE, Chunk, Header, Layer
from ..bitstream.writer import write
from ..cells.quantise import Cells
from ..entropy import new_encoder
from ..errors import ResourceError, TargetError
from ..release.card import Card
from .engine import Engine, Pixels, engine
from .walk import Writing, digest

PSNR_UNIT = 4
"""Files state the expected PSNR in quarters of a decibel."""


def encode(
    pixels: Pixels,
    card: Card,
    *,
    level: int | None = None,
    device: str = "cpu",
    grey: bool = False,
    seed: int = 0,
    chunks: tuple[Chunk, ...] = (),
) -> bytes:
    """A .sic file of levels 1..`level` (default: all).

    pixels: uint8 (H, W, 3); grey: the three are equal and the picture is to come back as one.
    Raises ResourceError for a picture over the format's limits, TargetError for a level that the
    model does not have.
    """
    height, width = pixels.shape[:2]
    check_size(width, height)
    levels = card.config.levels
    level = levels if level is None else level
    if not 1 <= level <= levels:
        raise TargetError(f"level {level} was asked for, and the model has 1 to {levels}")
    machine = engine(card, device)
    cells: Cells = np.zeros((card.config.channels, -(-height // 16), -(-width // 16)), np.int16)
    error = np.zeros(levels)
    for strip, latent in machine.latents(pixels):
        part = machine.cells(latent)
        cells = cells.astype(np.promote_types(cells.dtype, part.dtype), copy=False)
        cells[:, strip.own] = part
        error += level_errors(machine, latent, part)
    psnr = expected_psnr(machine, error / (cells[0].size * 768))
    header = Header(width, height, levels, card.id, grey, seed)
    return write(header, chunks, encode_layers(machine, cells, psnr[:level]))


def encode_layers(machine: Engine, cells: Cells, psnr: list[int]) -> Iterator[Layer]:
    """The first layers of cells at the last level, as many as have a `psnr` (`expected_psnr`)."""
    now, check = np.zeros_like(cells), 0
    for k, expected in enumerate(psnr, 1):
        encoder = new_encoder()
        now = machine.walk.layer(k, now, Writing(encoder), cells)
        check = digest(machine.table, k, now, check)
        yield Layer(k, encoder.finish(), check, expected)


def level_errors(machine: Engine, latent: NDArray[np.float32], cells: Cells) -> NDArray[np.float64]:
    """(K,) sum of the squared errors of the latent at every level. Where a cell is 0 at the last level
    the error is the latent itself at all levels."""
    table, centre = machine.table, machine.release.centre
    octaves = table.octaves.astype(np.int16)
    width = np.stack([table.width(level) for level in range(1, table.levels + 1)])
    width[np.isinf(width)] = 0
    total = np.zeros(table.levels)
    for c, (values, numbers) in enumerate(zip(latent, cells, strict=True)):
        total += np.square(values[numbers == 0], dtype=np.float64).sum()
        busy = numbers != 0
        size = np.abs(numbers[busy])[None] >> (octaves[-1] - octaves)[:, c, None]
        place = (size.astype(np.float32) + centre[:, c, None]) * width[:, c, None]
        error = np.abs(values[busy])[None] - np.where(size > 0, place, np.float32(0))
        total += np.square(error, dtype=np.float64).sum(1)
    return total


def expected_psnr(machine: Engine, mean_square: NDArray[np.float64]) -> list[int]:
    """Quarter decibels of every level, through a line fitted when the model was released."""
    found = []
    for level, error in enumerate(mean_square, 1):
        slope, offset = (float(v) for v in machine.release.psnr_fit[level - 1])
        psnr = offset + slope * latent_psnr(float(error))
        found.append(int(min(255, max(1, round(psnr * PSNR_UNIT)))))
    return found


def latent_psnr(mean_square: float) -> float:
    """Decibels of an error in an orthonormal latent, as if nothing else were lost."""
    return float(10 * np.log10(255**2 / max(mean_square, 1e-3)))


def check_size(width: int, height: int) -> None:
    """Raise ResourceError for sizes that the format does not hold."""
    if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
        raise ResourceError(
            f"{width}x{height} pixels; the limits are {MAX_SIDE} a side and {MAX_PIXELS} in all"
        )
