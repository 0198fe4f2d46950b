"""The synthesis backwards: a gradient of pixels becomes one of latents, on the CPU with NumPy, for an encoder that searches."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .config import STRIDE, ModelConfig
from .convolution import Array, blocks, convolved, kernel
from .parallel import Each, bands, thread_team
from .transforms import (
    FARTHEST,
    FINE,
    HEAD_PIXELS,
    PIXEL_SCALE,
    Arrays,
    BlockRunner,
    SynthesisRunner,
    by_dots,
    dots,
)

PixelGradient = Callable[[Array], Array]
"""Pixels, neither rounded nor cut -> the gradient of what they cost; both float32 (H, W, 3)."""


class SynthesisGradient(SynthesisRunner):
    """Latent -> gradient of what its picture costs."""

    def __init__(self, arrays: Arrays, config: ModelConfig) -> None:
        super().__init__(arrays, config)
        self._backward_blocks = [BackwardBlock(arrays, i) for i in range(config.blocks)]
        self._head_in_transposed = transposed_kernel(arrays["head_in.weight"])
        self._head_out_transposed = transposed_kernel(arrays["head_out.weight"])

    def vjp(self, latent: Array, width: Array, level: int, pixel_gradient: PixelGradient) -> Array:
        """Vector-Jacobian product of the synthesis. Arguments as of a call; pixel_gradient: of what pixels cost -> float32 (C, h, w)."""
        rows, across = latent.shape[1:]
        parts, small = bands(rows, across), bands(rows * STRIDE // FINE, across * STRIDE // FINE)
        with thread_team() as each:
            x = self.first_block_input(latent, width, level, each, parts)
            kept = []
            for one in self.blocks:
                kept.append(np.empty_like(x))
                x = one(x, level, each, parts, kept[-1])
            fine = self.head_input(x, latent, each, parts)
            head = self.head_hidden(fine, level, each, small)
            pixels = np.empty((rows * STRIDE, across * STRIDE, 3), np.float32)

            def paint(band: slice) -> None:
                for block, h in self.head_output(head, fine, band):
                    dots(pixels, block)[:] = by_dots(h, fine.shape[1])

            each(paint, small)
            back = self._through_head(pixel_gradient(pixels), head, fine, level, each)
            out = np.empty_like(latent)
            self._out_of_patches(back, x, out, each, parts)
            for block, held in zip(reversed(self._backward_blocks), reversed(kept), strict=True):
                block(x, held, level, each, parts)
            self._to_latent(x, latent, width, out, each, parts)
        return out

    def _through_head(
        self, pixel_gradient: Array, head: Array, fine: Array, level: int, each: Each
    ) -> Array:
        """Gradient of `fine`."""
        rows, across = fine.shape[:2]
        inner_gradient = ringed(rows, across, HEAD_PIXELS)
        seen = dots(pixel_gradient, slice(0, rows)).transpose(0, 2, 4, 1, 3)
        np.multiply(
            seen, np.float32(PIXEL_SCALE), out=inner_gradient[1:-1, 1:-1].reshape(seen.shape)
        )
        back = ringed(rows, across, head.shape[2])
        inner = folded(backward(inner_gradient, self._head_out_transposed, each))
        np.copyto(back[1:-1, 1:-1], inner, where=head > 0)
        back *= self._head_gain[level - 1]
        out = np.ascontiguousarray(folded(backward(back, self._head_in_transposed, each)))
        out[:, :, :HEAD_PIXELS] += inner_gradient[1:-1, 1:-1]
        return out

    def _out_of_patches(
        self, back: Array, x: Array, out: Array, each: Each, parts: list[slice]
    ) -> None:
        """From the head's gradient to that of the blocks' output, into x, and of the shortcut, into out."""
        _, across, wide = x.shape
        channels, side = len(out), STRIDE // FINE

        def work(band: slice) -> None:
            for block in blocks(band, self._exit.shape[1] * across):
                there = back[block.start * side : block.stop * side]
                squares = there.reshape(-1, side, across, side, back.shape[2]).swapaxes(1, 2)
                flat = squares.reshape(-1, self._exit.shape[1])
                np.matmul(flat, self._exit.T, out=x[block].reshape(-1, wide))
                out[:, block] = (self._straight @ flat.T).reshape(channels, -1, across)

        each(work, parts)

    def _to_latent(
        self, x: Array, latent: Array, width: Array, out: Array, each: Each, parts: list[slice]
    ) -> None:
        """Add what comes through the entry."""
        channels, _, across = latent.shape

        def work(band: slice) -> None:
            for block in blocks(band, 2 * channels * across):
                seen = self._entry @ x[block].reshape(-1, x.shape[2]).T
                seen = seen.reshape(2, channels, -1, across)
                out[:, block] += seen[0] / self._scale[:, None, None]
                step = width[:, None, None]
                inside = np.abs(latent[:, block]) < FARTHEST * step
                out[:, block] += np.where(inside, seen[1] / step, 0)

        each(work, parts)


class BackwardBlock(BlockRunner):
    """One residual block backwards."""

    def __init__(self, arrays: Arrays, index: int) -> None:
        super().__init__(arrays, index)
        self._second_transposed = transposed_kernel(arrays[f"blocks.{index}.second.weight"])
        self._first_transposed = transposed_kernel(arrays[f"blocks.{index}.first.weight"])

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


def ringed(rows: int, across: int, channels: int) -> Array:
    """Zeros with one place more on each side."""
    return np.zeros((rows + 2, across + 2, channels), np.float32)


def backward(x: Array, by: Array, each: Each) -> Array:
    """A convolution of x with a kernel from `transposed_kernel`."""
    out = np.empty((*x.shape[:2], by.shape[2]), np.float32)

    def work(band: slice) -> None:
        for block, h in convolved(x, by, band):
            out[block].reshape(h.shape)[:] = h

    each(work, bands(*x.shape[:2]))
    return out


def folded(x: Array) -> Array:
    """Where a picture's edge was repeated outwards once, its gradient belongs to the edge."""
    x[1] += x[0]
    x[-2] += x[-1]
    x[:, 1] += x[:, 0]
    x[:, -2] += x[:, -1]
    return x[1:-1, 1:-1]


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
