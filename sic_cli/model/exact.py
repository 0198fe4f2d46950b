"""Running the integer context network, and proving that this machine runs it exactly.

Everything here happens on the CPU in float32 on whole numbers below 2**24. Whatever could make a sum
inexact is shut out: autocast, NNPACK (its Winograd and FFT kernels were measured inexact) and batches.
A small network of known result is run once per process before anything is coded.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ..errors import ResourceError
from .bands import Bands, cut_in_bands
from .context import (
    ACTIVATION_MAX,
    EXACT,
    FEATURE_MAX,
    MAGNITUDES,
    WEIGHT_SHIFT,
    ContextWeights,
    features,
)

CLASS_SHIFT = 9
"""Logits of 2**11 per unit become classes a quarter of a unit wide."""
CLASS_WIDTH = 2.0**-CLASS_SHIFT


@dataclass(frozen=True, slots=True)
class ClassRange:
    """How a logit becomes a class: (logit >> CLASS_SHIFT) + offset, held in 0..count - 1."""

    offset: int
    count: int


ZERO = ClassRange(8, 56)
SIGN = ClassRange(16, 32)
INNER = ClassRange(8, 32)
RANGES = (ZERO, SIGN, INNER)


STRIP_POSITIONS = 1 << 14
"""Positions computed at once, so that memory does not grow with the picture. Strips overlap by as many
rows as the network looks up and down, so the classes do not depend on this number."""


@contextmanager
def exact() -> Iterator[None]:
    """Inside, torch computes what it is told, in float32, without gradients."""
    with (
        torch.inference_mode(),
        torch.autocast("cpu", enabled=False),
        torch.backends.nnpack.flags(enabled=False),
    ):
        yield


class ContextRunner:
    """The context network of a release, ready to code with.

    reach: whole float (C,); logs: whole float (256,); steps: octaves (S + 1, C) of the level table.
    Raises ResourceError if this machine does not compute whole numbers exactly.
    """

    def __init__(self, weights: ContextWeights, reach: Tensor, logs: Tensor, steps: Tensor) -> None:
        check_machine()
        self._weights, self._reach, self._logs = scaled(weights), reach, logs
        self._columns = self._weights.entry[:, :, 0, 0].t().contiguous()
        self._exit = self._weights.exit[:, :, 0, 0].view(3, len(reach), -1)
        self._exit_bias = self._weights.exit_bias.view(-1, 3, len(reach))
        self._half = torch.full((len(self._weights.entry),), 0.5, dtype=torch.float32)
        self._steps = steps.to(torch.float32)
        self._tables: dict[int, tuple[NDArray[np.float32], NDArray[np.float32]]] = {}

    def classes(
        self, cells: NDArray[np.signedinteger[Any]], step: int, channels: NDArray[np.intp]
    ) -> NDArray[np.uint8]:
        """uint8 (3, len(channels), h, w): classes for ZERO, SIGN and INNER of the coming step.

        cells: (C, h, w) before the step; channels: those that the step refines.
        """
        height, width = cells.shape[1:]
        out = np.empty((3, len(channels), height, width), np.uint8)
        rows, halo = max(1, STRIP_POSITIONS // max(1, width)), len(self._weights.mid)
        with exact(), cut_in_bands(torch.get_num_threads()):
            for top in range(0, height, rows):
                end = min(height, top + rows)
                above, below = max(0, top - halo), min(height, end + halo)
                active = self._active(cells[:, above:below], step)
                self._fill(out[:, :, top:end], active, top - above, step, channels)
        return out

    def _active(self, cells: NDArray[np.signedinteger[Any]], step: int) -> Bands:
        """Activations (1, context_width, rows, w) of the last block, channels last in memory: what
        `context.trunk` gives, in as few passes over memory as there are."""
        weights = self._weights
        places, bias = (
            Bands.of(torch.from_numpy(cells)[None]),
            weights.entry_bias[step, :, None, None],
        )
        x = places.made(lambda i: self.entry(places.parts[i][0].numpy(), step).add_(bias).floor_())
        for mid, mid_bias, back in zip(weights.mid, weights.mid_bias, weights.back, strict=True):
            x = self._block(x, mid, mid_bias[step], back)
        return x

    def _block(self, x: Bands, mid: Tensor, bias: Tensor, back: Tensor) -> Bands:
        """One block of `context.trunk`."""

        def first(seen: Tensor) -> Tensor:
            return F.conv2d(seen.clamp(0, ACTIVATION_MAX), mid, bias, padding=1)

        def one(i: int) -> Tensor:
            h = x.convolved(first, i).floor_().clamp_(0, ACTIVATION_MAX)
            return F.conv2d(h, back, self._half).floor_().add_(x.parts[i])

        return x.made(one)

    def entry(self, cells: NDArray[np.signedinteger[Any]], step: int) -> Tensor:
        """What the entry makes of the features of cells (C, rows, w), scaled and without its bias: for
        each position the sum over its cells that are not 0, with features from a table. Most cells are 0, so this
        is many times less work than a convolution.

        -> (1, context_width, rows, w), channels last in memory.
        """
        value, log = self._looked_up(step)
        count, (rows, width) = len(cells), cells.shape[1:]
        flat = cells.reshape(count, -1)
        place = np.flatnonzero(np.ascontiguousarray((flat != 0).T))
        position, channel = np.divmod(place, count)
        number = flat[channel, position]
        row = channel * MAGNITUDES + np.minimum(np.abs(number), MAGNITUDES - 1)
        weight = np.stack([value[row] * np.sign(number), log[row]], 1).astype(value.dtype)
        ends = np.cumsum(np.bincount(position, minlength=rows * width))
        starts = 2 * np.concatenate([[0], ends[:-1]])
        summed = F.embedding_bag(
            torch.from_numpy(np.stack([channel, channel + count], 1).reshape(-1)),
            self._columns,
            torch.from_numpy(starts),
            mode="sum",
            per_sample_weights=torch.from_numpy(weight.reshape(-1)),
        )
        return summed.view(1, rows, width, -1).permute(0, 3, 1, 2)

    def _looked_up(self, step: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Value and logarithm by channel and magnitude, each (C * 256,)."""
        if step not in self._tables:
            ramp = torch.arange(MAGNITUDES, dtype=torch.float32)
            ramp = ramp.expand(1, len(self._reach), 1, MAGNITUDES)
            both = features(ramp, self._steps[step][None], self._reach, self._logs)
            half = both.view(2, -1).numpy()
            self._tables[step] = (half[0], half[1])
        return self._tables[step]

    def _fill(
        self,
        out: NDArray[np.uint8],
        active: Bands,
        top: int,
        step: int,
        channels: NDArray[np.intp],
    ) -> None:
        """Classes of the refined channels into `out` (3, len(channels), rows, w), whose first row is
        row `top` of `active`."""
        rows, count = torch.from_numpy(channels), len(channels)
        weights = self._exit[:, rows].flatten(0, 1)
        offset = torch.tensor([[kind.offset] for kind in RANGES])
        bias = (self._exit_bias[step][:, rows] + offset).view(-1, 1)
        ends = np.cumsum([part.shape[2] for part in active.parts]).tolist()

        def one(i: int) -> Tensor:
            part = active.parts[i].clamp(0, ACTIVATION_MAX)
            begin = ends[i] - part.shape[2]
            own = slice(max(0, begin - top), max(0, ends[i] - top))
            there = out[:, :, own]
            skipped = top + own.start - begin
            part = part[:, :, skipped : skipped + there.shape[2]]
            flat = part[0].permute(1, 2, 0).reshape(-1, part.shape[1]).t()
            places = torch.addmm(bias, weights, flat).view(len(RANGES), count, flat.shape[1])
            for kind, place, kinds in zip(RANGES, places, there, strict=True):
                place.clamp_(0, kind.count - CLASS_WIDTH)
                # what is left loses its fraction in 8 bits
                np.copyto(kinds, place.view(kinds.shape).numpy(), casting="unsafe")
            return part

        active.made(one)


