"""The numbers of the integer context network, and the proof that this machine computes with them exactly.

Everything is in float32 on whole numbers below 2**24: so any order of summation gives the same numbers. A
small network of known result is run once per process before anything is coded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from ...errors import ResourceError
from .config import ModelConfig
from .convolution import Array, convolved, kernel
from .parallel import single_threaded_blas

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


SIGNIFICANCE = ClassRange(8, 56)
SIGN = ClassRange(16, 32)
REFINEMENT = ClassRange(8, 32)
RANGES = (SIGNIFICANCE, SIGN, REFINEMENT)


@dataclass(frozen=True, slots=True)
class ContextWeights(Generic[T]):
    """Whole numbers in float32, arrays here and tensors in training. Convolutions: weights
    (out, in, k, k); biases (passes, out)."""

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


def context_shapes(config: ModelConfig, passes: int) -> dict[str, tuple[int, ...]]:
    """The shape of each array of a context network, by the names of a weights file. passes: coding
    passes."""
    wide, channels = config.context_width, config.channels
    shapes: dict[str, tuple[int, ...]] = {
        "entry": (wide, 2 * channels, 1, 1),
        "entry_bias": (passes, wide),
        "exit": (len(RANGES) * channels, wide, 1, 1),
        "exit_bias": (passes, len(RANGES) * channels),
    }
    for block in range(config.context_blocks):
        shapes[f"mid.{block}"] = (wide, wide, 3, 3)
        shapes[f"mid_bias.{block}"] = (passes, wide)
        shapes[f"back.{block}"] = (wide, wide, 1, 1)
    return shapes


def feature_table(
    reach: NDArray[np.int32],
    depth: NDArray[np.int32],
    logs: NDArray[np.int32],
    index: NDArray[np.signedinteger[Any]],
) -> Array:
    """What `context.features` makes of some indices (n,) in every channel: value and logarithm,
    (C, n, 2), by shifts of whole numbers."""
    magnitude, lift = np.minimum(np.abs(index), MAGNITUDES - 1), (reach - depth)[:, None]
    odd, up = 2 * magnitude + 1, np.clip(lift, -32, 32)
    value = np.where(up < 0, odd >> np.maximum(-up, 0), odd << np.maximum(up, 0))
    value = np.sign(index) * np.minimum(value, FEATURE_MAX)
    log = np.clip(logs[magnitude] + 16 * lift, 1, FEATURE_MAX)
    return np.stack([value, np.where(index == 0, 0, log)], 2).astype(np.float32)


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
        with single_threaded_blas():
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
        with single_threaded_blas():
            same &= np.array_equal(one @ two, a @ b)
            same &= np.array_equal(np.ascontiguousarray(one.T).T @ two, a @ b)
            same &= np.array_equal(one @ np.ascontiguousarray(two.T).T, a @ b)
    if not same:
        raise ResourceError(
            "this machine does not add whole numbers exactly in float32; sic would write files "
            "that others cannot read",
            "please report the processor and the version of NumPy",
        )
