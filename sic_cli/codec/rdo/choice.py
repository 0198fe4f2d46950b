"""Which interval each latent had best be in, when every level has a target for it.

A latent's interval at the last level decides its indices at all others. What a choice costs is the sum over the
levels of (value that it is decoded to - value that the level aims at)^2 plus lambda times its bits there, by the real
frequency tables of the classes that its neighbours give it. A channel's indices are the same at all levels
of one depth, so the sum goes over depths.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..entropy.tables import TOTAL
from ..inference.convolution import Array
from ..quantization.dead_zone import Indices, largest
from ..quantization.step_sizes import NOT_SENT, StepSizes

REFINEMENT_BITS = (0.07, 11.5)
"""Bits that one interval farther out may cost."""
HOPELESS = 0.6
"""Where the target of every level is less than this share of its interval, 0 costs least."""


@dataclass(frozen=True, slots=True)
class Depths:
    """The depths of each channel, coarsest first: (J, C), J the most that a channel has.

    depth: NOT_SENT where there is none. width: its step size. reconstruction_offset: where in an interval a value is decoded.
    weight, lambda_: sums over its levels, of the square and of a bit. share: (K, J, C), of each level in
    the weight. most: (C,), the largest index at the last level.
    """

    depth: NDArray[np.int16]
    width: Array
    reconstruction_offset: Array
    weight: Array
    lambda_: Array
    share: Array
    most: NDArray[np.int32]

    @staticmethod
    def of(
        table: StepSizes,
        reconstruction_offset: Array,
        weight: NDArray[np.float64],
        lambda_: NDArray[np.float64],
    ) -> Depths:
        """reconstruction_offset: (K, C). weight, lambda_: (K,), by level, of a square and of a bit."""
        channels = table.channels
        lists = [sorted(set(column) - {NOT_SENT}) for column in table.depths.T.tolist()]
        depth = np.full((max(1, *map(len, lists)), channels), NOT_SENT, np.int16)
        for channel, known in enumerate(lists):
            depth[: len(known), channel] = known
        at = (table.depths[:, None] == depth) & (depth != NOT_SENT)
        parts = np.where(at, weight[:, None, None], 0)
        total = parts.sum(0)
        share = (parts / np.where(total == 0, 1, total)).astype(np.float32)
        unit = np.where(depth == NOT_SENT, np.inf, np.ldexp(table.unit, -depth.astype(np.int32)))
        return Depths(
            depth,
            unit.astype(np.float32),
            (share * reconstruction_offset[:, None]).sum(0),
            total.astype(np.float32),
            np.where(at, lambda_[:, None, None], 0).sum(0).astype(np.float32),
            share,
            largest(table),
        )


@dataclass(frozen=True, slots=True)
class Bits:
    """What decisions cost more than their contraries, by class, (256,): significance: to leave the dead zone, and a bit
    for the sign; sign_cost: half of what + costs more than -; refinement: the outer half of an interval."""

    significance: Array
    sign_cost: Array
    refinement: Array

    @staticmethod
    def of(ones: dict[str, NDArray[np.int64]]) -> Bits:
        """ones: frequencies of symbol 1 by class of `significance`, `sign` and `refinement`."""

        def dearer(name: str) -> Array:
            share = np.full(256, 0.5)
            share[: len(ones[name])] = ones[name] / TOTAL
            ratio: NDArray[np.float64] = np.log2((1 - share) / share)
            return ratio.astype(np.float32)

        half, low, high = np.float32(0.5), *map(np.float32, REFINEMENT_BITS)
        refinement = np.minimum(np.maximum(dearer("refinement"), low), high)
        return Bits(dearer("significance") + 1, dearer("sign") * half, refinement)


def choose_indices(
    target_latents: Array,
    count: int,
    classes: NDArray[np.uint8],
    indices: Indices,
    depths: Depths,
    bits: Bits,
) -> Indices:
    """Indices at the last level that cost least.

    target_latents: float32 (J, C, h, w), sums of `count`; classes: uint8 (3, J, C, h, w): significance, sign, refinement; indices: those that a
    better choice replaces.
    """
    out = indices.copy()
    for channel, now in enumerate(indices):
        sent = depths.depth[:, channel] != NOT_SENT
        if sent.any():
            here = Channel.of(depths, sent, channel, int(np.iinfo(out.dtype).max))
            targets, seen = (
                target_latents[sent, channel] / np.float32(count),
                classes[:, sent, channel],
            )
            _choose_of_channel(targets, seen, now.reshape(-1), here, bits, out[channel].reshape(-1))
    return out


@dataclass(frozen=True, slots=True)
class Channel:
    """The depths of one channel: each (J, 1). shift: depths to the last one; most: the largest interval."""

    shift: NDArray[np.int16]
    width: Array
    reconstruction_offset: Array
    weight: Array
    lambda_: Array
    most: int

    @staticmethod
    def of(depths: Depths, sent: NDArray[np.bool_], channel: int, most: int) -> Channel:
        depth = depths.depth[sent, channel]
        rest = (depths.width, depths.reconstruction_offset, depths.weight, depths.lambda_)
        width, reconstruction_offset, weight, lambda_ = (a[sent, channel][:, None] for a in rest)
        shift = (depth[-1] - depth)[:, None]
        largest_here = min(most, int(depths.most[channel]))
        return Channel(shift, width, reconstruction_offset, weight, lambda_, largest_here)


def _choose_of_channel(
    target_latents: Array,
    classes: NDArray[np.uint8],
    now: Indices,
    here: Channel,
    bits: Bits,
    out: Indices,
) -> None:
    """For one channel: target_latents (J, h, w), classes (3, J, h, w); `out` (h w) is written over."""
    count = len(here.shift)
    target_latents, classes = target_latents.reshape(count, -1), classes.reshape(3, count, -1)
    open_ = (np.abs(target_latents) >= HOPELESS * here.width).any(0)
    open_ |= now != 0
    places = np.flatnonzero(open_)
    if not len(places):
        return
    targets = target_latents[:, places]
    significance_class, sign_class, refinement_class = classes[:, :, places]
    significance, sign_cost, refinement = (
        bits.significance[significance_class],
        bits.sign_cost[sign_class],
        bits.refinement[refinement_class],
    )
    numbers = _candidates(now[places], targets, here)
    best = _costs(numbers, targets, significance, sign_cost, refinement, here).argmin(0)
    out[places] = numbers[best, np.arange(len(places))]


def _candidates(now: Indices, targets: Array, here: Channel) -> NDArray[np.int32]:
    """(2 J + 2, places): what is chosen now, the target of the last level, and both sides of the intervals'
    edges next to the target of each level."""
    indices = np.minimum(np.abs(targets) / here.width, np.float32(here.most))
    edge = np.maximum(np.rint(indices), 1).astype(np.int64) << here.shift
    count, sign = len(targets), np.where(targets < 0, -1, 1)
    found = np.empty((2 * count + 2, len(now)), np.int64)
    found[0], found[1] = now, indices[-1].astype(np.int64) * sign[-1]
    for rows, number in ((found[2 : count + 2], edge), (found[count + 2 :], edge - 1)):
        np.multiply(np.minimum(number, here.most), sign, out=rows)
    return found.astype(np.int32)


def _costs(
    indices: NDArray[np.int32],
    targets: Array,
    significance: Array,
    sign_cost: Array,
    refinement: Array,
    here: Channel,
) -> Array:
    """What each of several indices at the last level costs, float32; both (several, places)."""
    number = (np.abs(indices)[:, None] >> here.shift).astype(np.float32)
    sign = np.sign(indices).astype(np.float32)[:, None]
    some = number > 0
    value = number + here.reconstruction_offset
    value *= here.width
    value *= some
    value *= sign
    value -= targets
    value *= value
    value *= here.weight
    number -= 1
    number *= refinement
    number += significance
    number += sign_cost * sign
    number *= some
    number *= here.lambda_
    value += number
    total: Array = value.sum(1)
    return total
