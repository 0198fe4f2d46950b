"""Analysis and synthesis on the CPU, with NumPy: the networks of `networks/transforms.py`, in few passes.

Pictures are float32 (rows, across, channels), computed in bands (`parallel.py`). Weights are put into the
order in which memory is read, and what follows a product is done while its block is in the cache.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .config import PATCH, STRIDE, ModelConfig
from .convolution import Array, blocks, convolved, kernel, scratch
from .parallel import Each, bands, thread_team
from .tiles import cut, scaled

PIXEL_SCALE = 64.0
"""Networks see pixels and give corrections in units of this many grey levels."""
MIDDLE = 127.5
FINE = 4
"""Pixels in each direction for one position of the synthesis's head."""
HEAD_PIXELS = 3 * FINE**2
"""Values of those pixels."""
HEAD_POSITIONS = 1 << 13
"""Latent positions whose pixels the head makes together, at 7 kB each, so that much of it
stays in the cache that cores share."""
FARTHEST = np.float32(3)
"""Latents in units of the step size are seen up to here."""

Arrays = dict[str, NDArray[np.floating]]
"""Parameters of a network by the names that they have in training."""


Shapes = dict[str, tuple[int, ...]]


def analysis_shapes(config: ModelConfig) -> Shapes:
    """The shape of each parameter of the analysis."""
    wide, channels = config.width, config.channels
    return {
        "linear": (channels, PATCH),
        "scale": (channels,),
        **_layer("entry", wide, PATCH, 1),
        **_layer("exit", channels, wide, 1),
        **_block_shapes(config, 1),
    }


def synthesis_shapes(config: ModelConfig) -> Shapes:
    """The shape of each parameter of the synthesis."""
    wide, channels, head = config.width, config.channels, config.head_width
    return {
        "linear": (PATCH, channels),
        "scale": (channels,),
        "entry_level": (config.levels, wide),
        "head_gain": (config.levels, head),
        **_layer("entry", wide, 2 * channels, 1),
        **_layer("exit", PATCH + 16 * config.head_features, wide, 1),
        **_layer("head_in", head, HEAD_PIXELS + config.head_features, 3),
        **_layer("head_out", HEAD_PIXELS, head, 3),
        **_block_shapes(config, config.levels),
    }


def _layer(name: str, outputs: int, inputs: int, size: int) -> Shapes:
    return {f"{name}.weight": (outputs, inputs, size, size), f"{name}.bias": (outputs,)}


def _block_shapes(config: ModelConfig, gains: int) -> Shapes:
    shapes: Shapes = {}
    for index in range(config.blocks):
        for name in ("first", "second"):
            shapes |= _layer(f"blocks.{index}.{name}", config.width, config.width, 3)
        shapes[f"blocks.{index}.gain"] = (gains, config.width)
    return shapes


