"""Analysis and synthesis on a device of torch, called as those of `inference/transforms.py` are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ..inference.config import ModelConfig
from ..inference.convolution import Array
from ..inference.noise import NoiseMaps
from ..inference.transforms import MIDDLE, Arrays
from .transforms import Analysis, Noise, Synthesis


@contextmanager
def plainly(device: str) -> Iterator[None]:
    """Inside, nothing that the caller has set changes the floats: no autocast, and convolutions in all
    bits of float32, always the same way."""
    with (
        torch.inference_mode(),
        torch.autocast(torch.device(device).type, enabled=False),
        torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False),
    ):
        yield


def filled(
    kind: Callable[[ModelConfig], nn.Module], arrays: Arrays, config: ModelConfig, device: str
) -> nn.Module:
    """A network of these parameters on `device`; none are drawn that they would replace."""
    with torch.device("meta"):
        network = kind(config)
    state = {k: torch.from_numpy(v.astype(np.float32)) for k, v in arrays.items()}
    network.load_state_dict(state, assign=True)
    network.eval().requires_grad_(False)
    return network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


class TorchAnalysis:
    """Pixels -> latent."""

    def __init__(self, arrays: Arrays, config: ModelConfig, device: str) -> None:
        self._device = device
        self._network = filled(Analysis, arrays, config, device)

    def __call__(self, pixels: NDArray[np.uint8]) -> Array:
        """As `AnalysisRunner`."""
        with plainly(self._device):
            tensor = torch.from_numpy(pixels).to(self._device).permute(2, 0, 1)[None]
            out: Array = self._network(tensor.to(torch.float32) - MIDDLE)[0].cpu().numpy()
        return out


class TorchSynthesis:
    """Latent -> pixels."""

    def __init__(self, arrays: Arrays, config: ModelConfig, device: str) -> None:
        self._device = device
        perceptual = "noise16.weight" in arrays
        self._network = filled(lambda c: Synthesis(c, perceptual), arrays, config, device)

    def __call__(
        self, latent: Array, step: Array, level: int, noise: NoiseMaps | None = None
    ) -> NDArray[np.uint8]:
        """As `SynthesisRunner`."""
        with plainly(self._device):
            values, steps = (torch.from_numpy(a).to(self._device)[None] for a in (latent, step))
            at = torch.tensor([level - 1], device=self._device)
            out = self._network(values, steps, at, self._maps(noise))[0]
            out = (out + MIDDLE).round_().clamp_(0, 255).to(torch.uint8)
            pixels: NDArray[np.uint8] = out.permute(1, 2, 0).cpu().numpy()
        return pixels

    def _maps(self, noise: NoiseMaps | None) -> Noise | None:
        if noise is None:
            return None
        parts = (noise.stride16, noise.stride8, noise.stride4)
        one, two, three = (
            torch.from_numpy(part).to(self._device).permute(2, 0, 1)[None] for part in parts
        )
        return one, two, three
