"""The symbols of layer 0: mean colours at the step sizes of level 1 (FORMAT.md, section 7).

One function serves both directions: the encoder's coder is given the symbols, the decoder's returns them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...errors import CorruptError
from ..entropy.tables import FrequencyTable, binary
from ..symbols.class_runs import Coder, by_class, runs
from .network import (
    PASSES,
    Array,
    Layers,
    Neighbourhood,
    coarsest,
    differences,
    neighbourhood,
)

PLANES = 3
RADIUS = 20
"""Residuals beyond it are escaped."""
FIRST_RADIUS = 64
"""The same for the coarsest grid, where nothing is predicted."""
INDEX_MAX = 256
"""Largest magnitude of an index of layer 0; latents beyond it saturate."""
ESCAPE_BITS = 16
EVEN = binary(1 << 23)
POSITIONS = 1 << 15
"""Positions whose features are held together."""

SCALES = 14
"""Classes of the scale of a residual, half an octave wide."""
NEAR = 6
"""Predicted indices that are told apart: the dead zone is twice as wide as other intervals."""


def _class_table() -> NDArray[np.uint8]:
    """uint8 (SCALES, NEAR, 16): class of a scale, the predicted index (5: 5 and above) and the sixteenths
    of the prediction within its interval."""
    out = np.empty((SCALES, NEAR, 16), np.uint8)
    known: dict[tuple[int, int, int], int] = {}
    for scale in range(SCALES):
        near_most, fractions = (2, 4) if scale < 4 else (3, 2) if scale < 7 else (5, 1)
        for near in range(NEAR):
            for part in range(16):
                key = (scale, min(near, near_most), part * fractions // 16)
                out[scale, near, part] = known.setdefault(key, len(known))
    return out


CLASS = _class_table()
CLASSES = int(CLASS.max()) + 1


@dataclass(frozen=True, slots=True)
class MeanColourTables:
    """first: per plane, of the coarsest grid's indices; residual: per plane and class."""

    first: tuple[FrequencyTable, ...]
    residual: tuple[tuple[FrequencyTable, ...], ...]


