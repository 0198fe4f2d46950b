"""The context network on a CPU with NumPy: context classes of the symbols of one coding pass.

Whole numbers throughout (integer_network.py). The sums of its first layer are kept from pass to pass: a pass
changes a few channels at some positions, and only what these say is added anew. One convolution follows, at
the positions alone that the pass codes, so the phases of a group together cost what one pass over all
positions does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..quantization.passes import CodingPass, Lattice
from ..quantization.step_sizes import NOT_SENT
from .convolution import Array, blocks, convolved, kernel, scratch
from .integer_network import (
    ACTIVATION_MAX,
    CLASS_WIDTH,
    MAGNITUDES,
    RANGES,
    ContextWeights,
    check_machine,
    feature_table,
    scaled,
)
from .parallel import bands, thread_team

OUTPUT_POSITIONS = 512
"""Positions whose logits are computed at once: they stay in a core's cache."""
FEATURE_NUMBERS = 1 << 18
"""Numbers of features that are looked up at once: one megabyte."""

Indices = NDArray[np.signedinteger[Any]]


@dataclass(frozen=True, slots=True)
class IncrementalUpdate:
    """What a pass's channels add to the sums of the first layer.

    features: float32 (R (2 most + 1), 2): for the indices -most..most of each of R channels value and
    logarithm, less those of the index before the pass; weights: float32 (2 R, width).
    """

    features: Array
    weights: Array
    most: int

    def added(self, indices: Indices) -> Array:
        """indices: (R, n), behind the pass -> (n, width)."""
        count = len(indices)
        first = np.arange(count) * (2 * self.most + 1) + self.most
        at = indices.clip(-self.most, self.most).T + first
        seen = scratch("seen", len(at), count, 2)
        np.take(self.features, at, axis=0, out=seen, mode="clip")
        more = scratch("more", len(at), self.weights.shape[1])
        np.matmul(seen.reshape(len(at), 2 * count), self.weights, out=more)
        return more


