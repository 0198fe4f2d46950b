"""A mean-and-scale hyperprior codec of the usual size, with untrained weights: a peer in speed alone.

The layers are those of "Joint Autoregressive and Hierarchical Priors" without the autoregressive part
(Minnen and others, NeurIPS 2018; CompressAI's `mbt2018_mean`, qualities 1 to 4: 128 and 192 channels).
Latents are coded with 64 tables of Gaussians: by CompressAI's own coder in C++ (`compressai.ans`) where
that package is installed, called as CompressAI calls it, else by constriction with one call a table.
Weights do not change the time; the latents are scaled so that a file has about the size of a real one.
"""

from __future__ import annotations

import importlib.util
import math
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any

import constriction
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

NARROW, WIDE, TABLES, REACH = 128, 192, 64, 32
SIDE_TABLE = 40


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


def shares() -> list[NDArray[np.float32]]:
    """Gaussians over -REACH..REACH, scales rising from 0.11 to 16."""
    edges = np.arange(-REACH, REACH + 2) - 0.5
    rows = []
    for scale in np.geomspace(0.11, 16, TABLES):
        below = np.array([0.5 * (1 + math.erf(e / scale / math.sqrt(2))) for e in edges])
        rows.append(np.maximum(np.diff(below), 1e-6).astype(np.float32))
    return rows


def compressai_coder() -> Any:
    """The module `compressai.ans`, or None. The package around it is not imported: it needs many more."""
    package = importlib.util.find_spec("compressai")
    for folder in (package.submodule_search_locations or ()) if package else ():
        for path in (Path(folder) / f"ans{suffix}" for suffix in EXTENSION_SUFFIXES):
            spec = importlib.util.spec_from_file_location("ans", path) if path.exists() else None
            if spec and spec.loader:
                module = importlib.util.module_from_spec(spec)
                spec.loader.exec_module(module)
                return module
    return None


class OwnCoder:
    """CompressAI's coder, fed as its entropy models feed it: lists of symbols and of tables' numbers."""

    name = "compressai.ans"

    def __init__(self, module: Any) -> None:
        self._module = module
        cdfs = []
        for share in shares():
            parts = np.append(share / share.sum(), 0)  # the last one is for symbols out of range
            whole = 1 + np.floor(parts * (65536 - len(parts))).astype(np.int64)
            whole[whole.argmax()] += 65536 - whole.sum()
            cdfs.append([0, *np.cumsum(whole).tolist()])
        self._tables = (cdfs, [len(cdf) for cdf in cdfs], [0] * TABLES)

    def encode(self, symbols: NDArray[np.int32], index: NDArray[np.uint8]) -> Any:
        coder = self._module.RansEncoder()
        return coder.encode_with_indexes(symbols.tolist(), index.tolist(), *self._tables)

    def decode(self, words: Any, index: NDArray[np.uint8]) -> NDArray[np.float32]:
        coder = self._module.RansDecoder()
        return np.array(coder.decode_with_indexes(words, index.tolist(), *self._tables), np.float32)


class StandIn:
    """Constriction, with one call a table: what stands in for CompressAI's coder."""

    name = "constriction, standing in for compressai.ans"

    def __init__(self) -> None:
        self._models = [
            constriction.stream.model.Categorical(share, perfect=False) for share in shares()
        ]

    def encode(self, symbols: NDArray[np.int32], index: NDArray[np.uint8]) -> Any:
        coder, (order, cuts) = constriction.stream.queue.RangeEncoder(), self._order(index)
        for model, part in zip(self._models, np.split(symbols[order], cuts), strict=True):
            coder.encode(part, model)
        return coder.get_compressed()

    def decode(self, words: Any, index: NDArray[np.uint8]) -> NDArray[np.float32]:
        coder, (order, cuts) = constriction.stream.queue.RangeDecoder(words), self._order(index)
        sizes = np.diff(np.concatenate([[0], cuts, [len(order)]]))
        parts = [coder.decode(m, int(n)) for m, n in zip(self._models, sizes, strict=True) if n]
        out = np.empty(len(order), np.float32)
        out[order] = np.concatenate(parts)
        return out

    @staticmethod
    def _order(index: NDArray[np.uint8]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        cuts = np.cumsum(np.bincount(index, minlength=TABLES))[:-1]
        return np.argsort(index, kind="stable"), cuts


class Hyperprior(nn.Module):
    """See the module's head. Pixels uint8 (H, W, 3) -> both streams, and back."""

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
        module = compressai_coder()
        self.coder: OwnCoder | StandIn = OwnCoder(module) if module else StandIn()

    def encode(self, pixels: NDArray[np.uint8]) -> tuple[Any, Any]:
        with torch.inference_mode():
            x = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
            latent = self.analysis(x)
            side = self.hyper_analysis(latent).mul(4).round().clamp(-REACH, REACH)
            index, mean = self._prior(side)
            whole = (latent / latent.std() - mean).round().clamp(-REACH, REACH)[0].numpy()
        sides = self._symbols(side[0].numpy())
        first = self.coder.encode(sides, np.full(len(sides), SIDE_TABLE, np.uint8))
        return first, self.coder.encode(self._symbols(whole), index.reshape(-1))

    def decode(self, words: tuple[Any, Any], height: int, width: int) -> NDArray[np.uint8]:
        with torch.inference_mode():
            shape = (1, NARROW, height // 64, width // 64)
            flat = self.coder.decode(words[0], np.full(math.prod(shape), SIDE_TABLE, np.uint8))
            index, mean = self._prior(torch.from_numpy((flat - REACH).reshape(shape)))
            latent = self.coder.decode(words[1], index.reshape(-1)) - REACH
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
        index = spread.clamp(0, TABLES - 1)[0].byte().contiguous().numpy()
        return index, mean

    @staticmethod
    def _symbols(values: NDArray[np.float32]) -> NDArray[np.int32]:
        return (values.reshape(-1) + REACH).astype(np.int32)
