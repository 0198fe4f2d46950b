"""Running the integer context network, and proving that this machine runs it exactly.

Everything here happens on the CPU, in float32 on whole numbers below 2**24, by products of matrices: so
any order of summation gives the same numbers. A small network of known result is run once per process
before anything is coded. `context.py` is the same network for training.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..errors import ResourceError
from .bands import alone, bands, crew
from .config import ModelConfig
from .convolution import Array, blocks, convolved, kernel, scratch

WEIGHT_SHIFT = 7
"""Weights are integers / 2**7."""
LOGIT_ONE = 2048
"""Integer value of a logit of 1: 16 (activations) times 128 (weights)."""
FEATURE_MAX = 127
ACTIVATION_MAX = 255
EXACT = 2**24
MAGNITUDES = 256
CLASS_SHIFT = 9
"""Logits of 2**11 per unit become classes a quarter of a unit wide."""
CLASS_WIDTH = 1 / 2**CLASS_SHIFT
T = TypeVar("T")
S = TypeVar("S")


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
EXIT_POSITIONS = 512
"""Positions whose logits are computed at once: they stay in a core's cache."""


@dataclass(frozen=True, slots=True)
class ContextWeights(Generic[T]):
    """Whole numbers in float32, arrays here and tensors in training. Convolutions: weights
    (out, in, k, k); biases (steps, out)."""

    entry: T
    entry_bias: T
    mid: tuple[T, ...]
    mid_bias: tuple[T, ...]
    back: tuple[T, ...]
    exit: T
    exit_bias: T

    def map(self, change: Callable[[T], S]) -> ContextWeights[S]:
        """The same network, every array put through `change`."""

        def many(values: tuple[T, ...]) -> tuple[S, ...]:
            return tuple(change(v) for v in values)

        return ContextWeights(
            change(self.entry),
            change(self.entry_bias),
            many(self.mid),
            many(self.mid_bias),
            many(self.back),
            change(self.exit),
            change(self.exit_bias),
        )


def context_shapes(config: ModelConfig, steps: int) -> dict[str, tuple[int, ...]]:
    """The shape of each array of a context network, by the names of a weights file. steps: of the level
    table."""
    wide, channels = config.context_width, config.channels
    shapes: dict[str, tuple[int, ...]] = {
        "entry": (wide, 2 * channels, 1, 1),
        "entry_bias": (steps, wide),
        "exit": (len(RANGES) * channels, wide, 1, 1),
        "exit_bias": (steps, len(RANGES) * channels),
    }
    for block in range(config.context_blocks):
        shapes[f"mid.{block}"] = (wide, wide, 3, 3)
        shapes[f"mid_bias.{block}"] = (steps, wide)
        shapes[f"back.{block}"] = (wide, wide, 1, 1)
    return shapes