class AnalysisRunner:
    """Pixels -> latent."""

    def __init__(self, arrays: Arrays, config: ModelConfig) -> None:
        self._blocks = [BlockRunner(arrays, i) for i in range(config.blocks)]
        entry, exit = (single(arrays[f"{name}.weight"]) for name in ("entry", "exit"))
        scale = whole(arrays["scale"])
        inner = entry / PIXEL_SCALE
        self._both = in_reading_order(np.concatenate([inner, whole(arrays["linear"])]))
        self._entry_bias = whole(arrays["entry.bias"])
        self._exit = np.ascontiguousarray((exit * scale[:, None]).T)
        self._exit_bias = whole(arrays["exit.bias"]) * scale

    def __call__(self, pixels: NDArray[np.uint8]) -> Array:
        """pixels: uint8 (H, W, 3), sides multiples of 16 -> float32 (C, H/16, W/16)."""
        rows, across = (side // STRIDE for side in pixels.shape[:2])
        wide, channels = self._exit.shape
        parts = bands(rows, across)
        x = np.empty((rows, across, wide), np.float32)
        straight = np.empty((rows, across, channels), np.float32)
        latent = np.empty((channels, rows, across), np.float32)

        def first_layer(band: slice) -> None:
            for block, patches in patches_of(pixels, band):
                both = scratch("both", len(patches), wide + channels)
                np.matmul(patches, self._both, out=both)
                np.add(both[:, :wide], self._entry_bias, out=x[block].reshape(-1, wide))
                straight[block].reshape(-1, channels)[:] = both[:, wide:]

        def last_layer(band: slice) -> None:
            for block in blocks(band, across * channels):
                h = x[block].reshape(-1, wide) @ self._exit
                h += self._exit_bias
                h += straight[block].reshape(-1, channels)
                latent[:, block] = h.T.reshape(channels, -1, across)

        with thread_team() as each:
            each(first_layer, parts)
            for one in self._blocks:
                x = one(x, 1, each, parts)
            each(last_layer, parts)
        return latent


class SynthesisRunner:
    """Latent -> pixels."""

    def __init__(self, arrays: Arrays, config: ModelConfig) -> None:
        self.blocks = [BlockRunner(arrays, i) for i in range(config.blocks)]
        channels = config.channels
        entry, self._scale = single(arrays["entry.weight"]), whole(arrays["scale"])
        self._entry = np.ascontiguousarray(entry.T)
        self._entry_bias = whole(arrays["entry.bias"]) + whole(arrays["entry_level"])
        # the exit's rows: by position of the head, and there its pixels, then its features
        exit, bias = single(arrays["exit.weight"]), whole(arrays["exit.bias"])
        straight = whole(arrays["linear"]) / PIXEL_SCALE
        order = head_order(config.head_features)
        zeros = np.zeros((len(exit) - PATCH, channels), np.float32)
        self._exit = np.ascontiguousarray(exit[order].T)
        self._straight = np.ascontiguousarray(np.concatenate([straight, zeros])[order].T)
        self._exit_bias = bias[order]
        self._head_gain = whole(arrays["head_gain"])
        self._head_in = kernel(arrays["head_in.weight"])
        self._head_in_bias = whole(arrays["head_in.bias"])
        self._head_out = kernel(arrays["head_out.weight"])
        self._head_out_bias = whole(arrays["head_out.bias"])

    def __call__(self, latent: Array, width: Array, level: int) -> NDArray[np.uint8]:
        """latent: float32 (C, h, w), 0 where not sent; width: float32 (C,), step sizes (may be
        infinite); level: from 1 -> pixels uint8 (16 h, 16 w, 3)."""
        rows, across = latent.shape[1:]
        pixels = np.empty((rows * STRIDE, across * STRIDE, 3), np.uint8)
        parts = bands(rows, across)
        with thread_team() as each:
            x = self.first_block_input(latent, width, level, each, parts)
            for one in self.blocks:
                x = one(x, level, each, parts)
            for strip in cut(rows, max(1, HEAD_POSITIONS // across), 1):
                own = pixels[scaled(strip.own, STRIDE)]
                self.paint(x[strip.seen], latent[:, strip.seen], strip.kept, level, own, each)
        return pixels

    def paint(
        self,
        x: Array,
        latent: Array,
        kept: slice,
        level: int,
        pixels: NDArray[np.uint8],
        each: Each,
    ) -> None:
        """From the last block to pixels. kept: of rows of x and latent, those to paint; they are `pixels`.
        What lies one row beyond is all that the head looks at."""
        fine = self.head_input(x, latent, each, bands(*x.shape[:2]))
        head = self.head_hidden(fine, level, each, bands(*fine.shape[:2]))
        top = kept.start * STRIDE // FINE

        def work(band: slice) -> None:
            for block, h in self.head_output(head, fine, slice(top + band.start, top + band.stop)):
                np.rint(h, out=h)
                np.clip(h, 0, 255, out=h)
                there = slice(block.start - top, block.stop - top)
                dots(pixels, there)[:] = by_dots(h.astype(np.uint8), fine.shape[1])

        each(work, bands(len(pixels) // FINE, fine.shape[1]))

    def first_block_input(
        self, latent: Array, width: Array, level: int, each: Each, parts: list[slice]
    ) -> Array:
        """What the first block gets, (h, w, wide)."""
        channels, rows, across = latent.shape
        wide, bias = self._entry.shape[1], self._entry_bias[level - 1]
        x = np.empty((rows, across, wide), np.float32)

        def first_layer(band: slice) -> None:
            for block in blocks(band, 2 * channels * across):
                here = latent[:, block].reshape(channels, -1)
                seen = scratch("entering", 2 * channels, here.shape[1])
                np.divide(here, self._scale[:, None], out=seen[:channels])
                np.divide(here, width[:, None], out=seen[channels:])
                np.clip(seen[channels:], -FARTHEST, FARTHEST, out=seen[channels:])
                total = x[block].reshape(-1, wide)
                np.matmul(seen.T, self._entry, out=total)
                total += bias

        each(first_layer, parts)
        return x

    def head_input(self, x: Array, latent: Array, each: Each, parts: list[slice]) -> Array:
        """What the head gets, (4 h, 4 w, pixels and features)."""
        channels, rows, across = latent.shape
        wide, fine_wide, side = x.shape[2], self._head_in.shape[1] // 3, STRIDE // FINE
        fine = np.empty((rows * side, across * side, fine_wide), np.float32)

        def unfold(band: slice) -> None:
            for block in blocks(band, self._exit.shape[1] * across):
                out = x[block].reshape(-1, wide) @ self._exit
                out += latent[:, block].reshape(channels, -1).T @ self._straight
                out += self._exit_bias
                squares = out.reshape(-1, across, side, side, fine_wide)
                there = slice(block.start * side, block.stop * side)
                fine[there].reshape(-1, side, across, side, fine_wide)[:] = squares.swapaxes(1, 2)

        each(unfold, parts)
        return fine

    def head_hidden(self, fine: Array, level: int, each: Each, parts: list[slice]) -> Array:
        """The inner layer of the head, (4 h, 4 w, head)."""
        gain = self._head_gain[level - 1]
        head = np.empty((*fine.shape[:2], self._head_in.shape[2]), np.float32)

        def hidden(band: slice) -> None:
            for block, h in convolved(fine, self._head_in, band, edge=True):
                h += self._head_in_bias
                h *= gain
                np.maximum(h, 0, out=head[block].reshape(h.shape))

        each(hidden, parts)
        return head

    def head_output(self, head: Array, fine: Array, band: slice) -> Iterator[tuple[slice, Array]]:
        """Grey levels, neither rounded nor cut, block by block: (rows x 4 w, 48)."""
        for block, h in convolved(head, self._head_out, band, edge=True):
            h += self._head_out_bias
            h += fine[block].reshape(-1, fine.shape[2])[:, :HEAD_PIXELS]
            h *= np.float32(PIXEL_SCALE)
            h += np.float32(MIDDLE)
            yield block, h


def dots(pixels: NDArray[Any], block: slice) -> NDArray[Any]:
    """A view of some rows of positions of the head in pixels (H, W, 3): (rows, FINE, across, FINE, 3)."""
    here = pixels[block.start * FINE : block.stop * FINE]
    return here.reshape(-1, FINE, pixels.shape[1] // FINE, FINE, 3)


def by_dots(values: NDArray[Any], across: int) -> NDArray[Any]:
    """The same view of what the head gives, (rows x across, 48)."""
    return values.reshape(-1, across, 3, FINE, FINE).transpose(0, 3, 1, 4, 2)


class BlockRunner:
    """One residual block."""

    def __init__(self, arrays: Arrays, index: int) -> None:
        def own(name: str) -> NDArray[np.floating]:
            return arrays[f"blocks.{index}.{name}"]

        self._first, self._second = kernel(own("first.weight")), kernel(own("second.weight"))
        self._first_bias, self._second_bias = whole(own("first.bias")), whole(own("second.bias"))
        self._gain = whole(own("gain"))

    def __call__(
        self, x: Array, level: int, each: Each, parts: list[slice], keep: Array | None = None
    ) -> Array:
        """x: (rows, across, width), which is written over; level: from 1, the row of gains. keep: gets
        what GELU is taken of."""
        gain, middle = self._gain[level - 1], np.empty_like(x)

        def first(band: slice) -> None:
            for block, h in convolved(x, self._first, band):
                h += self._first_bias
                h *= gain
                if keep is not None:
                    keep[block] = h.reshape(-1, *x.shape[1:])
                gelu(h, middle[block].reshape(h.shape))

        def second(band: slice) -> None:
            for block, h in convolved(middle, self._second, band):
                h += self._second_bias
                x[block].reshape(h.shape)[:] += h

        each(first, parts)
        each(second, parts)
        return x


def gelu(x: Array, out: Array) -> None:
    """The tanh form of GELU (Hendrycks and Gimpel 2016)."""
    np.square(x, out=out)
    out *= np.float32(0.044715)
    out += np.float32(1)
    out *= x
    out *= np.float32(0.7978845608028654)  # sqrt(2 / pi)
    np.tanh(out, out=out)
    out += np.float32(1)
    out *= x
    out *= np.float32(0.5)


def whole(array: NDArray[np.floating]) -> Array:
    """float32."""
    return array.astype(np.float32)


def single(weight: NDArray[np.floating]) -> Array:
    """Weights of a 1x1 convolution as a matrix, float32 (out, in)."""
    return whole(weight.reshape(len(weight), -1))


def in_reading_order(weight: Array) -> Array:
    """Weights (out, 768) for patches (colour, row, column) -> (768, out) for (row, column, colour)."""
    reordered = weight.reshape(-1, 3, STRIDE, STRIDE).transpose(2, 3, 1, 0)
    return np.ascontiguousarray(reordered.reshape(PATCH, -1))


def patches_of(pixels: NDArray[np.uint8], band: slice) -> Iterator[tuple[slice, Array]]:
    """Rows of positions and their patches, float32 (positions, 768) around 0, block by block."""
    across = pixels.shape[1] // STRIDE
    for block in blocks(band, PATCH * across):
        here = pixels[block.start * STRIDE : block.stop * STRIDE]
        patches = scratch("patches", block.stop - block.start, across, STRIDE, STRIDE, 3)
        patches[:] = here.reshape(-1, STRIDE, across, STRIDE, 3).swapaxes(1, 2)
        patches -= np.float32(MIDDLE)
        yield block, patches.reshape(-1, PATCH)


def head_order(features: int) -> NDArray[np.intp]:
    """Which row of the exit's weights stands where: for each of the 16 positions of the head inside a
    patch its 48 values of pixels (colour, row, column), then its features."""
    pixels = np.arange(PATCH).reshape(3, STRIDE // FINE, FINE, STRIDE // FINE, FINE)
    pixels = pixels.transpose(1, 3, 0, 2, 4).reshape(-1, HEAD_PIXELS)
    more = PATCH + np.arange(features * len(pixels)).reshape(features, -1).T
    return np.concatenate([pixels, more], 1).reshape(-1)
