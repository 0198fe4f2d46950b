"""A second decoder, from FORMAT.md alone: the payloads of `reader.py` -> quantisation indices.

Laid out like the text: 6.5, 7, 6.4, 6.3. NumPy in 64-bit whole numbers, loops over positions, nothing of the
package; slow, for small pictures. It returns indices, and makes no picture of them. Raises ValueError where
a payload does not decode.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Whole = NDArray[np.int64]
Arrays = dict[str, NDArray[Any]]
Position = tuple[int, int]
MEAN_COLOURS = (0, 1, 4)


class RangeDecoder:
    """Section 6.5."""

    def __init__(self, payload: bytes) -> None:
        self.payload, self.place, self.size = payload, 8, 2**64 - 1
        self.offset = int.from_bytes(payload[:8].ljust(8, b"\0"), "big")

    def symbol(self, frequencies: Sequence[int]) -> int:
        unit = self.size >> 24
        at = self.offset // unit
        if at >= 2**24:
            raise ValueError("outside of the interval")
        symbol, before = 0, 0
        while at >= before + frequencies[symbol]:
            before += frequencies[symbol]
            symbol += 1
        self.offset -= unit * before
        self.size = unit * frequencies[symbol]
        if self.size < 2**32:
            more = self.payload[self.place : self.place + 4].ljust(4, b"\0")
            self.place += 4
            self.offset = self.offset << 32 | int.from_bytes(more, "big")
            self.size <<= 32
        return symbol

    def bit(self, ones: int) -> int:
        """A symbol 0 or 1, of which 1 has this frequency."""
        return self.symbol((2**24 - ones, ones))


def rounded(v: Whole) -> Whole:
    """r of section 6.4."""
    return (v + 64) >> 7


def active(v: Whole) -> Whole:
    return np.clip(rounded(v), 0, 255)


# 7. layer 0


def value(n: int) -> int:
    """7.2: sixteenths of a step."""
    return (16 * abs(n) + 8) * ((n > 0) - (n < 0))


def brought_inside(at: int, count: int, unit: int) -> int:
    """7.1, one coordinate; it may stay outside."""
    at = abs(at)
    while at >= count:
        at -= 2 * unit
    return abs(at)


def neighbour(at: Position, step: Position, size: Position, unit: int) -> Position:
    """7.1: where a neighbour lies, given in units of the pass."""
    for a, b in (step, step[::-1]):
        row = brought_inside(at[0] + a * unit, size[0], unit)
        column = brought_inside(at[1] + b * unit, size[1], unit)
        if row < size[0] and column < size[1]:
            return row, column
    return at


def in_order(steps: list[Position]) -> list[Position]:
    return sorted(steps, key=lambda v: (v[0] ** 2 + v[1] ** 2, v[0], v[1]))


DECODED = {
    "diagonal": in_order([(a, b) for a in (-3, -1, 1, 3) for b in (-3, -1, 1, 3)]),
    "direct": in_order(
        [
            (a, b)
            for a in range(-3, 4)
            for b in range(-3, 4)
            if (a + b) % 2 == 1 and abs(a) + abs(b) <= 3
        ]
    ),
}
SAME_PASS = {
    "diagonal": [(0, -2), (0, 2), (-2, 0), (2, 0)],
    "direct": [(-1, -1), (-1, 1), (1, -1), (1, 1)],
}


def positions_of(kind: str, unit: int, size: Position) -> list[Position]:
    """7.1, table."""
    firsts = [(unit, unit)] if kind == "diagonal" else [(0, unit), (unit, 0)]
    return [
        (row, column)
        for top, left in firsts
        for row in range(top, size[0], 2 * unit)
        for column in range(left, size[1], 2 * unit)
    ]


def class_of(scale: int, n: int, part: int) -> int:
    """7.4: the number of a triple, in the order of all."""
    number = 0
    for s in range(14):
        near, fractions = (2, 4) if s < 4 else (3, 2) if s < 7 else (5, 1)
        if s == scale:
            return number + min(n, near) * fractions + part * fractions // 16
        number += (near + 1) * fractions
    raise AssertionError(scale)


def residuals(
    coder: RangeDecoder, tables: list[list[int]], limit: int, classes: list[int]
) -> list[int]:
    """7.4: differences of indices from their predictions, by position."""
    found = [0] * len(classes)
    for k in range(len(tables)):
        for place in range(len(classes)):
            if classes[place] == k:
                found[place] = coder.symbol(tables[k]) - limit
    for place, difference in enumerate(found):
        if abs(difference) == limit:
            excess = exp_golomb(coder)
            found[place] += excess if difference > 0 else -excess
    return found


def exp_golomb(coder: RangeDecoder) -> int:
    even, k = 2**23, 0
    while not coder.bit(even):
        k += 1
        if k > 16:
            raise ValueError("escape too long")
    number = 1
    for _ in range(k):
        number = 2 * number + coder.bit(even)
    return number - 1


def layer_0(payload: bytes, height: int, width: int, constants: Arrays) -> Whole:
    """Indices (3, height, width) of the mean colours."""
    coder, size = RangeDecoder(payload), (height, width)
    index = np.zeros((3, height, width), np.int64)

    def tables(name: str, plane: int) -> list[list[int]]:
        rows = np.atleast_2d(constants[f"tables.{name}"][plane]).astype(np.int64) * 256
        listed: list[list[int]] = rows.tolist()
        return listed

    def keep(plane: int, at: Position, n: int) -> None:
        index[(plane, *at)] = max(-256, min(256, n))

    coarsest = [(y, x) for y in range(0, height, 16) for x in range(0, width, 16)]
    for plane in range(3):
        found = residuals(coder, tables("first", plane), 65, [0] * len(coarsest))
        for at, n in zip(coarsest, found, strict=True):
            keep(plane, at, n)
    for row, unit in enumerate((8, 4, 2, 1)):
        for kind in ("diagonal", "direct"):
            own = positions_of(kind, unit, size)
            if not own:
                continue
            for plane in range(3):
                points, classes = [], []
                for at in own:
                    point, scale = predicted(index, at, kind, unit, row, plane, constants)
                    points.append(point)
                    s = max(0, min(13, (scale >> 10) + 6))
                    classes.append(class_of(s, abs(point) >> 4, abs(point) & 15))
                found = residuals(coder, tables("residual", plane), 21, classes)
                for at, point, difference in zip(own, points, found, strict=True):
                    n = difference + (abs(point) >> 4)
                    keep(plane, at, -n if point < 0 else n)
    return index


def predicted(
    index: Whole, at: Position, kind: str, unit: int, row: int, plane: int, constants: Arrays
) -> tuple[int, int]:
    """7.2 and 7.3: `point` and `scale` of a position."""
    size = index.shape[1], index.shape[2]

    def v(place: Position, q: int) -> int:
        return value(int(index[(q, *place)]))

    near = [neighbour(at, step, size, unit) for step in DECODED[kind]]
    same = [neighbour(at, step, size, unit) for step in SAME_PASS[kind]]
    base = [(sum(v(place, q) for place in near[:4]) + 2) >> 2 for q in range(3)]

    def d(place: Position, q: int) -> int:
        return max(-127, min(127, (v(place, q) - base[q]) >> 2))

    inputs = [d(place, q) for place in near for q in range(3)]
    inputs += [d(at, q) for q in range(plane)]
    inputs += [d(place, q) for place in same for q in range(plane)]

    def layer(name: str, x: Whole) -> Whole:
        weight = constants[f"{kind}.{plane}.{name}"].astype(np.int64)
        out: Whole = x @ weight + constants[f"{kind}.{plane}.{name}_bias"][row].astype(np.int64)
        return out

    h = active(layer("second", active(layer("first", np.array(inputs, np.int64)))))
    correction, scale = layer("out", h).tolist()
    return base[plane] + ((correction + 64) >> 7), scale


# 6. layers 1 and above

LATTICES: dict[int, list[list[Position]]] = {
    1: [[]],
    2: [[(0, 0), (1, 1)], [(0, 1), (1, 0)]],
    4: [[(0, 0)], [(1, 1)], [(0, 1)], [(1, 0)]],
}
"""6.2: of every phase. One phase takes all positions."""


def places_of(lattices: list[Position], height: int, width: int) -> list[Position]:
    """6.2: the positions of a pass, in order."""
    if not lattices:
        return [(y, x) for y in range(height) for x in range(width)]
    return [
        (y, x)
        for top, left in lattices
        for y in range(top, height, 2)
        for x in range(left, width, 2)
    ]


def features(index: Whole, depth: Whole, weights: Arrays) -> Whole:
    """6.4: (2 C, h, w), values, then logarithms. depth: (C, h, w)."""
    reach, logs = (weights[name].astype(np.int64) for name in ("reach", "logs"))
    out = np.zeros((2, *index.shape), np.int64)
    for c, y, x in np.argwhere(index).tolist():
        n, lift = int(index[c, y, x]), int(reach[c] - depth[c, y, x])
        m = min(abs(n), 255)
        size = (2 * m + 1) << lift if lift >= 0 else (2 * m + 1) >> -lift
        out[0, c, y, x] = min(127, size) if n > 0 else -min(127, size)
        out[1, c, y, x] = max(1, min(127, int(logs[m]) + 16 * lift))
    return out.reshape(-1, *index.shape[1:])


def classes_of(
    index: Whole, depth: Whole, coded: NDArray[np.bool_], number: int, weights: Arrays
) -> Whole:
    """6.4: (3, C, h, w): classes of significance, sign and refinement in pass `number`."""
    channels, height, width = index.shape

    def held(name: str) -> Whole:
        return weights[f"context.{name}"].astype(np.int64)

    def everywhere(name: str, x: Whole) -> Whole:
        """A 1x1 convolution."""
        out: Whole = np.tensordot(held(name)[:, :, 0, 0], x, 1)
        return out

    pending, done = held("entry_bias")[number][:, :, None, None]
    x = everywhere("entry", features(index, depth, weights))
    x = active(x + np.where(coded, done, pending))
    wide = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    h = held("mid_bias")[number][:, None, None]
    for a in range(3):
        for b in range(3):
            h = h + np.tensordot(held("mid")[:, :, a, b], wide[:, a : a + height, b : b + width], 1)
    x = np.clip(x + rounded(everywhere("back", active(h))), 0, 255)
    logit = everywhere("exit", x) + held("exit_bias")[number][:, None, None]
    kinds = (logit >> 9).reshape(3, channels, height, width)
    for kind, offset, most in zip(kinds, (8, 16, 8), (55, 31, 31), strict=True):
        kind[:] = np.clip(kind + offset, 0, most)
    return kinds


Symbol = tuple[int, int, int]
"""Channel, row, column."""


def by_class(found: list[Symbol], classes: Whole) -> Iterator[tuple[int, list[Symbol]]]:
    """6.3: by class, rising; within a class as they stand."""
    for k in range(256):
        if here := [s for s in found if classes[s] == k]:
            yield k, here


def significances(
    coder: RangeDecoder, found: list[Symbol], classes: Whole, weights: Arrays
) -> set[Symbol]:
    """6.3, point 1: those that leave 0."""

    def table(name: str, k: int) -> int:
        return int(weights[f"tables.{name}"][k])

    left: set[Symbol] = set()
    for k, here in by_class(found, classes):
        block = table("block", k)
        whole = len(here) // block * block if block > 1 else 0
        groups = [here[i : i + block] for i in range(0, whole, block)]
        flagged = [one for one in groups if coder.bit(table("flag", k))]
        places = weights["tables.first"][k][:block].astype(np.int64).tolist()
        rest: list[Symbol] = []
        for one in flagged:
            first = coder.symbol(places)
            left.add(one[first])
            rest += one[first + 1 :]
        for symbol in rest + here[whole:]:
            if coder.bit(table("significance", k)):
                left.add(symbol)
    return left


def ones(
    coder: RangeDecoder, found: list[Symbol], classes: Whole, table: NDArray[Any]
) -> set[Symbol]:
    """6.3, points 2 to 4: those whose symbol is 1."""
    return {s for k, here in by_class(found, classes) for s in here if coder.bit(int(table[k]))}


def code_pass(
    coder: RangeDecoder,
    index: Whole,
    fresh: NDArray[np.bool_],
    channels: list[int],
    places: list[Position],
    classes: Whole,
    weights: Arrays,
) -> None:
    """6.3, in place. fresh: (C,), channels that were not sent."""
    found = [(c, *place) for c in channels for place in places]
    zero, split = ([s for s in found if bool(index[s]) == some] for some in (False, True))
    left = significances(coder, zero, classes[0], weights)
    new = [s for s in zero if s in left]
    positive = ones(coder, new, classes[1], weights["tables.sign"])
    outer = ones(coder, split, classes[2], weights["tables.refinement"])
    for s in split:
        size = 2 * abs(int(index[s])) + (s in outer)
        index[s] = size if index[s] > 0 else -size
    for s in new:
        index[s] = 1 if s in positive else -1
    still = [s for s in new if fresh[s[0]]]
    for _ in range(1, 256):
        larger = ones(coder, still, classes[2], weights["tables.escape"])
        still = [s for s in still if s in larger]
        for s in still:
            index[s] += 1 if index[s] > 0 else -1


def digest(index: Whole, channels: Sequence[int], start: int) -> int:
    """Section 4."""
    return binascii.crc32(index[list(channels)].astype("<i4").tobytes(), start)


def levels(
    file: dict[str, Any], constants: Arrays, weights: Arrays | None = None
) -> Iterator[tuple[Whole, int]]:
    """Indices (C, h, w) and digest at every level of a file that `reader.read` read, from 0 on.

    constants: what mean_colours.safetensors holds (7.5); weights: a weights file (6.7), without which level 0
    (3, h, w) is all.
    """
    height, width = -(-file["height"] // 16), -(-file["width"] // 16)
    if not file["layers"]:
        return
    mean = layer_0(file["layers"][0]["payload"], height, width, constants)
    if weights is None:
        yield mean, digest(mean, range(3), 0)
        return
    index = np.zeros((len(weights["unit"]), height, width), np.int64)
    index[list(MEAN_COLOURS)] = mean
    check = digest(index, MEAN_COLOURS, 0)
    yield index.copy(), check
    levels_, phases, depths = (
        weights[f"groups.{name}"].astype(np.int64) for name in ("level", "phases", "depths")
    )
    number, group = 0, 0
    for level, layer in enumerate(file["layers"][1:], 1):
        coder, refined = RangeDecoder(layer["payload"]), set[int]()
        while group < len(levels_) and levels_[group] == level:
            before, after = depths[group], depths[group + 1]
            channels = np.flatnonzero(after > before).tolist()
            coded = np.zeros((height, width), np.bool_)
            for lattices in LATTICES[int(phases[group])]:
                depth = np.where(coded, after[:, None, None], before[:, None, None])
                places = places_of(lattices, height, width)
                if places:
                    classes = classes_of(index, depth, coded, number, weights)
                    code_pass(coder, index, before < 0, channels, places, classes, weights)
                for place in places:
                    coded[place] = True
                number += 1
            refined |= set(channels)
            group += 1
        check = digest(index, sorted(refined), check)
        yield index.copy(), check