def scaled(weights: ContextWeights) -> ContextWeights:
    """The same network with what follows each sum taken into it: division by 2**7 and the half that
    rounds, or division by the width of a class. Products and sums are whole numbers of a power of two,
    as large in its units as they were before, and therefore exact as well; what is left is `floor`.
    """

    def fine(bias: Tensor) -> Tensor:
        return bias * 2.0**-WEIGHT_SHIFT + 0.5

    return ContextWeights(
        weights.entry * 2.0**-WEIGHT_SHIFT,
        fine(weights.entry_bias),
        tuple(w * 2.0**-WEIGHT_SHIFT for w in weights.mid),
        tuple(fine(b) for b in weights.mid_bias),
        tuple(w * 2.0**-WEIGHT_SHIFT for w in weights.back),
        weights.exit * CLASS_WIDTH,
        weights.exit_bias * CLASS_WIDTH,
    )


def largest_sums(weights: ContextWeights) -> dict[str, int]:
    """The largest magnitude that any sum in the network can reach, by layer: all must be < 2**24."""

    def most(kernel: Tensor, bias: Tensor | None, inputs: int) -> int:
        total = kernel.abs().sum((1, 2, 3)) * inputs
        return int((total if bias is None else total + bias.abs().amax(0)).max())

    sums = {"entry": most(weights.entry, weights.entry_bias, FEATURE_MAX)}
    for i, (mid, bias, back) in enumerate(
        zip(weights.mid, weights.mid_bias, weights.back, strict=True)
    ):
        sums[f"mid{i}"] = most(mid, bias, ACTIVATION_MAX)
        sums[f"back{i}"] = most(back, None, ACTIVATION_MAX)
    sums["exit"] = most(weights.exit, weights.exit_bias, ACTIVATION_MAX)
    return sums