class ContextRunner:
    """The context network of a model, ready to code with.

    reach: whole float (C,); logs: whole float (256,). Raises ResourceError if this machine does not compute
    whole numbers exactly.
    """

    def __init__(
        self,
        weights: ContextWeights[Array],
        reach: Array,
        logs: Array,
        passes: tuple[CodingPass, ...],
    ) -> None:
        check_machine()
        own = scaled(weights)
        self._width, count = len(own.entry), len(reach)
        self._entry = own.entry.reshape(self._width, 2, count).transpose(2, 1, 0)
        self._entry_bias, self._mid_bias = own.entry_bias, own.mid_bias
        self._mid = kernel(own.mid)
        self._taps = self._mid.reshape(-1, self._mid.shape[2])
        self._back = np.ascontiguousarray(own.back.reshape(self._width, -1).T)
        self._exit = own.exit.reshape(len(RANGES), count, self._width)
        self._exit_bias = own.exit_bias.reshape(-1, len(RANGES), count)
        self._reach, self._logs = reach.astype(np.int32), logs.astype(np.int32)
        self.passes = passes
        self._updates: dict[int, IncrementalUpdate] = {}

    def incremental(self) -> IncrementalContext:
        """Classes of one picture's passes in their order."""
        return IncrementalContext(self)

    def first_layer(self, indices: Indices, depths: NDArray[np.int8], threads: int = 0) -> Array:
        """Sums of the first layer (h, w, width). indices: (C, h, w) at `depths` (C,). Channels that are 0
        everywhere say nothing."""
        sums = np.zeros((*indices.shape[1:], self._width), np.float32)
        channels = np.flatnonzero(indices.any((1, 2)))
        if not len(channels):
            return sums
        none = np.full(len(channels), NOT_SENT, np.int32)
        update = self._between(channels, none, depths[channels].astype(np.int32))
        self._add(update, indices[channels], (), sums, threads)
        return sums

    def update(self, sums: Array, indices: Indices, number: int, threads: int = 0) -> None:
        """Sums before a pass become those behind it, in place. indices: (R, h, w), of its channels behind
        the pass; at positions of other phases they may be anything."""
        one = self.passes[number]
        key = number - one.phase
        if key not in self._updates:
            before, after = (d[one.channels].astype(np.int32) for d in (one.before, one.after))
            self._updates[key] = self._between(one.channels, before, after)
        self._add(self._updates[key], indices, one.lattices, sums, threads)

    def context_classes(self, sums: Array, number: int, threads: int = 0) -> NDArray[np.uint8]:
        """uint8 (3, R, n): classes of significance, sign and refinement for the channels and positions of
        a pass, these in the order of `passes.gather`."""
        height, width = sums.shape[:2]
        one = self.passes[number]
        bias = self._bias(number, width)
        outputs = self._outputs(number)
        parts: list[tuple[Lattice | None, int, slice]] = []
        start = 0
        for lattice in one.lattices or (None,):
            rows, across = sampled(height, width, lattice)
            if rows * across:
                firsts = bands(rows, across)
                parts += [(lattice, start + band.start * across, band) for band in firsts]
            start += rows * across
        out = np.empty((len(RANGES), len(one.channels), start), np.uint8)

        def work(number_of_part: slice) -> None:
            lattice, first, band = parts[number_of_part.start]
            if lattice is None:
                hidden = self._everywhere(sums, bias, band, number)
            else:
                hidden = self._at(sums, bias, lattice, band, number)
            for active in hidden:
                outputs(active, out[:, :, first : first + len(active)])
                first += len(active)

        with thread_team(threads) as each:
            each(work, [slice(i, i + 1) for i in range(len(parts))])
        return out

    def _between(
        self, channels: NDArray[np.intp], before: NDArray[np.int32], after: NDArray[np.int32]
    ) -> IncrementalUpdate:
        """What channels add that go from some depths, or from nothing, to others; sent ones by one bit
        plane."""
        sent = before >= 0
        most = 2 * MAGNITUDES - 1 if sent.any() else MAGNITUDES - 1
        index, reach = np.arange(-most, most + 1), self._reach[channels]
        parent = np.sign(index) * (np.abs(index) >> 1)
        new = feature_table(reach, after, self._logs, index)
        new[sent] -= feature_table(reach[sent], before[sent], self._logs, parent)
        weights = self._entry[channels].reshape(2 * len(channels), self._width)
        return IncrementalUpdate(new.reshape(-1, 2), weights, most)

    def _add(
        self,
        update: IncrementalUpdate,
        indices: Indices,
        lattices: tuple[Lattice, ...],
        sums: Array,
        threads: int,
    ) -> None:
        numbers = 2 * max(1, len(indices))
        with thread_team(threads) as each:
            for lattice in lattices or (None,):
                here, there = indices, sums
                if lattice is not None:
                    y, x = lattice
                    here, there = indices[:, y::2, x::2], sums[y::2, x::2]
                if not there.size:
                    continue

                def add(rows: slice, here: Indices = here, there: Array = there) -> None:
                    for block in blocks(rows, numbers * here.shape[2], FEATURE_NUMBERS):
                        flat = here[:, block].reshape(len(here), -1)
                        there[block] += update.added(flat).reshape(there[block].shape)

                each(add, bands(*here.shape[1:]))

    def _bias(self, number: int, width: int) -> Array:
        """(2, width of the picture, width) of even and odd rows: positions that earlier phases of the group
        have coded have a bias of their own."""
        one = self.passes[number]
        pending, coded = self._entry_bias[number]
        rows = np.empty((2, width, self._width), np.float32)
        for y in range(2):
            for x in range(2):
                rows[y, x::2] = coded if (y, x) in one.coded else pending
        return rows

    def _entered(self, sums: Array, bias: Array, top: int, end: int) -> Array:
        """Rounded activations of rows top..end, held in 0..255."""
        x = scratch("entered", end - top, *sums.shape[1:])
        for odd in range(2):
            np.add(sums[top + odd : end : 2], bias[(top + odd) % 2], out=x[odd::2])
        np.floor(x, out=x)
        return np.clip(x, 0, ACTIVATION_MAX, out=x)

    def _everywhere(self, sums: Array, bias: Array, band: slice, number: int) -> Iterator[Array]:
        """Last activations (n, width) of some rows, block by block."""
        top, end = max(0, band.start - 1), min(len(sums), band.stop + 1)
        x = self._entered(sums, bias, top, end)
        inside = slice(band.start - top, band.stop - top)
        for rows, h in convolved(x, self._mid, inside):
            yield self._residual(h, x[rows].reshape(-1, self._width), number)

    def _at(
        self, sums: Array, bias: Array, lattice: Lattice, band: slice, number: int
    ) -> Iterator[Array]:
        """The same at one lattice. band: rows of the lattice."""
        (y, x0), (height, width) = lattice, sums.shape[:2]
        across = len(range(x0, width, 2))
        for block in blocks(band, across * len(self._taps)):
            first, last = 2 * block.start + y, 2 * (block.stop - 1) + y
            top, end = max(0, first - 1), min(height, last + 2)
            x = self._entered(sums, bias, top, end)
            wide = scratch("widened", last - first + 3, width + 2, self._width)
            wide[:, 0] = wide[:, -1] = 0
            if first == 0:
                wide[0] = 0
            if last == height - 1:
                wide[-1] = 0
            wide[top - first + 1 : end - first + 1, 1:-1] = x
            rows = block.stop - block.start
            taps = scratch("taps 2", rows, across, 9, self._width)
            for tap in range(9):
                dy, dx = divmod(tap, 3)
                seen = wide[dy : dy + 2 * rows - 1 : 2, x0 + dx : x0 + dx + 2 * across - 1 : 2]
                taps[:, :, tap] = seen
            flat = taps.reshape(rows * across, -1)
            h = scratch("total", len(flat), self._taps.shape[1])
            np.matmul(flat, self._taps, out=h)
            yield self._residual(h, flat[:, 4 * self._width : 5 * self._width], number)

    def _residual(self, h: Array, x: Array, number: int) -> Array:
        """x plus what the block adds, held in 0..255; h: sums of its convolution, written over."""
        h += self._mid_bias[number]
        np.floor(h, out=h)
        np.clip(h, 0, ACTIVATION_MAX, out=h)
        more = scratch("active", len(h), self._width)
        np.matmul(h, self._back, out=more)
        more += np.float32(0.5)
        np.floor(more, out=more)
        more += x
        return np.clip(more, 0, ACTIVATION_MAX, out=more)

    def _outputs(self, number: int) -> Callable[[Array, NDArray[np.uint8]], None]:
        """Last activations (n, width) -> classes (3, R, n)."""
        channels = self.passes[number].channels
        kinds, count = len(RANGES), len(channels)
        weights = self._exit[:, channels].reshape(kinds * count, self._width)
        offsets = np.array([kind.offset for kind in RANGES], np.float32)[:, None]
        bias = (self._exit_bias[number][:, channels] + offsets).reshape(-1, 1)

        def work(active: Array, out: NDArray[np.uint8]) -> None:
            for start in range(0, len(active), OUTPUT_POSITIONS):
                flat = active[start : start + OUTPUT_POSITIONS]
                places = scratch("places", kinds * count, len(flat))
                np.matmul(weights, flat.T, out=places)
                places += bias
                by_kind = places.reshape(kinds, count, len(flat))
                there = out[:, :, start : start + len(flat)]
                for kind, place, row in zip(RANGES, by_kind, there, strict=True):
                    np.clip(place, 0, kind.count - CLASS_WIDTH, out=place)
                    np.copyto(row, place, casting="unsafe")  # the fraction falls away

        return work


def sampled(height: int, width: int, lattice: Lattice | None) -> tuple[int, int]:
    """Rows and columns of a lattice in a picture of so many positions."""
    if lattice is None:
        return height, width
    return len(range(lattice[0], height, 2)), len(range(lattice[1], width, 2))


class IncrementalContext:
    """Context classes of one picture, pass after pass. It keeps the sums of the first layer; the first pass
    that it is asked for, and any that does not follow the one before, must be the first of its group."""

    def __init__(self, network: ContextRunner) -> None:
        self._network, self._next = network, 0
        self._sums: Array | None = None

    def __call__(self, indices: Indices, number: int) -> NDArray[np.uint8]:
        """Classes of pass `number`. indices: (C, h, w), what is decoded before it."""
        network, sums = self._network, self._sums
        self._sums = None  # nothing half done is gone on with
        if sums is None or number != self._next:
            sums = network.first_layer(indices, network.passes[number].before)
        elif number:
            network.update(sums, indices[network.passes[number - 1].channels], number - 1)
        self._sums, self._next = sums, number + 1
        return network.context_classes(sums, number)
