"""Which cell each latent had best be in, when every level wishes it somewhere.

A latent's cell at the last level decides its cells at all others. What a choice costs is the sum over the
levels of (value that it is decoded to - value wished)^2 plus the price of its bits there, by the real
frequency tables of the classes that its neighbours give it. A channel's cells are the same at all levels
of one octave, so the sum goes over octaves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..cells.levels import NOT_SENT, LevelTable
from ..cells.quantise import Cells
from ..entropy.tables import TOTAL
from ..model.convolution import Array

OUTER = (0.07, 11.5)
"""Bits that one cell farther out may cost."""
MOST = 1 << 12
"""Cells of any octave that a wish may lie away from 0."""
HOPELESS = 0.6
"""Where every level wishes less than this share of its cell, 0 costs least."""


@dataclass(frozen=True, slots=True)
class Octaves:
    """The octaves of each channel, coarsest first: (J, C), J the most that a channel has.

    octave: NOT_SENT where there is none. width: of its cells. centre: where in a cell a value is decoded.
    weight, price: sums over its levels, of the square and of a bit. share: (K, J, C), of each level in
    the weight.
    """

    octave: NDArray[np.int16]
    width: Array
    centre: Array
    weight: Array
    price: Array
    share: Array

    @staticmethod
    def of(table: LevelTable, centre: Array, weight: Array, price: Array) -> Octaves:
        """centre: (K, C). weight, price: (K,), by level, of a square and of a bit."""
        levels, channels = table.octaves.shape
        lists = [sorted(set(column) - {NOT_SENT}) for column in table.octaves.T.tolist()]
        octave = np.full((max(1, *map(len, lists)), channels), NOT_SENT, np.int16)
        for channel, known in enumerate(lists):
            octave[: len(known), channel] = known
        at = (table.octaves[:, None] == octave) & (octave != NOT_SENT)
        parts = np.where(at, weight[:, None, None], 0)
        total = parts.sum(0)
        share = (parts / np.where(total == 0, 1, total)).astype(np.float32)
        unit = np.where(octave == NOT_SENT, np.inf, np.ldexp(table.unit, -octave.astype(np.int32)))
        return Octaves(
            octave,
            unit.astype(np.float32),
            (share * centre[:, None]).sum(0),
            total.astype(np.float32),
            np.where(at, price[:, None, None], 0).sum(0).astype(np.float32),
            share,
        )


@dataclass(frozen=True, slots=True)
class Bits:
    """What decisions cost by class, (256,): leave: cell 0 (with half of what both signs cost), less staying;
    side: half of what the sign + costs, less -; outer: the outer half of a cell, less the inner."""

    leave: Array
    side: Array
    outer: Array

    @staticmethod
    def of(ones: dict[str, NDArray[np.int64]]) -> Bits:
        """ones: frequencies of symbol 1 by class of `zero`, `sign` and `inner`."""

        def dearer(name: str) -> tuple[Array, Array]:
            share = np.full(256, 0.5)
            share[: len(ones[name])] = ones[name] / TOTAL
            one, other = -np.log2(share), -np.log2(1 - share)
            return (one - other).astype(np.float32), ((one + other) / 2).astype(np.float32)

        leave, side, outer = dearer("zero")[0], dearer("sign"), dearer("inner")[0]
        return Bits(leave, side[0] / 2, np.clip(outer, *OUTER))


def chosen(
    wishes: Array, classes: NDArray[np.uint8], cells: Cells, octaves: Octaves, bits: Bits
) -> Cells:
    """Cells at the last level that cost least.

    wishes: float32 (J, C, h, w); classes: uint8 (3, J, C, h, w): zero, sign, inner; cells: those that a
    better choice replaces.
    """
    out = cells.copy()
    for channel, now in enumerate(cells):
        sent = octaves.octave[:, channel] != NOT_SENT
        if sent.any():
            here = Channel.of(octaves, sent, channel)
            flat = (a[..., sent, channel, :, :] for a in (wishes, classes))
            _choose(*flat, now.reshape(-1), here, bits, out[channel].reshape(-1))
    return out


@dataclass(frozen=True, slots=True)
class Channel:
    """The octaves of one channel: each (J, 1). shift: octaves to the last one."""

    shift: NDArray[np.int16]
    width: Array
    centre: Array
    weight: Array
    price: Array

    @staticmethod
    def of(octaves: Octaves, sent: NDArray[np.bool_], channel: int) -> Channel:
        octave = octaves.octave[sent, channel]
        rest = (octaves.width, octaves.centre, octaves.weight, octaves.price)
        return Channel(
            (octave[-1] - octave)[:, None], *(a[sent, channel][:, None] for a in rest)
        )


def _choose(
    wishes: Array,
    classes: NDArray[np.uint8],
    now: Cells,
    here: Channel,
    bits: Bits,
    out: Cells,
) -> None:
    """For one channel: wishes (J, h, w), classes (3, J, h, w); `out` (h w) is written over."""
    count = len(here.shift)
    wishes, classes = wishes.reshape(count, -1), classes.reshape(3, count, -1)
    open_ = (np.abs(wishes) >= HOPELESS * here.width).any(0)
    open_ |= now != 0
    places = np.flatnonzero(open_)
    if not len(places):
        return
    wished = wishes[:, places]
    zero, sign, inner = classes[:, :, places]
    leave, side, outer = bits.leave[zero] + 1, bits.side[sign], bits.outer[inner]
    best = now[places].astype(np.int32)
    least = _cost(best, wished, leave, side, outer, here)
    for one in _candidates(wished, here):
        cost = _cost(one, wished, leave, side, outer, here)
        better = cost < least
        np.copyto(best, one, where=better)
        np.copyto(least, cost, where=better)
    out[places] = best


def _candidates(wished: Array, here: Channel) -> Sequence[NDArray[np.int32]]:
    """Where the last level wishes it, and both sides of the cells' edges next to each level's wish."""
    size = np.abs(wished)
    most = float(MOST)
    found = [np.copysign(np.minimum(size[-1] / here.width[-1], most), wished[-1]).astype(np.int32)]
    edge = np.clip(np.rint(size / here.width), 1, most).astype(np.int32) << here.shift
    negative = wished < 0
    for number in (edge, edge - 1):
        found += list(np.where(negative, -number, number))
    return found


def _cost(
    cells: NDArray[np.int32], wished: Array, leave: Array, side: Array, outer: Array, here: Channel
) -> Array:
    """float32 (places,), of cells at the last level (places,)."""
    number = np.abs(cells) >> here.shift
    some = number > 0
    sign = np.where(cells < 0, np.float32(-1), np.float32(1))
    value = (number + here.centre) * here.width * some
    value *= sign
    value -= wished
    np.square(value, out=value)
    value *= here.weight
    spent = (number - 1) * outer
    spent += leave
    spent += side * sign
    spent *= some
    spent *= here.price
    value += spent
    total: Array = value.sum(0)
    return total
