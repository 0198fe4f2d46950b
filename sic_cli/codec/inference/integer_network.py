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
    (out, in, k, k); biases (steps, out)."""

    entry: T
    entry_bias: T
    mid: T
    mid_bias: T
    back: T
    exit: T
    exit_bias: T

    def map(self, change: Callable[[T], S]) -> ContextWeights[S]:
        """The same network, every array put through `change`."""

        return ContextWeights(
            change(self.entry),
            change(self.entry_bias),
            change(self.mid),
            change(self.mid_bias),
            change(self.back),
            change(self.exit),
            change(self.exit_bias),
        )


def context_shapes(config: ModelConfig, passes: int) -> dict[str, tuple[int, ...]]:
    """The shape of each array of a context network of so many passes, by the names of a weights file."""
    wide, hidden, channels = config.context_width, config.context_hidden, config.channels
    return {
        "entry": (wide, 2 * channels, 1, 1),
        "entry_bias": (passes, 2, wide),
        "mid": (hidden, wide, 3, 3),
        "mid_bias": (passes, hidden),
        "back": (wide, hidden, 1, 1),
        "exit": (len(RANGES) * channels, wide, 1, 1),
        "exit_bias": (passes, len(RANGES) * channels),
    }


def feature_table(
    reach: NDArray[np.int32],
    depth: NDArray[np.int32],
    logs: NDArray[np.int32],
    index: NDArray[np.signedinteger[Any]],
) -> Array:
    """What the network sees of some indices (n,) in every channel: value and logarithm (FORMAT.md,
    section 6.4), (C, n, 2), by shifts of whole numbers."""
    magnitude, lift = np.minimum(np.abs(index), MAGNITUDES - 1), (reach - depth)[:, None]
    odd, up = 2 * magnitude + 1, np.clip(lift, -31, 7)  # 2**7 is beyond FEATURE_MAX already
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
        weights.mid * unit,
        weights.mid_bias * unit + half,
        weights.back * unit,
        weights.exit * width,
        weights.exit_bias * width,
    )


def largest_sums(weights: ContextWeights[Array]) -> dict[str, int]:
    """The largest magnitude that any sum in the network can reach, by layer: all must be < 2**24."""

    def most(kernel: Array, bias: Array | None, inputs: int) -> int:
        total = np.abs(kernel).sum((1, 2, 3)) * inputs
        if bias is not None:
            total = total + np.abs(bias).reshape(-1, len(kernel)).max(0)
        return int(total.max())

    return {
        "entry": most(weights.entry, weights.entry_bias, FEATURE_MAX),
        "mid": most(weights.mid, weights.mid_bias, ACTIVATION_MAX),
        "back": most(weights.back, None, ACTIVATION_MAX),
        "exit": most(weights.exit, weights.exit_bias, ACTIVATION_MAX),
    }


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