@dataclass(frozen=True, slots=True)
class MeanColourCoder:
    """Takes the three mean-colour planes from nothing to the indices of layer 0.

    networks: per plane, of a diagonal and of a direct pass.
    """

    networks: tuple[tuple[Layers, Layers], ...]
    tables: MeanColourTables

    def code(
        self, height: int, width: int, coder: Coder, target: NDArray[np.int16] | None = None
    ) -> NDArray[np.int16]:
        """Indices (3, height, width). target: the same when they are known (encoding)."""
        size = height * width
        index = np.zeros((size, PLANES), np.int32)
        value = np.zeros((size, PLANES), np.float32)
        known = None
        if target is not None:
            known = target.reshape(PLANES, size).T.astype(np.int32)
        at = coarsest(height, width)
        none = np.zeros(len(at), np.uint8)
        for plane in range(PLANES):
            wanted = None if known is None else known[at, plane]
            table = self.tables.first[plane : plane + 1]
            index[at, plane] = saturated(residuals(coder, table, FIRST_RADIUS, none, wanted))
        value[at] = representative(index[at])
        for turn, one in enumerate(PASSES):
            near = neighbourhood(height, width, one)
            if not len(near.own):
                continue
            own = None if known is None else known[near.own]
            here = self._pass(value, near, turn // 2, one.kind, coder, own)
            index[near.own] = here
        return index.T.astype(np.int16).reshape(PLANES, height, width)

    def _pass(
        self,
        value: Array,
        near: Neighbourhood,
        spacing: int,
        kind: int,
        coder: Coder,
        known: NDArray[np.int32] | None,
    ) -> NDArray[np.int32]:
        """Indices (n, 3) of a pass, whose values are filled in plane by plane."""
        made = np.empty((len(near.own), PLANES), np.int32)
        pieces = [slice(s, s + POSITIONS) for s in range(0, len(near.own), POSITIONS)]
        held = [Seen.of(value, near.decoded[piece]) for piece in pieces[:1]]
        for plane in range(PLANES):
            points, scales = [], []
            for piece in pieces:
                seen = held[0] if len(pieces) == 1 else Seen.of(value, near.decoded[piece])
                x = seen.features(value, near.own[piece], near.same[piece], plane)
                logit = self.networks[plane][kind](x, spacing).astype(np.int32)
                points.append(seen.base[:, plane].astype(np.int32) + ((logit[:, 0] + 64) >> 7))
                scales.append(logit[:, 1])
            point, scale = (v[0] if len(v) == 1 else np.concatenate(v) for v in (points, scales))
            made[:, plane] = self._plane(plane, point, scale, coder, known)
            value[near.own, plane] = representative(made[:, plane])
        return made

    def _plane(
        self,
        plane: int,
        point: NDArray[np.int32],
        scale: NDArray[np.int32],
        coder: Coder,
        known: NDArray[np.int32] | None,
    ) -> NDArray[np.int32]:
        """Indices (n,) of predictions in sixteenths and scales in units of 1/2048 of an octave."""
        sign = np.where(point < 0, np.int32(-1), np.int32(1))
        point = np.abs(point)
        predicted = point >> 4
        scale = np.clip((scale >> 10) + 6, 0, SCALES - 1)
        classes = CLASS[scale, np.minimum(predicted, NEAR - 1), point & 15]
        wanted = None if known is None else known[:, plane] * sign - predicted
        found = residuals(coder, self.tables.residual[plane], RADIUS, classes, wanted)
        return saturated((found + predicted) * sign)


@dataclass(frozen=True, slots=True)
class Seen:
    """What positions (n,) see: base (n, 3), linear prediction in sixteenths; differences (n, 48)."""

    base: Array
    differences: Array

    @classmethod
    def of(cls, value: Array, decoded: NDArray[np.intp]) -> Seen:
        seen = value[decoded]
        base = seen[:, :4].sum(1)
        base += 2
        base *= np.float32(0.25)
        np.floor(base, out=base)
        return cls(base, differences(seen, base[:, None]).reshape(len(seen), -1))

    def features(
        self, value: Array, own: NDArray[np.intp], same: NDArray[np.intp], plane: int
    ) -> Array:
        """What the network of a plane gets: the planes before it are known in this pass, too."""
        if not plane:
            return self.differences
        base = self.base[:, :plane]
        here = differences(value[own, :plane], base)
        around = differences(value[same, :plane], base[:, None]).reshape(len(own), -1)
        return np.concatenate([self.differences, here, around], 1)


def saturated(index: NDArray[np.int32]) -> NDArray[np.int32]:
    """No index of a damaged file is larger, so every sum stays exact."""
    held: NDArray[np.int32] = np.clip(index, -INDEX_MAX, INDEX_MAX)
    return held


def representative(index: NDArray[np.int32]) -> NDArray[np.int32]:
    """Middle of a quantisation interval in sixteenths of the step; 0 for the dead zone."""
    value: NDArray[np.int32] = np.sign(index) * (16 * np.abs(index) + 8)
    return value


def residuals(
    coder: Coder,
    tables: Sequence[FrequencyTable],
    radius: int,
    classes: NDArray[np.uint8],
    known: NDArray[np.int32] | None,
) -> NDArray[np.int32]:
    """Whole numbers by class, then in the order of their positions; escaped ones' excess behind them."""
    order, starts = by_class(classes)
    last = 2 * radius + 2
    symbols = None
    if known is not None:
        symbols = np.clip(known[order] + (radius + 1), 0, last).astype(np.int32)
    parts = []
    for index, start, end in runs(starts):
        here = None if symbols is None else symbols[start:end]
        parts.append(coder.code(tables[index], end - start, here))
    made = np.concatenate(parts)
    out = np.empty(len(order), np.int32)
    out[order] = made - (radius + 1)
    if made.min() == 0 or made.max() == last:
        for place in np.flatnonzero(np.abs(out) == radius + 1):
            excess = None if known is None else abs(int(known[place])) - radius - 1
            out[place] += np.sign(out[place]) * _excess(coder, excess)
    return out


def _excess(coder: Coder, known: int | None) -> int:
    """A number >= 0 as an Exp-Golomb code of order 0 in even bits."""

    def bit(wanted: int | None) -> int:
        symbol = None if wanted is None else np.array([wanted], np.int32)
        return int(coder.code(EVEN, 1, symbol)[0])

    size = None if known is None else (known + 1).bit_length() - 1
    count = 0
    while not bit(None if size is None else int(count == size)):
        count += 1
        if count > ESCAPE_BITS:
            raise CorruptError("payload does not decode: an escape of layer 0 is too long")
    number = 1
    for place in reversed(range(count)):
        number = 2 * number + bit(None if known is None else (known + 1) >> place & 1)
    return number - 1
