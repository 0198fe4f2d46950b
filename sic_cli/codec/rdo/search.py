"""The search: indices are moved to where the decoders' gradients and the real tables want them.

At some levels in turn the indices so far are decoded. How the squared error of the MSE decoder pulls on
each latent, and from effort 5 on also the texture (texture.py) that the perceptual one shows, gives
the target latent of that level: a step down the gradient. The mean of all targets so far decides anew (choice.py). Indices
that are chosen are whole numbers, so nothing is lost to rounding as it is when latents are moved bit by
bit, and one choice serves all levels. Big pictures are searched tile by tile. It runs on the CPU, whatever
the device.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise, product

import numpy as np
from numpy.typing import NDArray

from ..inference.config import STRIDE
from ..inference.convolution import Array
from ..inference.noise import NoiseMaps, noise_maps
from ..inference.synthesis_backward import PixelGradient
from ..inference.tiles import Strip, scaled
from ..quantization.dead_zone import Indices, at_depths, reconstruct
from ..quantization.passes import gather, scatter
from ..quantization.step_sizes import MEAN_COLOURS, NOT_SENT, StepSizes
from .choice import Bits, Depths, choose_indices
from .texture import Texture

LAMBDA = 1.8
"""Of a bit, in units of what the quantiser's own slope says."""
STEP = 1.2
"""Along a gradient; 1 would be right if the decoder were orthonormal, and is if there is one sweep only."""
TEXTURE = 45.0
"""What texture that is wrong by 1 (in its logarithm) is worth at the middle level, in grey levels squared of
the picture's mean squared error; towards the first and last level it falls to nothing. Where files are
smallest it would show as a weave on skin and sky, where they are largest nothing is missing."""
EVEN, ODD = (15 / 16, 9 / 16, 3 / 16), (13 / 16, 7 / 16, 1 / 16)
"""Levels that are decoded in a sweep, as shares of all; their neighbours take what they say."""
TILE = 64
"""Positions each way that are searched together, at most."""
HALO = 4
"""Positions beyond a tile that are searched with it and then forgotten."""

Vjp = Callable[[Array, Array, int, PixelGradient, NoiseMaps | None], Array]
"""`SynthesisGradient.vjp`."""
Incremental = Callable[[], Callable[[Indices, int], NDArray[np.uint8]]]
"""`ContextRunner.incremental`."""
ReportProgress = Callable[[float], None]
"""Called now and then with the share that is done."""


def ignore_progress(_: float) -> None:
    """Nobody listens."""


@dataclass(frozen=True, slots=True)
class SearchPlan:
    """sweeps: levels to decode in each; looks: the sweep from which on texture counts, None: it does not."""

    sweeps: Sequence[Sequence[float]]
    looks: int | None = None

    def texture(self, sweep: int) -> bool:
        """Whether texture counts in a sweep, from 0."""
        return self.looks is not None and sweep >= self.looks


PLANS = {
    1: SearchPlan(()),
    2: SearchPlan(((15 / 16, 6 / 16),)),
    3: SearchPlan((EVEN,)),
    4: SearchPlan(((15 / 16, 11 / 16, 7 / 16, 3 / 16),)),
    5: SearchPlan((EVEN, ODD), looks=1),
    6: SearchPlan((EVEN, ODD, EVEN), looks=0),
    7: SearchPlan((EVEN, ODD) * 2, looks=0),
    8: SearchPlan((EVEN, ODD) * 4, looks=0),
    9: SearchPlan((EVEN, ODD) * 8, looks=0),
}
"""By effort."""


@dataclass(frozen=True, slots=True)
class TileTarget:
    """What a tile should look like, uint8 (H, W, 3), to whole patches by repeating its edges; what is
    beyond them does not count."""

    height: int
    width: int
    original: Array
    texture: Texture

    @staticmethod
    def of(pixels: NDArray[np.uint8]) -> TileTarget:
        height, width = pixels.shape[:2]
        edges = ((0, -height % STRIDE), (0, -width % STRIDE), (0, 0))
        original = np.pad(pixels, edges, mode="edge").astype(np.float32)
        return TileTarget(height, width, original, Texture(original))

    def error(self, made: Array) -> Array:
        """Gradient of half the squared error."""
        return self._inside(made - self.original)

    def looks(self, worth: float, made: Array) -> Array:
        """Gradient of half of `worth`, for each sample, times how far texture is."""
        return self._inside(np.float32(worth / 2 * made.size) * self.texture.distance(made)[1])

    def _inside(self, found: Array) -> Array:
        found[self.height :] = 0
        found[:, self.width :] = 0
        return found