@cache
def check_machine() -> None:
    """Compare convolutions of whole numbers with 64-bit integers; raise ResourceError if they differ."""
    rng = np.random.default_rng(1)
    same = True
    for inputs, outputs, size, side in ((96, 32, 3, 12), (96, 40, 3, 33), (512, 96, 1, 20)):
        x = rng.integers(0, ACTIVATION_MAX + 1, (inputs, side, side))
        w = rng.integers(-40, 41, (outputs, inputs, size, size))
        with exact():
            got = F.conv2d(
                torch.from_numpy(x).float()[None], torch.from_numpy(w).float(), padding=size // 2
            )[0].numpy()
        padded = np.pad(x, ((0, 0), (size // 2,) * 2, (size // 2,) * 2))
        want = np.zeros(got.shape, np.int64)
        for i in range(size):
            for j in range(size):
                window = padded[:, i : i + side, j : j + side].reshape(inputs, -1)
                want += (w[:, :, i, j] @ window).reshape(want.shape)
        same &= int(np.abs(want).max()) < EXACT and np.array_equal(got, want)
    same &= _bags_are_exact(rng)
    if not same:
        raise ResourceError(
            "this machine does not add whole numbers exactly in float32; sic would write files "
            "that others cannot read",
            "please report the processor and the torch version",
        )


def _bags_are_exact(rng: np.random.Generator) -> bool:
    """Whether weighted sums of rows are those of 64-bit integers."""
    rows, table = rng.integers(0, 512, 4000), rng.integers(-127, 128, (512, 96))
    weight = rng.integers(-FEATURE_MAX, FEATURE_MAX + 1, 4000)
    starts = np.sort(rng.integers(0, 4000, 40))
    starts[0] = 0
    with exact():
        got = F.embedding_bag(
            torch.from_numpy(rows),
            torch.from_numpy(table).to(torch.float32),
            torch.from_numpy(starts),
            mode="sum",
            per_sample_weights=torch.from_numpy(weight).to(torch.float32),
        ).numpy()
    parts = np.split(table[rows] * weight[:, None], starts[1:])
    return np.array_equal(got, np.stack([part.sum(0) for part in parts]))
