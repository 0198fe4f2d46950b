"""The synthesis backwards: a gradient of pixels becomes one of latents, on the CPU with NumPy, for an encoder
that searches."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .config import STRIDE, ModelConfig
from .convolution import Array, blocks, convolved, kernel
from .noise import NoiseMaps
from .parallel import Each, bands, thread_team
from .transforms import (
    FARTHEST,
    FINE,
    HEAD_PIXELS,
    PIXEL_SCALE,
    Arrays,
    BlockRunner,
    SynthesisRunner,
    dots,
    ringed,
)

PixelGradient = Callable[[Array], Array]
"""Pixels, neither rounded nor cut -> the gradient of what they cost; both float32 (H, W, 3)."""


class SynthesisGradient(SynthesisRunner):
    """Latent -> gradient of what its picture costs."""

    def __init__(self, arrays: Arrays, config: ModelConfig) -> None:
        super().__init__(arrays, config)
        count = range(config.blocks)
        self._backward_blocks = [BackwardBlock(arrays, f"stride16.{i}") for i in count]
        self._backward_fine_blocks = [BackwardBlock(arrays, f"stride8.{i}") for i in count]
        self._head_in_transposed = transposed_kernel(arrays["head_in.weight"])
        self._head_out_transposed = transposed_kernel(arrays["head_out.weight"])

    def vjp(
        self,
        latent: Array,
        step: Array,
        level: int,
        pixel_gradient: PixelGradient,
        noise: NoiseMaps | None = None,
    ) -> Array:
        """Vector-Jacobian product of the synthesis. Arguments as of a call; pixel_gradient: of what pixels
        cost -> float32 (C, h, w). Noise is a constant."""
        rows, across = latent.shape[1:]
        side = STRIDE // FINE
        parts, fine_parts = bands(rows, across), bands(2 * rows, 2 * across)
        small = bands(rows * side, across * side)
        with thread_team() as each:
            x = self.first_block_input(latent, step, level, noise, each)
            kept, fine_kept = list[Array](), list[Array]()
            for one in self.blocks:
                kept.append(np.empty_like(x))
                x = one(x, level, each, parts, kept[-1])
            fine = self.up(x, level, noise, each)
            for one in self.fine_blocks:
                fine_kept.append(np.empty_like(fine))
                fine = one(fine, level, each, fine_parts, fine_kept[-1])
            stride4 = None if noise is None else noise.stride4
            drawn = self.head_input(fine, latent, stride4, level, each)
            head = self.head_hidden(drawn, level, each)
            pixels = np.empty((rows * STRIDE, across * STRIDE, 3), np.float32)

            def paint(band: slice) -> None:
                for block, made in self.head_output(head, drawn, band):
                    dots(pixels, block)[:] = made

            each(paint, small)
            back = self._through_head(pixel_gradient(pixels), head, level, each)
            out = np.empty_like(latent)
            self._through_exit(back, fine, out, each, parts)
            for block, held in zip(
                reversed(self._backward_fine_blocks), reversed(fine_kept), strict=True
            ):
                block(fine, held, level, each, fine_parts)
            self._through_up(fine, x, each, parts)
            for block, held in zip(reversed(self._backward_blocks), reversed(kept), strict=True):
                block(x, held, level, each, parts)
            self._to_latent(x, latent, step, out, each, parts)
        return out

    def _through_head(self, pixel_gradient: Array, head: Array, level: int, each: Each) -> Array:
        """Gradient of what the head gets, (4 h, 4 w, pixels and features)."""
        rows, across = (count - 2 for count in head.shape[:2])
        outer = ringed(rows, across, HEAD_PIXELS)
        seen = dots(pixel_gradient, slice(0, rows)).swapaxes(1, 2)
        inner = outer[1:-1, 1:-1]
        np.multiply(seen.reshape(inner.shape), np.float32(PIXEL_SCALE), out=inner)
        back = backward(outer, self._head_out_transposed, each)
        back *= head > 0
        back *= self._head_gain[level - 1]
        out = backward(back, self._head_in_transposed, each)[1:-1, 1:-1]
        out[:, :, :HEAD_PIXELS] += inner
        return out

    def _through_exit(
        self, back: Array, fine: Array, out: Array, each: Each, parts: list[slice]
    ) -> None:
        """From the gradient of the head's input to that of the last blocks' output, into `fine`, and of the
        linear map's input, into `out`."""
        across = fine.shape[1] // 2
        channels, side, both = len(out), STRIDE // FINE, back.shape[2]

        def work(band: slice) -> None:
            for block in blocks(band, across * side * side * both):
                there = back[block.start * side : block.stop * side]
                squares = there.reshape(-1, 2, 2 * across, 2, both).swapaxes(1, 2)
                flat = squares.reshape(-1, 4 * both)
                here = fine[2 * block.start : 2 * block.stop]
                here[:] = (flat @ self._exit.T).reshape(here.shape)
                drawn = there[:, :, :HEAD_PIXELS].reshape(-1, side, across, side, HEAD_PIXELS)
                flat = drawn.swapaxes(1, 2).reshape(-1, side * side * HEAD_PIXELS)
                out[:, block] = (self._linear @ flat.T).reshape(channels, -1, across)

        each(work, parts)

    def _through_up(self, fine: Array, x: Array, each: Each, parts: list[slice]) -> None:
        """From the gradient at stride 8 to that of the last block at stride 16, into x."""
        across, half = x.shape[1], fine.shape[2]

        def work(band: slice) -> None:
            for block in blocks(band, across * 4 * half):
                there = fine[2 * block.start : 2 * block.stop].reshape(-1, 2, across, 2, half)
                flat = there.swapaxes(1, 2).reshape(-1, 4 * half)
                np.matmul(flat, self._up.T, out=x[block].reshape(len(flat), -1))

        each(work, parts)

    def _to_latent(
        self, x: Array, latent: Array, step: Array, out: Array, each: Each, parts: list[slice]
    ) -> None:
        """Add what comes through the entry."""
        channels, _, across = latent.shape

        def work(band: slice) -> None:
            for block in blocks(band, 2 * channels * across):
                seen = self._entry @ x[block].reshape(-1, x.shape[2]).T
                seen = seen.reshape(2, channels, -1, across)
                out[:, block] += seen[0] / self._scale[:, None, None]
                size = step[:, None, None]
                inside = np.abs(latent[:, block]) < FARTHEST * size
                out[:, block] += np.where(inside, seen[1] / size, 0)

        each(work, parts)


