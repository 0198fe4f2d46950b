"""Pixels -> latent -> indices -> layers -> file. `decode.py` is the same list upward."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ..errors import ResourceError, TargetError
from .bitstream.fields import MAX_PIXELS, MAX_SIDE, Chunk, Header, Layer
from .bitstream.writer import write
from .engine import Engine, Pixels, engine
from .entropy import new_encoder
from .inference.config import STRIDE
from .inference.parallel import bands, thread_team
from .inference.tiles import scaled
from .inference.transforms import patches_of
from .lookahead import layer_coder_ahead
from .preview.constants import mean_colour_coder
from .quantization.dead_zone import Indices, at_depths
from .quantization.step_sizes import MEAN_COLOURS, NOT_SENT
from .rdo.search import PLANS, ReportProgress, ignore_progress
from .symbols.layer_coder import LayerCoder, Writing, digest
from .weights.card import ModelCard

PSNR_UNIT = 4
"""Files state the expected PSNR in quarters of a decibel."""

LATENTS = 1 << 20
"""How many are looked at together in `level_errors`: some 30 MB, if all say something."""


def encode(
    pixels: Pixels,
    card: ModelCard,
    *,
    level: int | None = None,
    device: str = "cpu",
    grey: bool = False,
    chunks: tuple[Chunk, ...] = (),
    effort: int = 1,
    report_progress: ReportProgress | None = None,
) -> bytes:
    """A .sic file of levels 0..`level` (default: all).

    pixels: uint8 (H, W, 3); grey: the three are equal and the picture is to come back as one. effort: 1
    to 9, how long better indices are searched for (codec/rdo/search.py); report_progress: hears how far that is.
    The expected PSNR is effort 1's, which others exceed by some tenths of a decibel.
    Raises ResourceError for a picture over the format's limits, TargetError for a level that the
    model does not have.
    """
    height, width = pixels.shape[:2]
    check_size(width, height)
    levels = card.config.levels
    level = levels if level is None else level
    if not 0 <= level <= levels:
        raise TargetError(f"level {level} was asked for, and the model has 0 to {levels}")
    machine = engine(card, device)
    indices: Indices = np.zeros((card.config.channels, -(-height // 16), -(-width // 16)), np.int16)
    error = np.zeros(levels)
    for strip, latent in machine.latents(pixels):
        part = machine.quantise(latent)
        indices = indices.astype(np.promote_types(indices.dtype, part.dtype), copy=False)
        indices[:, strip.own] = part
        error += level_errors(machine, latent, part)
    samples = indices[0].size * 3 * STRIDE**2
    psnr = expected_psnr(machine, error / samples, unseen(machine, pixels) / samples)
    if PLANS[effort].sweeps:
        indices = machine.search.refine(
            pixels, indices, PLANS[effort], report_progress or ignore_progress
        )
    header = Header(width, height, levels, card.id, grey)
    with layer_coder_ahead(machine, indices, level) as layers:
        return write(header, chunks, encode_layers(machine, layers, indices, psnr[:level]))


def encode_layers(
    machine: Engine, layers: LayerCoder, indices: Indices, psnr: list[int]
) -> Iterator[Layer]:
    """Layer 0 and the next ones of indices at the last level, as many as have a `psnr` (`expected_psnr`)."""
    table, now, encoder = machine.table, np.zeros_like(indices), new_encoder()
    mean = list(MEAN_COLOURS)
    now[mean] = at_depths(indices, table, table.start, np.array(mean))
    height, width = indices.shape[1:]
    mean_colour_coder().code(height, width, Writing(encoder), now[mean].astype(np.int16))
    check = digest(table, 0, now, 0)
    yield Layer(0, encoder.finish(), check)
    for k, expected in enumerate(psnr, 1):
        encoder = new_encoder()
        now = layers.layer(k, now, Writing(encoder), indices)
        check = digest(table, k, now, check)
        yield Layer(k, encoder.finish(), check, expected)


def level_errors(
    machine: Engine, latent: NDArray[np.float32], indices: Indices
) -> NDArray[np.float64]:
    """(K,) sum of the squared errors of the latent at every level: its energy, less what the indices say."""
    total = np.zeros(machine.table.levels)
    count = max(1, LATENTS // max(1, latent[0].size))
    for first in range(0, len(latent), count):
        some = slice(first, first + count)
        total += np.square(latent[some], dtype=np.float64).sum()
        total -= distortion_reduction(machine, latent[some], indices[some], some)
    return total


def distortion_reduction(
    machine: Engine, latent: NDArray[np.float32], indices: Indices, some: slice
) -> NDArray[np.float64]:
    """(K,) by how much the indices of some channels lower the squared error at every level.

    Summed by channel and depth, not by level: with r what a latent x has beyond its interval's near edge and
    p the place inside the interval, x^2 - (r - p)^2 is x^2 - r^2 + 2 p r - p^2, and of these p alone depends
    on the level.
    """
    table, count = machine.table, len(latent)
    depths = table.depths[:, some].astype(np.int16)
    finest = np.where(depths[-1] == NOT_SENT, 0, table.step_sizes(table.levels)[some])
    busy = np.flatnonzero(indices != 0)
    channel = busy // latent[0].size
    size = np.abs(indices.reshape(-1)[busy])
    value = np.abs(latent.reshape(-1)[busy]).astype(np.float64)
    lowered, shift = np.zeros(table.levels), 0
    while len(size):
        width = finest * 2.0**shift
        beyond = value - size * width[channel]
        won = np.bincount(channel, np.square(value) - np.square(beyond), count)
        near = np.bincount(channel, beyond, count)
        place = machine.model_weights.reconstruction_offset[:, some].astype(np.float64) * width
        here = won + 2 * place * near - np.square(place) * np.bincount(channel, minlength=count)
        at = (depths == depths[-1] - shift) & (depths != NOT_SENT)
        lowered += np.where(at, here, 0).sum(1)
        shift += 1
        left = np.flatnonzero(size > 1)
        size, value, channel = size[left] >> 1, value[left], channel[left]
    return lowered


def unseen(machine: Engine, pixels: Pixels) -> float:
    """Sum of the squares of what no channel can say: the part of all patches that is at right angles to
    the linear filters of the analysis. Little of a photograph, two thirds of noise."""
    rows, across = (-(-side // STRIDE) for side in pixels.shape[:2])
    total, seen = np.zeros(rows), machine.networks.span

    def work(band: slice) -> None:
        part = pixels[scaled(band, STRIDE)]
        edges = ((0, -len(part) % STRIDE), (0, -pixels.shape[1] % STRIDE), (0, 0))
        padded = np.pad(part, edges, mode="edge")
        for _, patches in patches_of(padded, slice(0, band.stop - band.start)):
            patches -= (patches @ seen) @ seen.T
            total[band.start] += np.square(patches, out=patches).sum(1).sum(dtype=np.float64)

    with thread_team() as each:
        each(work, bands(rows, across))
    return float(total.sum())


def expected_psnr(machine: Engine, latent: NDArray[np.float64], outside: float) -> list[int]:
    """Quarter decibels of every level, never falling. latent: (K,) mean square of what the indices lose;
    outside: of what the channels do not see. Of the first the networks win some back at low levels, as
    a line tells that was fitted when the model was released; of the second nothing."""
    found: list[int] = []
    for level, error in enumerate(latent, 1):
        slope, offset = (float(v) for v in machine.model_weights.psnr_fit[level - 1])
        alone = latent_psnr(float(error))
        won = max(0.0, offset + slope * alone - alone)
        psnr = latent_psnr(float(error) * 10 ** (-won / 10) + outside)
        found.append(int(min(255, max(1, *found[-1:], round(psnr * PSNR_UNIT)))))
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
