"""The integer context network at work: indices decoded so far -> classes of the coming symbols.

Its first layer is a sum over channels, and a pass changes a third of them. So whoever takes one pass after
another (`ContextRunner.incremental`) keeps that sum and adds what is new. All numbers are whole (`integer_network.py`): a
sum carried along is the sum anew.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
from .parallel import threads as chosen
from .tiles import overlapping_strips

STRIP_POSITIONS = 1 << 13
"""Positions that one thread computes at once, behind the entry. Strips overlap by as many rows as the
network looks up and down, so the classes do not depend on this number."""
STRIP_ROWS = 4
"""Rows of a strip, at least."""
SCRATCH_NUMBERS = 1 << 25
"""What all threads hold together behind the entry, 128 MB; wide pictures take fewer threads for it."""
EXIT_POSITIONS = 512
"""Positions whose logits are computed at once: they stay in a core's cache."""

KEPT_POSITIONS = 1 << 17
"""Sums at the entry are held for so many positions, 33 megapixels, in 34 to 50 MB. Of larger pictures they
are made anew at each pass, for as many positions at once."""

Indices = NDArray[np.signedinteger[Any]]


@dataclass(frozen=True, slots=True)
class IncrementalUpdate:
    """What a pass's channels add to the sums at the entry.

    features: float32 (n (2 most + 1), 2), for the indices -most..most of each of n channels value and
    logarithm, less those of the interval before the pass; weights: float32 (2 n, wide).
    """

    features: Array
    weights: Array
    most: int

    def add(self, indices: Indices, at: NDArray[np.intp], rows: slice, sums: Array) -> None:
        """indices: (any, h, w), whole numbers, those of the channels at `at` (n,); sums: (h, w, wide)."""
        count, across, wide = len(at), indices.shape[2], sums.shape[2]
        first = np.arange(count) * (2 * self.most + 1) + self.most
        for block in blocks(rows, 2 * max(1, count) * across):
            here = indices[at, block].reshape(count, (block.stop - block.start) * across)
            here = here.clip(-self.most, self.most)
            seen = scratch("seen", here.shape[1], count, 2)
            np.take(self.features, here.T + first, axis=0, out=seen, mode="clip")
            more = scratch("more", len(seen), wide)
            np.matmul(seen.reshape(len(seen), 2 * count), self.weights, out=more)
            sums[block] += more.reshape(-1, across, wide)


