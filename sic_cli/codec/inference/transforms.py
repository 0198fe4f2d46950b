"""Analysis and synthesis on the CPU, with NumPy: the networks of `networks/transforms.py`, in few passes.

Pictures are float32 (rows, across, channels), computed in bands (`parallel.py`). Weights are put into the
order in which memory is read, and what follows a product is done while its block is in the cache. Both
transforms have a stage at stride 8 and one at stride 16; the synthesis ends in a head at stride 4.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .config import PATCH, STRIDE, ModelConfig
from .convolution import Array, blocks, convolved, kernel, scratch
from .noise import NoiseMaps
from .parallel import Each, bands, thread_team
from .tiles import overlapping_strips, scaled

PIXEL_SCALE = 64.0
"""Networks see pixels and give corrections in units of this many grey levels."""
MIDDLE = 127.5
HALF_STRIDE = 8
"""Pixels in each direction for one position of the finer stage."""
FINE = 4
"""Pixels in each direction for one position of the synthesis's head."""
HEAD_PIXELS = 3 * FINE**2
"""Values of those pixels: (row, column, colour), colour fastest."""
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
    wide, half, channels = config.width, config.half_width, config.channels
    return {
        "linear": (channels, PATCH),
        "scale": (channels,),
        **_layer("entry", half, 3 * HALF_STRIDE**2, 1),
        **_block_shapes("stride8", config.blocks, half, 1),
        **_layer("down", wide, 4 * half, 1),
        **_block_shapes("stride16", config.blocks, wide, 1),
        **_layer("exit", channels, wide, 1),
    }


def synthesis_shapes(config: ModelConfig, perceptual: bool) -> Shapes:
    """The shape of each parameter of a decoder; the perceptual one has noise inputs."""
    wide, half, channels, head = config.width, config.half_width, config.channels, config.head_width
    levels, features = config.levels, config.head_features
    shapes = {
        "linear": (PATCH, channels),
        "scale": (channels,),
        **_layer("entry", wide, 2 * channels, 1),
        "entry_level": (levels, wide),
        **_block_shapes("stride16", config.blocks, wide, levels),
        **_layer("up", 4 * half, wide, 1),
        **_block_shapes("stride8", config.blocks, half, levels),
        **_layer("exit", 4 * (HEAD_PIXELS + features), half, 1),
        **_layer("head_in", head, HEAD_PIXELS + features, 3),
        "head_gain": (levels, head),
        **_layer("head_out", HEAD_PIXELS, head, 3),
    }
    if perceptual:
        for stride, maps, outputs in zip(
            (16, 8, 4), config.noise, (wide, half, features), strict=True
        ):
            shapes[f"noise{stride}.weight"] = (outputs, maps, 1, 1)
            shapes[f"noise{stride}_gain"] = (levels, outputs)
    return shapes


def _layer(name: str, outputs: int, inputs: int, size: int) -> Shapes:
    return {f"{name}.weight": (outputs, inputs, size, size), f"{name}.bias": (outputs,)}


def _block_shapes(stage: str, count: int, width: int, gains: int) -> Shapes:
    shapes: Shapes = {}
    for index in range(count):
        for name in ("first", "second"):
            shapes |= _layer(f"{stage}.{index}.{name}", width, width, 3)
        shapes[f"{stage}.{index}.gain"] = (gains, width)
    return shapes


def halo(config: ModelConfig) -> int:
    """Latent rows that either transform looks beyond its own: both stages, and the head's two convolutions."""
    return 2 * config.blocks + config.blocks + 1


