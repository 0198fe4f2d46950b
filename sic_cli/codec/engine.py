"""Weights made ready to code: networks on a device, the layer coder, and the numbers between them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from .inference import tiles
from .inference.config import STRIDE
from .inference.context import ContextRunner
from .inference.convolution import Array
from .inference.noise import NoiseMaps, columns_of, noise_maps
from .inference.synthesis_backward import SynthesisGradient
from .inference.tiles import Strip, columns, scaled, strips
from .inference.transforms import AnalysisRunner, SynthesisRunner, halo, in_reading_order
from .networks.device import pick_device
from .quantization import dead_zone
from .quantization.dead_zone import Indices
from .quantization.step_sizes import StepSizes
from .rdo.choice import Bits
from .rdo.search import Search
from .symbols.coding_tables import CodingTables
from .symbols.layer_coder import LayerCoder
from .weights.card import ModelCard
from .weights.load import ModelWeights, decoder_at, load

Pixels = NDArray[np.uint8]
"""uint8 (H, W, 3)."""
REALISM = 1.0
"""Which decoder is used where nobody says: the perceptual one."""
Synthesis = Callable[[Array, Array, int, NoiseMaps | None], Pixels]
"""Dequantised latent, step sizes, level and noise maps -> pixels."""


class Networks:
    """The transforms of weights on a device; each is made when it is first asked for."""

    def __init__(self, model_weights: ModelWeights, device: str) -> None:
        self._weights, self._config, self._device = model_weights, model_weights.card.config, device
        self.synthesis = lru_cache(2)(self._synthesis)
        self.backwards = lru_cache(2)(self._backwards)

    @property
    def painted(self) -> int:
        """Positions that the synthesis may look at together."""
        return tiles.PAINTED_LATENTS if self._device == "cpu" else tiles.STRIP_LATENTS

    @cached_property
    def analysis(self) -> Callable[[Pixels], Array]:
        """Pixels, sides multiples of 16 -> latent."""
        if self._device == "cpu":
            return AnalysisRunner(self._weights.analysis, self._config)
        from .networks.on_gpu import TorchAnalysis

        return TorchAnalysis(self._weights.analysis, self._config, self._device)

    @cached_property
    def span(self) -> Array:
        """float32 (768, C): orthonormal vectors that span the linear filters of the analysis."""
        filters = in_reading_order(self._weights.analysis["linear"].astype(np.float32))
        return np.linalg.qr(filters.astype(np.float64))[0].astype(np.float32)

    def _backwards(self, realism: float) -> SynthesisGradient:
        """A decoder that a search asks; on the CPU, whatever the device."""
        return SynthesisGradient(decoder_at(self._weights, realism), self._config)

    def _synthesis(self, realism: float) -> Synthesis:
        """A decoder. realism: see `decoder_at`."""
        arrays = decoder_at(self._weights, realism)
        if self._device == "cpu":
            return SynthesisRunner(arrays, self._config)
        from .networks.on_gpu import TorchSynthesis

        return TorchSynthesis(arrays, self._config, self._device)


@dataclass(frozen=True, slots=True)
class Engine:
    """Made by `engine`. All methods take and give whole pictures."""

    model_weights: ModelWeights
    table: StepSizes
    tables: CodingTables
    context_runner: ContextRunner
    networks: Networks

    @property
    def layer_coder(self) -> LayerCoder:
        """A layer coder for one picture."""
        return LayerCoder(self.table, self.tables, self.context_runner.incremental())

    def analyse(self, pixels: Pixels) -> NDArray[np.float32]:
        """Pixels -> latent float32 (C, ceil(H / 16), ceil(W / 16)); edges are repeated outwards."""
        rows, across = (-(-side // STRIDE) for side in pixels.shape[:2])
        latent = np.empty((self.table.channels, rows, across), np.float32)
        for strip, part in self.latents(pixels):
            latent[:, strip.own] = part
        return latent

    def latents(self, pixels: Pixels) -> Iterator[tuple[Strip, NDArray[np.float32]]]:
        """What `analyse` gives, by strips of rows."""
        height, width = pixels.shape[:2]
        rows, across = -(-height // STRIDE), -(-width // STRIDE)
        beyond = halo(self.model_weights.card.config)
        for strip in strips(rows, across, beyond):
            part = pixels[scaled(strip.seen, STRIDE)]
            below = (strip.last - strip.first) * STRIDE - len(part)
            padded = np.pad(part, ((0, below), (0, -width % STRIDE), (0, 0)), mode="edge")
            parts: list[Array] = []
            for column in columns(across, beyond):
                seen = np.ascontiguousarray(padded[:, scaled(column.seen, STRIDE)])
                parts.append(self.networks.analysis(seen)[:, strip.kept, column.kept])
            yield strip, parts[0] if len(parts) == 1 else np.concatenate(parts, 2)

    @property
    def search(self) -> Search:
        """What moves indices to better ones."""
        config, arrays = self.model_weights.card.config, self.model_weights.arrays
        kinds = ("significance", "sign", "refinement")
        return Search(
            self.table,
            self.model_weights.reconstruction_offset,
            config.widest,
            config.finest,
            config.noise,
            self.networks.backwards(0.0).vjp,
            self.networks.backwards(1.0).vjp,
            self.context_runner.incremental,
            Bits.of({name: arrays[name] for name in kinds}),
        )

    def quantise(self, latent: NDArray[np.float32]) -> Indices:
        """Latent -> indices at the last level."""
        return dead_zone.quantise(latent, self.table)

    def dequantise(self, indices: Indices, level: int) -> NDArray[np.float32]:
        """Indices at `level` -> latent."""
        offset = self.model_weights.reconstruction_offset[level - 1]
        return dead_zone.reconstruct(indices, self.table, level, offset)

    def synthesise(
        self,
        latent: NDArray[np.float32],
        level: int,
        height: int,
        width: int,
        realism: float = REALISM,
        seed: int = 0,
    ) -> Pixels:
        """Latent at `level` -> pixels uint8 (height, width, 3). realism: 0..1, see `decoder_at`; seed: of the
        noise that decoders above realism 0 get."""
        return self._painted(lambda rows: latent[:, rows], level, height, width, realism, seed)

    def picture(
        self,
        indices: Indices,
        level: int,
        height: int,
        width: int,
        realism: float = REALISM,
        seed: int = 0,
    ) -> Pixels:
        """`dequantise` and `synthesise`, without the latent of the whole picture."""

        def latent(rows: slice) -> NDArray[np.float32]:
            return self.dequantise(indices[:, rows], level)

        return self._painted(latent, level, height, width, realism, seed)

    def _painted(
        self,
        latent: Callable[[slice], NDArray[np.float32]],
        level: int,
        height: int,
        width: int,
        realism: float,
        seed: int,
    ) -> Pixels:
        """Pixels of a latent that comes by rows."""
        config, sizes = self.model_weights.card.config, self.table.step_sizes(level)
        network, pixels = self.networks.synthesis(realism), np.empty((height, width, 3), np.uint8)
        beyond = halo(config)
        rows, across = -(-height // STRIDE), -(-width // STRIDE)
        most = self.networks.painted if across <= tiles.WIDE else tiles.STRIP_LATENTS
        for strip in strips(rows, across, beyond, most):
            values, noise = latent(strip.seen), None
            if realism:
                noise = noise_maps(seed, config.noise, strip.seen, slice(0, across))
            for column in columns(across, beyond):
                here = np.ascontiguousarray(values[:, :, column.seen])
                own_noise = None if noise is None else columns_of(noise, column)
                out = network(here, sizes, level, own_noise)
                out = out[scaled(strip.kept, STRIDE), scaled(column.kept, STRIDE)]
                own = pixels[scaled(strip.own, STRIDE), scaled(column.own, STRIDE)]
                own[:] = out[: own.shape[0], : own.shape[1]]
        return pixels


_ENGINES: dict[tuple[str, str], Engine] = {}


def engine(card: ModelCard, device: str = "cpu") -> Engine:
    """Weights on a device; built once per process."""
    where = pick_device(device)
    key = (card.digest, where)
    if key not in _ENGINES:
        _ENGINES[key] = assembled(load(card), where)
    return _ENGINES[key]


def assembled(model_weights: ModelWeights, device: str = "cpu") -> Engine:
    """The engine of some weights. Symbols come from the CPU, whatever the device. Raises ModelError if their
    tables are not frequencies."""
    table = model_weights.table
    try:
        tables = CodingTables.from_arrays(model_weights.arrays)
    except ValueError as error:
        raise ModelError(f"{model_weights.card.folder}: coding tables: {error}") from None
    context_runner = ContextRunner(
        model_weights.context, model_weights.reach, model_weights.logs, table.passes
    )
    return Engine(
        model_weights,
        table,
        tables,
        context_runner,
        Networks(model_weights, device),
    )