class ContextRunner:
    """The context network of weights, ready to code with.

    reach: whole float (C,); logs: whole float (256,); passes: depths (S + 1, C) of the step-size table.
    Raises ResourceError if this machine does not compute whole numbers exactly.
    """

    def __init__(
        self, weights: ContextWeights[Array], reach: Array, logs: Array, passes: NDArray[np.int8]
    ) -> None:
        check_machine()
        own = scaled(weights)
        wide, count = len(own.entry), len(reach)
        self._entry = own.entry.reshape(wide, 2, count).transpose(2, 1, 0)
        self._entry_bias, self._mid_bias = own.entry_bias, own.mid_bias
        self._mid = [kernel(w) for w in own.mid]
        self._back = [np.ascontiguousarray(w.reshape(wide, wide).T) for w in own.back]
        self._exit = own.exit.reshape(len(RANGES), count, wide)
        self._exit_bias = own.exit_bias.reshape(-1, len(RANGES), count)
        self._reach, self._logs, self._pass_depths = (
            v.astype(np.int32) for v in (reach, logs, passes)
        )
        self._features: dict[int, Array] = {}
        self._updates: dict[int, IncrementalUpdate] = {}

    def context_classes(
        self, indices: Indices, coding_pass: int, channels: NDArray[np.intp], threads: int = 0
    ) -> NDArray[np.uint8]:
        """uint8 (3, len(channels), h, w): classes for SIGNIFICANCE, SIGN and REFINEMENT of the coming pass.

        indices: (C, h, w) before the pass; channels: those that the pass refines; threads: see `thread_team`.
        """
        height, width = indices.shape[1:]
        out = np.empty((len(RANGES), len(channels), height, width), np.uint8)
        for strip in overlapping_strips(
            height, max(1, KEPT_POSITIONS // max(1, width)), len(self._mid)
        ):
            sums = self.first_layer(indices[:, strip.seen], coding_pass, threads)
            made = self.classes_from_sums(sums, coding_pass, channels, threads, strip.kept)
            if strip.kept == slice(0, height):
                return made
            out[:, :, strip.own] = made
        return out

    def incremental(self) -> IncrementalContext:
        """Classes of one picture's passes in their order."""
        return IncrementalContext(self)

    def first_layer(self, indices: Indices, coding_pass: int, threads: int = 0) -> Array:
        """Sums at the entry (h, w, wide) of indices before a pass. Channels that are 0 everywhere say
        nothing."""
        busy, most = np.flatnonzero(indices.any((1, 2))), MAGNITUDES - 1
        if coding_pass not in self._features:
            every = np.arange(-most, most + 1)
            depths = self._pass_depths[coding_pass]
            self._features[coding_pass] = feature_table(self._reach, depths, self._logs, every)
        update = self._update_of(busy, self._features[coding_pass][busy], most)
        return self._added(self.empty_sums(*indices.shape[1:]), indices, busy, update, threads)

    def empty_sums(self, height: int, width: int) -> Array:
        """Sums at the entry before anything is decoded."""
        return np.zeros((height, width, self._entry.shape[2]), np.float32)

    def update(self, sums: Array, indices: Indices, coding_pass: int, threads: int = 0) -> Array:
        """Sums before a pass, which are written over -> those behind it. indices: those of `refined_channels`."""
        if coding_pass not in self._updates:
            channels = self.refined_channels(coding_pass)
            depths = (
                self._pass_depths[coding_pass][channels],
                self._pass_depths[coding_pass + 1][channels],
            )
            self._updates[coding_pass] = self._between(channels, *depths)
        return self._added(
            sums, indices, np.arange(len(indices)), self._updates[coding_pass], threads
        )

    def refined_channels(self, coding_pass: int) -> NDArray[np.intp]:
        """The channels whose indices a pass changes."""
        return np.flatnonzero(self._pass_depths[coding_pass + 1] > self._pass_depths[coding_pass])

    def classes_from_sums(
        self,
        sums: Array,
        coding_pass: int,
        channels: NDArray[np.intp],
        threads: int = 0,
        kept: slice | None = None,
    ) -> NDArray[np.uint8]:
        """What `context_classes` gives, from the sums at the entry, for some rows of them (None: all). Each band
        is computed from there to the end by one thread, with the rows above and below that it sees."""
        height, width, wide = sums.shape
        first, last, _ = (kept or slice(None)).indices(height)
        out = np.empty((len(RANGES), len(channels), last - first, width), np.uint8)
        exits = self._exits(coding_pass, channels)
        halo, most = len(self._mid), max(STRIP_ROWS, STRIP_POSITIONS // max(1, width))
        parts = [
            slice(top + band.start, top + band.stop)
            for top in range(first, last, most)
            for band in bands(min(most, last - top), width)
        ]

        def work(rows: slice) -> None:
            top, end = max(0, rows.start - halo), min(height, rows.stop + halo)
            x = scratch("entered", end - top, width, wide)
            np.add(sums[top:end], self._entry_bias[coding_pass], out=x)
            np.floor(x, out=x)
            for block in range(halo):  # what lies at a cut edge is not computed further
                lost = block + 1
                inside = slice(lost * (top > 0), end - top - lost * (end < height))
                x = self._block(x, block, coding_pass, inside)
            there = out[:, :, rows.start - first : rows.stop - first]
            exits(x[rows.start - top : rows.stop - top], there)

        own = 3 * (min(most, height) + 2 * halo) * width * wide
        with thread_team(min(threads or chosen(), max(1, SCRATCH_NUMBERS // own))) as each:
            each(work, parts)
        return out

    def _between(
        self, channels: NDArray[np.intp], before: NDArray[np.int32], after: NDArray[np.int32]
    ) -> IncrementalUpdate:
        """What channels add that go from some depths, or from nothing, to others one bit plane finer."""
        most = 2 * MAGNITUDES - 1
        index, reach, sent = np.arange(-most, most + 1), self._reach[channels], before >= 0
        parent = np.sign(index) * (np.abs(index) >> 1)
        new = feature_table(reach, after, self._logs, index)
        new[sent] -= feature_table(reach[sent], before[sent], self._logs, parent)
        return self._update_of(channels, new, most)

    def _update_of(
        self, channels: NDArray[np.intp], features: Array, most: int
    ) -> IncrementalUpdate:
        """features: (n, 2 most + 1, 2)."""
        weights = self._entry[channels].reshape(2 * len(channels), self._entry.shape[2])
        return IncrementalUpdate(features.reshape(-1, 2), weights, most)

    def _added(
        self,
        sums: Array,
        indices: Indices,
        at: NDArray[np.intp],
        update: IncrementalUpdate,
        threads: int,
    ) -> Array:
        with thread_team(threads) as each:
            each(lambda rows: update.add(indices, at, rows, sums), bands(*sums.shape[:2]))
        return sums

    def _block(self, x: Array, block: int, coding_pass: int, rows: slice) -> Array:
        """Some rows of what a block makes of (rows, w, wide)."""
        mid, bias, back = self._mid[block], self._mid_bias[block][coding_pass], self._back[block]
        out = scratch(f"block {block % 2}", *x.shape)
        for here, h in convolved(x, mid, rows, most=ACTIVATION_MAX):
            h += bias
            np.floor(h, out=h)
            np.clip(h, 0, ACTIVATION_MAX, out=h)
            more = out[here].reshape(h.shape)
            np.matmul(h, back, out=more)
            more += np.float32(0.5)
            np.floor(more, out=more)
            more += x[here].reshape(h.shape)
        return out

    def _exits(
        self, coding_pass: int, channels: NDArray[np.intp]
    ) -> Callable[[Array, NDArray[np.uint8]], None]:
        """The last activations -> classes of the refined channels, (3, len(channels), rows, w)."""
        kinds, count = len(RANGES), len(channels)
        weights = self._exit[:, channels].reshape(kinds * count, self._exit.shape[2])
        offsets = np.array([kind.offset for kind in RANGES], np.float32)[:, None]
        bias = (self._exit_bias[coding_pass][:, channels] + offsets).reshape(-1, 1)

        def work(x: Array, out: NDArray[np.uint8]) -> None:
            for block in blocks(slice(0, len(x)), x.shape[1], EXIT_POSITIONS):
                active = scratch("active", *x[block].shape)
                np.clip(x[block], 0, ACTIVATION_MAX, out=active)
                flat = active.reshape(-1, x.shape[2])
                places = scratch("places", kinds * count, len(flat))
                np.matmul(weights, flat.T, out=places)
                places += bias
                by_kind = places.reshape(kinds, count, len(flat))
                for kind, place, there in zip(RANGES, by_kind, out[:, :, block], strict=True):
                    np.clip(place, 0, kind.count - CLASS_WIDTH, out=place)
                    # what is left loses its fraction in 8 bits
                    np.copyto(there, place.reshape(there.shape), casting="unsafe")

        return work


class IncrementalContext:
    """Context classes (`ContextRunner.context_classes`) for one picture, where each pass's indices are those of the
    pass before but for the channels that it refined. Any first pass, any jump and any pass of a large
    picture begins anew."""

    def __init__(self, context_runner: ContextRunner) -> None:
        self._runner, self._pass = context_runner, -1
        self._sums: Array | None = None

    def __call__(
        self, indices: Indices, coding_pass: int, channels: NDArray[np.intp]
    ) -> NDArray[np.uint8]:
        if indices[0].size > KEPT_POSITIONS:
            return self._runner.context_classes(indices, coding_pass, channels)
        sums, self._sums = self._sums, None  # nothing half done is gone on with
        if sums is None or coding_pass != self._pass + 1:
            sums = self._runner.first_layer(indices, coding_pass)
        else:
            changed = indices[self._runner.refined_channels(self._pass)]
            sums = self._runner.update(sums, changed, self._pass)
        self._sums, self._pass = sums, coding_pass
        return self._runner.classes_from_sums(sums, coding_pass, channels)