class BackwardBlock(BlockRunner):
    """One residual block backwards."""

    def __init__(self, arrays: Arrays, name: str) -> None:
        super().__init__(arrays, name)
        self._second_transposed = transposed_kernel(arrays[f"{name}.second.weight"])
        self._first_transposed = transposed_kernel(arrays[f"{name}.first.weight"])

    def __call__(  # type: ignore[override]
        self, x: Array, held: Array, level: int, each: Each, parts: list[slice]
    ) -> None:
        """x: gradient of the output, which becomes that of the input; held: what GELU was taken of, which
        is written over."""
        gain = self._gain[level - 1]

        def second(band: slice) -> None:
            for block, h in convolved(x, self._second_transposed, band):
                here = held[block].reshape(h.shape)
                h *= gain
                np.multiply(h, gelu_slope(here), out=here)

        def first(band: slice) -> None:
            for block, h in convolved(held, self._first_transposed, band):
                x[block].reshape(h.shape)[:] += h

        each(second, parts)
        each(first, parts)


def backward(x: Array, by: Array, each: Each) -> Array:
    """A convolution of x with a kernel from `transposed_kernel`."""
    out = np.empty((*x.shape[:2], by.shape[2]), np.float32)

    def work(band: slice) -> None:
        for block, h in convolved(x, by, band):
            out[block].reshape(h.shape)[:] = h

    each(work, bands(*x.shape[:2]))
    return out


def transposed_kernel(weight: Array) -> Array:
    """The kernel that carries gradients back through a convolution with weights (out, in, 3, 3)."""
    return kernel(weight.transpose(1, 0, 2, 3)[:, :, ::-1, ::-1])


def gelu_slope(x: Array) -> Array:
    """Derivative of `transforms.gelu`."""
    a, b = np.float32(0.7978845608028654), np.float32(0.044715)  # sqrt(2 / pi)
    square = np.square(x)
    inner = square * b
    inner += 1
    inner *= x
    inner *= a
    tanh = np.tanh(inner, out=inner)
    # (1 + tanh) / 2 + x / 2 (1 - tanh^2) a (1 + 3 b x^2)
    square *= 3 * b
    square += 1
    square *= x
    square *= a
    square *= 1 - tanh
    square += 1
    square *= 1 + tanh
    square *= np.float32(0.5)
    return square
