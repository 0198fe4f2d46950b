"""A mean-and-scale hyperprior codec of the usual size, with untrained weights: a peer in speed alone.

The layers are those of "Joint Autoregressive and Hierarchical Priors" without the autoregressive part
(Minnen and others, NeurIPS 2018; CompressAI's `mbt2018_mean`, qualities 1 to 4: 128 and 192 channels).
Latents are coded with 64 tables of Gaussians, one call of the range coder a table, which is faster than
CompressAI's own loop. Weights do not change the time; the latents are scaled so that a file has about
the size of a real one.
"""

from __future__ import annotations

import math

import constriction
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

NARROW, WIDE, TABLES, REACH = 128, 192, 64, 32


class Gdn(nn.Module):
    """Generalised divisive normalisation, or its inverse."""

    def __init__(self, width: int, inverse: bool = False) -> None:
        super().__init__()
        self.beta = nn.Parameter(torch.ones(width))
        self.gamma = nn.Parameter(0.1 * torch.eye(width)[:, :, None, None])
        self.inverse = inverse

    def forward(self, x: Tensor) -> Tensor:
        norm = F.conv2d(x * x, self.gamma, self.beta)
        return x * (torch.sqrt(norm) if self.inverse else torch.rsqrt(norm))


def down(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 5, 2, 2)


def up(inputs: int, outputs: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(inputs, outputs, 5, 2, 2, 1)


def tables() -> list[object]:
    """Coding models of Gaussians, scales rising from 0.11 to 16."""
    edges = np.arange(-REACH, REACH + 2) - 0.5
    models = []
    for scale in np.geomspace(0.11, 16, TABLES):
        below = np.array([0.5 * (1 + math.erf(e / scale / math.sqrt(2))) for e in edges])
        share = np.maximum(np.diff(below), 1e-6).astype(np.float32)
        models.append(constriction.stream.model.Categorical(share, perfect=False))
    return models


class Hyperprior(nn.Module):
    """See the module's head. Pixels uint8 (H, W, 3) -> words of both streams, and back."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        n, m = NARROW, WIDE
        self.analysis = nn.Sequential(
            down(3, n), Gdn(n), down(n, n), Gdn(n), down(n, n), Gdn(n), down(n, m)
        )
        self.synthesis = nn.Sequential(
            *(up(m, n), Gdn(n, True), up(n, n), Gdn(n, True), up(n, n), Gdn(n, True), up(n, 3))
        )
        self.hyper_analysis = nn.Sequential(
            nn.Conv2d(m, n, 3, 1, 1), nn.LeakyReLU(), down(n, n), nn.LeakyReLU(), down(n, n)
        )
        self.hyper_synthesis = nn.Sequential(
            *(up(n, m), nn.LeakyReLU(), up(m, m * 3 // 2), nn.LeakyReLU()),
            nn.Conv2d(m * 3 // 2, m * 2, 3, 1, 1),
        )
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.eval().requires_grad_(False)
        self.models = tables()

    def encode(self, pixels: NDArray[np.uint8]) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
        with torch.inference_mode():
            x = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
            latent = self.analysis(x)
            side = self.hyper_analysis(latent).mul(4).round().clamp(-REACH, REACH)
            index, mean = self._prior(side)
            whole = (latent / latent.std() - mean).round().clamp(-REACH, REACH)[0].numpy()
        first = constriction.stream.queue.RangeEncoder()
        first.encode(self._symbols(side[0].numpy()), self.models[40])
        second = constriction.stream.queue.RangeEncoder()
        symbols, order, counts = self._symbols(whole), *self._order(index)
        for model, part in zip(self.models, np.split(symbols[order], counts), strict=True):
            second.encode(part, model)
        return first.get_compressed(), second.get_compressed()

    def decode(
        self, words: tuple[NDArray[np.uint32], NDArray[np.uint32]], height: int, width: int
    ) -> NDArray[np.uint8]:
        with torch.inference_mode():
            shape = (NARROW, height // 64, width // 64)
            decoder = constriction.stream.queue.RangeDecoder(words[0])
            side = decoder.decode(self.models[40], math.prod(shape)) - REACH
            index, mean = self._prior(torch.from_numpy(side.reshape(1, *shape)).float())
            order, counts = self._order(index)
            decoder = constriction.stream.queue.RangeDecoder(words[1])
            sizes = np.diff(np.concatenate([[0], counts, [len(order)]]))
            parts = [
                decoder.decode(m, int(n)) for m, n in zip(self.models, sizes, strict=True) if n
            ]
            latent = np.empty(len(order), np.float32)
            latent[order] = np.concatenate(parts) - REACH
            placed = torch.from_numpy(latent.reshape(index.shape))[None] + mean
            out = self.synthesis(placed.contiguous(memory_format=torch.channels_last))[0]
            made: NDArray[np.uint8] = (
                (out * 255).round().clamp(0, 255).byte().permute(1, 2, 0).numpy()
            )
        return made

    def _prior(self, side: Tensor) -> tuple[NDArray[np.uint8], Tensor]:
        """Table index and mean of every latent."""
        both = self.hyper_synthesis(side.contiguous(memory_format=torch.channels_last))
        scale, mean = both.chunk(2, 1)
        spread = scale / scale.std() * 6 + 20
        return spread.clamp(0, TABLES - 1)[0].byte().numpy(), mean

    @staticmethod
    def _symbols(values: NDArray[np.float32]) -> NDArray[np.int32]:
        return (values.reshape(-1) + REACH).astype(np.int32)

    @staticmethod
    def _order(index: NDArray[np.uint8]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        flat = np.ascontiguousarray(index).reshape(-1)
        return (
            np.argsort(flat, kind="stable"),
            np.cumsum(np.bincount(flat, minlength=TABLES))[:-1],
        )