class ContextRunner:
    """The context network of a release, ready to code with.

    reach: whole float (C,); logs: whole float (256,); steps: octaves (S + 1, C) of the level table.
    Raises ResourceError if this machine does not compute whole numbers exactly.
    """

    def __init__(
        self, weights: ContextWeights[Array], reach: Array, logs: Array, steps: NDArray[np.int8]
    ) -> None:
        check_machine()
        own = scaled(weights)
        wide, count = len(own.entry), len(reach)
        self._entry = np.ascontiguousarray(own.entry.reshape(wide, -1).T)
        self._entry_bias, self._mid_bias = own.entry_bias, own.mid_bias
        self._mid = [kernel(w) for w in own.mid]
        self._back = [np.ascontiguousarray(w.reshape(wide, wide).T) for w in own.back]
        self._exit = own.exit.reshape(len(RANGES), count, wide)
        self._exit_bias = own.exit_bias.reshape(-1, len(RANGES), count)
        self._reach, self._logs, self._steps = (v.astype(np.int32) for v in (reach, logs, steps))
        self._features: dict[int, tuple[Array, Array]] = {}

    def classes(
        self,
        cells: NDArray[np.signedinteger[Any]],
        step: int,
        channels: NDArray[np.intp],
        threads: int = 0,
    ) -> NDArray[np.uint8]:
        """uint8 (3, len(channels), h, w): classes for ZERO, SIGN and INNER of the coming step.

        cells: (C, h, w) before the step; channels: those that the step refines; threads: see `crew`.
        """
        height, width = cells.shape[1:]
        out = np.empty((len(RANGES), len(channels), height, width), np.uint8)
        rows, halo = max(1, STRIP_POSITIONS // max(1, width)), len(self._mid)
        with crew(threads) as each:
            for top in range(0, height, rows):
                end = min(height, top + rows)
                above, below = max(0, top - halo), min(height, end + halo)
                parts = bands(below - above, width)
                x = np.empty((below - above, width, self._entry.shape[1]), np.float32)
                each(self._entering(cells[:, above:below], step, x), parts)
                for block in range(len(self._mid)):
                    after = np.empty_like(x)
                    each(self._refining(x, block, step, after), parts)
                    x = after
                seen, there = x[top - above : end - above], out[:, :, top:end]
                each(self._leaving(seen, step, channels, there), bands(end - top, width))
        return out

    def _entering(
        self, cells: NDArray[np.signedinteger[Any]], step: int, out: Array
    ) -> Callable[[slice], None]:
        """Features of cells (C, rows, w) -> the first activations. Channels that are 0 everywhere
        say nothing; features come from a table."""
        busy = np.flatnonzero(cells.any((1, 2)))
        value, log = (table[busy].reshape(-1) for table in self._looked_up(step))
        first = np.arange(len(busy))[:, None] * (2 * MAGNITUDES - 1) + MAGNITUDES - 1
        weights = self._entry[np.concatenate([busy, busy + len(cells)])]

        def work(rows: slice) -> None:
            for block in blocks(rows, 2 * len(busy) * out.shape[1]):
                total = out[block].reshape(-1, out.shape[2])
                here = cells[busy, block].reshape(len(busy), len(total))
                place = np.clip(here, 1 - MAGNITUDES, MAGNITUDES - 1) + first
                seen = scratch("seen", 2, *place.shape)
                np.take(value, place, out=seen[0], mode="clip")
                np.take(log, place, out=seen[1], mode="clip")
                np.matmul(seen.reshape(2 * len(busy), len(total)).T, weights, out=total)
                total += self._entry_bias[step]
                np.floor(total, out=total)

        return work

    def _refining(self, x: Array, block: int, step: int, out: Array) -> Callable[[slice], None]:
        """One block: (rows, w, width) -> the same."""
        mid, bias, back = self._mid[block], self._mid_bias[block][step], self._back[block]

        def work(rows: slice) -> None:
            for here, h in convolved(x, mid, rows, most=ACTIVATION_MAX):
                h += bias
                np.floor(h, out=h)
                np.clip(h, 0, ACTIVATION_MAX, out=h)
                more = out[here].reshape(h.shape)
                np.matmul(h, back, out=more)
                more += np.float32(0.5)
                np.floor(more, out=more)
                more += x[here].reshape(h.shape)

        return work

    def _leaving(
        self, x: Array, step: int, channels: NDArray[np.intp], out: NDArray[np.uint8]
    ) -> Callable[[slice], None]:
        """The last activations -> classes of the refined channels, (3, len(channels), rows, w)."""
        kinds, count, wide = len(RANGES), len(channels), x.shape[2]
        weights = self._exit[:, channels].reshape(kinds * count, wide)
        offsets = np.array([kind.offset for kind in RANGES], np.float32)[:, None]
        bias = (self._exit_bias[step][:, channels] + offsets).reshape(-1, 1)

        def work(rows: slice) -> None:
            for block in blocks(rows, x.shape[1], EXIT_POSITIONS):
                active = scratch("active", *x[block].shape)
                np.clip(x[block], 0, ACTIVATION_MAX, out=active)
                flat = active.reshape(-1, wide)
                places = scratch("places", kinds * count, len(flat))
                np.matmul(weights, flat.T, out=places)
                places += bias
                by_kind = places.reshape(kinds, count, len(flat))
                for kind, place, there in zip(RANGES, by_kind, out[:, :, block], strict=True):
                    np.clip(place, 0, kind.count - CLASS_WIDTH, out=place)
                    # what is left loses its fraction in 8 bits
                    np.copyto(there, place.reshape(there.shape), casting="unsafe")

        return work

    def _looked_up(self, step: int) -> tuple[Array, Array]:
        if step not in self._features:
            self._features[step] = feature_table(self._reach, self._steps[step], self._logs)
        return self._features[step]


def feature_table(
    reach: NDArray[np.int32], octave: NDArray[np.int32], logs: NDArray[np.int32]
) -> tuple[Array, Array]:
    """What `context.features` makes of the cells -255..255 of every channel: value and logarithm, each
    (C, 511), by shifts of whole numbers."""
    cell, lift = np.arange(1 - MAGNITUDES, MAGNITUDES), (reach - octave)[:, None]
    odd, up = 2 * np.abs(cell) + 1, np.clip(lift, -32, 32)
    value = np.where(up < 0, odd >> np.maximum(-up, 0), odd << np.maximum(up, 0))
    value = np.sign(cell) * np.minimum(value, FEATURE_MAX)
    log = np.clip(logs[np.abs(cell)] + 16 * lift, 1, FEATURE_MAX)
    return value.astype(np.float32), np.where(cell == 0, 0, log).astype(np.float32)


def scaled(weights: ContextWeights[Array]) -> ContextWeights[Array]:
    """The same network with what follows each sum taken into it: division by 2**7 and the half that
    rounds, or division by the width of a class. Products and sums are whole numbers of a power of two,
    as large in its units as they were before, and therefore exact as well; what is left is `floor`.
    """
    unit, half = np.float32(1 / 2**WEIGHT_SHIFT), np.float32(0.5)
    width = np.float32(CLASS_WIDTH)
    return ContextWeights(
        weights.entry * unit,
        weights.entry_bias * unit + half,
        tuple(w * unit for w in weights.mid),
        tuple(b * unit + half for b in weights.mid_bias),
        tuple(w * unit for w in weights.back),
        weights.exit * width,
        weights.exit_bias * width,
    )


def largest_sums(weights: ContextWeights[Array]) -> dict[str, int]:
    """The largest magnitude that any sum in the network can reach, by layer: all must be < 2**24."""

    def most(kernel: Array, bias: Array | None, inputs: int) -> int:
        total = np.abs(kernel).sum((1, 2, 3)) * inputs
        return int((total if bias is None else total + np.abs(bias).max(0)).max())

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
    """Compare products and convolutions of whole numbers with 64-bit integers; raise ResourceError if
    they differ."""
    rng = np.random.default_rng(1)
    same = True
    for inputs, outputs, side in ((96, 32, 7), (64, 40, 11)):
        x = rng.integers(0, ACTIVATION_MAX + 1, (side, side, inputs))
        w = rng.integers(-40, 41, (outputs, inputs, 3, 3))
        with alone():
            parts = convolved(x.astype(np.float32), kernel(w.astype(np.float32)), slice(0, side))
            got = np.concatenate([part.copy() for _, part in parts])
        padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
        want = np.zeros(got.shape, np.int64)
        for i in range(3):
            for j in range(3):
                window = padded[i : i + side, j : j + side].reshape(-1, inputs)
                want += window @ w[:, :, i, j].T
        same &= int(np.abs(want).max()) < EXACT and np.array_equal(got, want)
    for rows, inner, columns in ((33, 512, 24), (101, 96, 40), (40, 64, 97)):
        a = rng.integers(-FEATURE_MAX, FEATURE_MAX + 1, (rows, inner))
        b = rng.integers(-127, 128, (inner, columns))
        one, two = a.astype(np.float32), b.astype(np.float32)
        with alone():
            same &= np.array_equal(one @ two, a @ b)
            same &= np.array_equal(np.ascontiguousarray(one.T).T @ two, a @ b)
            same &= np.array_equal(one @ np.ascontiguousarray(two.T).T, a @ b)
    if not same:
        raise ResourceError(
            "this machine does not add whole numbers exactly in float32; sic would write files "
            "that others cannot read",
            "please report the processor and the version of NumPy",
        )