@dataclass(frozen=True, slots=True)
class Search:
    """What a search needs of the weights.

    reconstruction_offset: (K, C), where in an interval values are decoded; widest, finest: step sizes
    of level 1 and K; noise: maps of the perceptual decoder;
    mse_decoder, perceptual_decoder: the decoders backwards; incremental: the context network; bits: the tables.
    """

    table: StepSizes
    reconstruction_offset: Array
    widest: float
    finest: float
    noise: tuple[int, int, int]
    mse_decoder: Vjp
    perceptual_decoder: Vjp
    incremental: Incremental
    bits: Bits

    def refine(
        self,
        pixels: NDArray[np.uint8],
        indices: Indices,
        plan: SearchPlan,
        report_progress: ReportProgress = ignore_progress,
    ) -> Indices:
        """Better indices for a picture.

        pixels: uint8 (H, W, 3); indices: (C, h, w), at the last level, which stay as they are; plan: one of
        PLANS.
        """
        report_progress(0.0)
        depths = self._depths()
        out, (rows, across) = indices.copy(), indices.shape[1:]
        tiles = list(product(_tiles(rows), _tiles(across)))
        for index, (down, right) in enumerate(tiles):
            seen = np.ascontiguousarray(out[:, down.seen, right.seen])
            tile = TileTarget.of(pixels[scaled(down.seen, STRIDE), scaled(right.seen, STRIDE)])

            def report_tile(share: float, before: int = index) -> None:
                report_progress((before + share) / len(tiles))

            noise = noise_maps(0, self.noise, down.seen, right.seen)
            found = self._tile(tile, noise, seen, depths, plan, report_tile)
            out[:, down.own, right.own] = found[:, down.kept, right.kept]
        report_progress(1.0)
        return out

    def _depths(self) -> Depths:
        """Every level's cost counts as a share of what it usually is: in proportion to its intervals' width.
        A bit's price is what a quantiser of that width works at."""
        part = np.arange(self.table.levels) / max(1, self.table.levels - 1)
        width = self.widest * (self.finest / self.widest) ** part
        weight = self.finest / width
        return Depths.of(
            self.table, self.reconstruction_offset, weight, weight * LAMBDA * 0.16 * width**2
        )

    def _tile(
        self,
        tile: TileTarget,
        noise: NoiseMaps,
        indices: Indices,
        depths: Depths,
        plan: SearchPlan,
        report_progress: ReportProgress,
    ) -> Indices:
        """Better indices for one tile."""
        classes = self._classes(indices, depths)
        total = np.zeros((len(depths.depth), *indices.shape), np.float32)
        for sweep, turns in enumerate(plan.sweeps):
            levels = sorted({max(1, round(s * self.table.levels)) for s in turns}, reverse=True)
            for turn, level in enumerate(levels):
                texture = noise if plan.texture(sweep) else None
                target = self._target_latent(indices, level, tile, plan, texture)
                share = depths.share[_level_assignment(level, levels, self.table.levels)].sum(0)
                for sum_, part in zip(total, share, strict=True):
                    here = np.flatnonzero(part)
                    sum_[here] += part[here, None, None] * target[here]
                report_progress((sweep + (turn + 1) / len(levels)) / len(plan.sweeps))
            mean_colours = indices[list(MEAN_COLOURS)]
            indices = choose_indices(total, sweep + 1, classes, indices, depths, self.bits)
            indices[list(MEAN_COLOURS)] = mean_colours  # layer 0 has other tables, not asked here
        return indices

    def _target_latent(
        self,
        indices: Indices,
        level: int,
        tile: TileTarget,
        plan: SearchPlan,
        texture: NoiseMaps | None,
    ) -> Array:
        """Target latents of a level, (C, h, w): a step down the gradient. texture: the noise with which it
        counts, None: it does not."""
        width, part = self.table.step_sizes(level), (level - 1) / max(1, self.table.levels - 1)
        now = at_depths(indices, self.table, self.table.depths[level - 1])
        value = reconstruct(now, self.table, level, self.reconstruction_offset[level - 1])
        gradient = self.mse_decoder(value, width, level, tile.error, None)
        worth = TEXTURE * 4 * part * (1 - part)
        if texture is not None and worth:
            looks = partial(tile.looks, worth)
            gradient += self.perceptual_decoder(value, width, level, looks, texture)
        gradient *= np.float32(STEP if len(plan.sweeps) > 1 else 1)
        value -= gradient
        return value

    def _classes(self, indices: Indices, depths: Depths) -> NDArray[np.uint8]:
        """uint8 (3, J, C, h, w): what the context network says of each depth's decisions."""
        found = np.zeros((3, len(depths.depth), *indices.shape), np.uint8)
        table, classes = self.table, self.incremental()
        known = at_depths(indices, table, table.start)
        for number, one in enumerate(table.passes):
            part = classes(known, number)
            # decisions that lead to no level's depth count for the next one that does
            theirs = depths.depth[:, one.channels]
            place = ((theirs != NOT_SENT) & (theirs < one.after[one.channels])).sum(0)
            for row, channel in enumerate(one.channels):
                scatter(part[:, row], found[:, place[row], channel], one.lattices)
            behind = at_depths(indices, table, one.after, one.channels)
            planes = known[one.channels]
            scatter(gather(behind, one.lattices), planes, one.lattices)
            known[one.channels] = planes
        return found


def _level_assignment(level: int, levels: list[int], count: int) -> NDArray[np.intp]:
    """Which levels, from 0, are nearer to `level` than to the others (the higher one if as near)."""
    every = np.arange(1, count + 1)
    near = np.abs(every[:, None] - np.array(levels)).argmin(1)
    return np.flatnonzero(near == levels.index(level))


def _tiles(count: int) -> Iterator[Strip]:
    """Rows or columns of so many positions, in tiles of about the same size."""
    number = -(-count // TILE)
    edges = [count * i // number for i in range(number + 1)]
    for a, b in pairwise(edges):
        yield Strip(a, b, max(0, a - HALO), min(count, b + HALO))