class AnalysisRunner:
    """Pixels -> latent."""

    def __init__(self, arrays: Arrays, config: ModelConfig) -> None:
        self._fine_blocks = [BlockRunner(arrays, f"stride8.{i}") for i in range(config.blocks)]
        self._blocks = [BlockRunner(arrays, f"stride16.{i}") for i in range(config.blocks)]
        entry, down, exit = (single(arrays[f"{n}.weight"]) for n in ("entry", "down", "exit"))
        scale = whole(arrays["scale"])
        self._entry = np.ascontiguousarray(entry.T) / np.float32(PIXEL_SCALE)
        self._entry_bias = whole(arrays["entry.bias"])
        self._down, self._down_bias = np.ascontiguousarray(down.T), whole(arrays["down.bias"])
        self._exit = np.ascontiguousarray((exit * scale[:, None]).T)
        self._exit_bias = whole(arrays["exit.bias"]) * scale
        self._linear = in_reading_order(whole(arrays["linear"]))

    def __call__(self, pixels: NDArray[np.uint8]) -> Array:
        """pixels: uint8 (H, W, 3), sides multiples of 16 -> float32 (C, H/16, W/16)."""
        rows, across = (side // STRIDE for side in pixels.shape[:2])
        wide, channels = self._exit.shape
        half = self._entry.shape[1]
        parts, fine_parts = bands(rows, across), bands(2 * rows, 2 * across)
        fine = np.empty((2 * rows, 2 * across, half), np.float32)
        x = np.empty((rows, across, wide), np.float32)
        latent = np.empty((channels, rows, across), np.float32)

        def first_layer(band: slice) -> None:
            for block, patches in patches_of(pixels, band, HALF_STRIDE):
                out = fine[block].reshape(-1, half)
                np.matmul(patches, self._entry, out=out)
                out += self._entry_bias

        def down(band: slice) -> None:
            for block in blocks(band, across * 4 * half):
                there = fine[2 * block.start : 2 * block.stop].reshape(-1, 2, across, 2, half)
                squares = scratch("squares", len(there), across, 2, 2, half)
                np.copyto(squares, there.swapaxes(1, 2))
                out = x[block].reshape(-1, wide)
                np.matmul(squares.reshape(len(out), -1), self._down, out=out)
                out += self._down_bias

        def last_layer(band: slice) -> None:
            for block, patches in patches_of(pixels, band, STRIDE):
                h = patches @ self._linear
                h += x[block].reshape(-1, wide) @ self._exit
                h += self._exit_bias
                latent[:, block] = h.T.reshape(channels, -1, across)

        with thread_team() as each:
            each(first_layer, fine_parts)
            for one in self._fine_blocks:
                fine = one(fine, 1, each, fine_parts)
            each(down, parts)
            for one in self._blocks:
                x = one(x, 1, each, parts)
            each(last_layer, parts)
        return latent


class SynthesisRunner:
    """Latent -> pixels."""

    def __init__(self, arrays: Arrays, config: ModelConfig) -> None:
        self.blocks = [BlockRunner(arrays, f"stride16.{i}") for i in range(config.blocks)]
        self.fine_blocks = [BlockRunner(arrays, f"stride8.{i}") for i in range(config.blocks)]
        channels = config.channels
        entry, self._scale = single(arrays["entry.weight"]), whole(arrays["scale"])
        self._entry = np.ascontiguousarray(entry.T)
        self._entry_bias = whole(arrays["entry.bias"]) + whole(arrays["entry_level"])
        self._up = np.ascontiguousarray(single(arrays["up.weight"]).T)
        self._up_bias = whole(arrays["up.bias"])
        self._exit, self._exit_bias = by_position(arrays, HEAD_PIXELS)
        # (C, 16 x 48): the linear map, position of the head after position
        side = STRIDE // FINE
        linear = whole(arrays["linear"]).reshape(3, side, FINE, side, FINE, channels)
        linear = linear.transpose(1, 3, 2, 4, 0, 5).reshape(PATCH, channels)
        self._linear = np.ascontiguousarray(linear.T) / np.float32(PIXEL_SCALE)
        self._noise = [NoiseInput.of(arrays, stride) for stride in (16, 8, 4)]
        self._head_gain = whole(arrays["head_gain"])
        self._head_in = kernel(arrays["head_in.weight"])
        self._head_in_bias = whole(arrays["head_in.bias"])
        self._head_out = kernel(arrays["head_out.weight"])
        self._head_out_bias = whole(arrays["head_out.bias"])

    @property
    def has_noise(self) -> bool:
        """Whether noise maps change what it makes."""
        return any(one is not None for one in self._noise)

    def __call__(
        self, latent: Array, step: Array, level: int, noise: NoiseMaps | None = None
    ) -> NDArray[np.uint8]:
        """latent: float32 (C, h, w), dequantised, 0 where not sent; step: float32 (C,), step sizes (may be
        infinite); level: from 1; noise: maps for these positions, None where the decoder has no noise
        inputs -> pixels uint8 (16 h, 16 w, 3)."""
        rows, across = latent.shape[1:]
        pixels = np.empty((rows * STRIDE, across * STRIDE, 3), np.uint8)
        with thread_team() as each:
            x = self.first_block_input(latent, step, level, noise, each)
            for one in self.blocks:
                x = one(x, level, each, bands(rows, across))
            fine = self.up(x, level, noise, each)
            for one in self.fine_blocks:
                fine = one(fine, level, each, bands(2 * rows, 2 * across))
            for strip in overlapping_strips(rows, max(1, HEAD_POSITIONS // across), 1):
                own = pixels[scaled(strip.own, STRIDE)]
                seen = None if noise is None else noise.stride4[scaled(strip.seen, STRIDE // FINE)]
                here = fine[scaled(strip.seen, STRIDE // HALF_STRIDE)]
                self.paint(here, latent[:, strip.seen], seen, strip.kept, level, own, each)
        return pixels

    def paint(
        self,
        x: Array,
        latent: Array,
        noise: Array | None,
        kept: slice,
        level: int,
        pixels: NDArray[np.uint8],
        each: Each,
    ) -> None:
        """From the last block to pixels. kept: latent rows to paint, of those given; they are `pixels`.
        What lies one row beyond is all that the head looks at."""
        drawn = self.head_input(x, latent, noise, level, each)
        head = self.head_hidden(drawn, level, each)
        top = kept.start * STRIDE // FINE

        def work(band: slice) -> None:
            for block, h in self.head_output(head, drawn, slice(top + band.start, top + band.stop)):
                np.rint(h, out=h)
                np.clip(h, 0, 255, out=h)
                there = slice(block.start - top, block.stop - top)
                dots(pixels, there)[:] = h.astype(np.uint8)

        each(work, bands(len(pixels) // FINE, pixels.shape[1] // FINE))

    def first_block_input(
        self, latent: Array, step: Array, level: int, noise: NoiseMaps | None, each: Each
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
                np.divide(here, step[:, None], out=seen[channels:])
                np.clip(seen[channels:], -FARTHEST, FARTHEST, out=seen[channels:])
                total = x[block].reshape(-1, wide)
                np.matmul(seen.T, self._entry, out=total)
                total += bias
                if noise is not None and self._noise[0] is not None:
                    self._noise[0].add(noise.stride16[block], level, total)

        each(first_layer, bands(rows, across))
        return x

    def up(self, x: Array, level: int, noise: NoiseMaps | None, each: Each) -> Array:
        """From the last block at stride 16 to the first one at stride 8, (2 h, 2 w, half)."""
        rows, across, wide = x.shape
        half = self._up.shape[1] // 4
        fine = np.empty((2 * rows, 2 * across, half), np.float32)

        def work(band: slice) -> None:
            for block in blocks(band, across * 4 * half):
                out = x[block].reshape(-1, wide) @ self._up
                out += self._up_bias
                there = fine[2 * block.start : 2 * block.stop]
                squares = out.reshape(-1, across, 2, 2, half).swapaxes(1, 2)
                there.reshape(-1, 2, across, 2, half)[:] = squares
                if noise is not None and self._noise[1] is not None:
                    seen = noise.stride8[2 * block.start : 2 * block.stop]
                    self._noise[1].add(seen, level, there.reshape(-1, half))

        each(work, bands(rows, across))
        return fine

    def head_input(
        self, x: Array, latent: Array, noise: Array | None, level: int, each: Each
    ) -> Array:
        """What the head gets, (4 h + 2, 4 w + 2, pixels and features): zeros around the picture."""
        channels, rows, across = latent.shape
        half, both, side = x.shape[2], self._head_in.shape[1] // 3, STRIDE // FINE
        drawn = ringed(rows * side, across * side, both)

        def unfold(band: slice) -> None:
            for block in blocks(band, across * side * side * both):
                out = x[2 * block.start : 2 * block.stop].reshape(-1, half) @ self._exit
                out += self._exit_bias
                here = drawn[1 + block.start * side : 1 + block.stop * side, 1:-1]
                squares = out.reshape(-1, 2 * across, 2, 2, both).swapaxes(1, 2)
                here.reshape(-1, 2, 2 * across, 2, both)[:] = squares
                out = latent[:, block].reshape(channels, -1).T @ self._linear
                squares = out.reshape(-1, across, side, side, HEAD_PIXELS).swapaxes(1, 2)
                here.reshape(-1, side, across, side, both)[..., :HEAD_PIXELS] += squares
                if noise is not None and self._noise[2] is not None:
                    seen = noise[block.start * side : block.stop * side]
                    here[..., HEAD_PIXELS:] += self._noise[2].made(seen, level)

        each(unfold, bands(rows, across))
        return drawn

    def head_hidden(self, drawn: Array, level: int, each: Each) -> Array:
        """The inner layer of the head, (4 h + 2, 4 w + 2, head)."""
        gain = self._head_gain[level - 1]
        head = np.empty((*drawn.shape[:2], self._head_in.shape[2]), np.float32)

        def hidden(band: slice) -> None:
            for block, h in convolved(drawn, self._head_in, band):
                h += self._head_in_bias
                h *= gain
                np.maximum(h, 0, out=head[block].reshape(h.shape))

        each(hidden, bands(*drawn.shape[:2]))
        return head

    def head_output(self, head: Array, drawn: Array, band: slice) -> Iterator[tuple[slice, Array]]:
        """Grey levels, neither rounded nor cut, block by block: (rows, 4, 4 w, 4, 3) as `dots` has them.
        band: rows of positions of the head, without the ring."""
        across = drawn.shape[1]
        for block, h in convolved(head, self._head_out, slice(band.start + 1, band.stop + 1)):
            h += self._head_out_bias
            h += drawn[block].reshape(len(h), -1)[:, :HEAD_PIXELS]
            h *= np.float32(PIXEL_SCALE)
            h += np.float32(MIDDLE)
            made = h.reshape(-1, across, FINE, FINE, 3)[:, 1:-1].swapaxes(1, 2)
            yield slice(block.start - 1, block.stop - 1), made


class NoiseInput:
    """A 1x1 convolution of noise maps and a gain for each level and channel."""

    def __init__(self, weight: Array, gain: Array) -> None:
        self._weight, self._gain = weight, gain

    @classmethod
    def of(cls, arrays: Arrays, stride: int) -> NoiseInput | None:
        """That of a stride, if the decoder has one."""
        name = f"noise{stride}"
        if f"{name}.weight" not in arrays:
            return None
        weight = np.ascontiguousarray(single(arrays[f"{name}.weight"]).T)
        return cls(weight, whole(arrays[f"{name}_gain"]))

    def made(self, maps: Array, level: int) -> Array:
        """maps: (rows, across, maps) -> (rows, across, outputs)."""
        out: Array = maps @ self._weight
        out *= self._gain[level - 1]
        return out

    def add(self, maps: Array, level: int, out: Array) -> None:
        """Add what is made of maps (rows, across, maps) to out (positions, outputs)."""
        out += self.made(maps, level).reshape(out.shape)


def ringed(rows: int, across: int, channels: int) -> Array:
    """Room for so many positions, with zeros around."""
    out = np.empty((rows + 2, across + 2, channels), np.float32)
    out[0] = out[-1] = 0
    out[:, 0] = out[:, -1] = 0
    return out


def by_position(arrays: Arrays, pixels: int) -> tuple[Array, Array]:
    """Weights (half, 4 x outputs) and biases of the exit: for each of the four positions of the head its
    values of pixels, then its features."""
    weight, bias = single(arrays["exit.weight"]), whole(arrays["exit.bias"])
    first = np.arange(4 * pixels).reshape(4, pixels)
    rest = np.arange(4 * pixels, len(bias)).reshape(4, -1)
    order = np.concatenate([first, rest], 1).reshape(-1)
    return np.ascontiguousarray(weight[order].T), bias[order]


def dots(pixels: NDArray[Any], block: slice) -> NDArray[Any]:
    """A view of some rows of positions of the head in pixels (H, W, 3): (rows, FINE, across, FINE, 3)."""
    here = pixels[block.start * FINE : block.stop * FINE]
    return here.reshape(-1, FINE, pixels.shape[1] // FINE, FINE, 3)


class BlockRunner:
    """One residual block."""

    def __init__(self, arrays: Arrays, name: str) -> None:
        def own(part: str) -> NDArray[np.floating]:
            return arrays[f"{name}.{part}"]

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


def patches_of(
    pixels: NDArray[np.uint8], band: slice, side: int = STRIDE
) -> Iterator[tuple[slice, Array]]:
    """Rows of positions and their patches, float32 (positions, 3 side^2) around 0, block by block; values
    by row, column, colour."""
    across, size = pixels.shape[1] // side, 3 * side * side
    for block in blocks(band, size * across):
        here = pixels[block.start * side : block.stop * side]
        patches = scratch("patches", block.stop - block.start, across, side, side, 3)
        patches[:] = here.reshape(-1, side, across, side, 3).swapaxes(1, 2)
        patches -= np.float32(MIDDLE)
        yield block, patches.reshape(-1, size)
