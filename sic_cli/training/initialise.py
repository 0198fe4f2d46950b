"""A new model: everything that is known before any network is trained.

The KLT of 16x16 patches, the spread of its coefficients and the step-size table. Such a model is already a codec:
the row "one linear transform" of the tables in the design notes. The three vectors that carry a patch's mean colour
become the channels that layer 0 sends: brightness, blue - red and magenta - green.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ..codec.inference.config import PATCH, STRIDE, ModelConfig
from ..codec.quantization.step_sizes import MEAN_COLOUR_STEPS, MEAN_COLOURS, staggered
from .data import Crops, DeviceCrops
from .model import TrainModel

PATCHES = 300_000
COLOURS = ((1.0, 1.0, 1.0), (-1.0, 0.0, 1.0), (1.0, -2.0, 1.0))
"""Of the mean-colour channels, by red, green and blue: layer 0's pictures depend on their signs."""
EARLIER = ((1, 2), (3, 1))
"""(level from 0 of 16, mean colour): from there on a bit plane finer than at level 1, at least."""


@dataclass(frozen=True, slots=True)
class Start:
    """basis: float32 (PATCH, PATCH), rows by falling variance, but for the mean colours; std: float32 (PATCH,)."""

    basis: Tensor
    std: Tensor


def klt(crops: Crops | DeviceCrops, patches: int = PATCHES) -> Start:
    """Eigenvectors of the covariance of centred patches, and standard deviations along them."""
    total, seen = torch.zeros(PATCH, PATCH, dtype=torch.float64), 0
    while seen < patches:
        pixels = torch.as_tensor(crops.batch(32)).cpu()
        if isinstance(crops, Crops):
            pixels = pixels.permute(0, 3, 1, 2)
        rows = F.pixel_unshuffle(pixels.float() - 127.5, STRIDE)
        rows = rows.permute(0, 2, 3, 1).reshape(-1, PATCH).double()
        total += rows.T @ rows
        seen += len(rows)
    variance, vectors = torch.linalg.eigh(total / seen)
    basis, std = vectors.flip(1).T.float(), variance.flip(0).clamp_min(0.25).sqrt().float()
    order = torch.tensor(_order(basis))
    basis, std = basis[order].contiguous(), std[order]
    for channel, colour in zip(MEAN_COLOURS, COLOURS, strict=True):
        if _mean_colours(basis[channel : channel + 1])[0] @ torch.tensor(colour) < 0:
            basis[channel].neg_()
    return Start(basis, std)


def _mean_colours(basis: Tensor) -> Tensor:
    """(n, 3): what each vector (n, PATCH) holds of red, green and blue all over the patch."""
    return basis.view(len(basis), 3, -1).sum(2) / STRIDE


def _order(basis: Tensor) -> list[int]:
    """The vectors of the mean colours where layer 0 expects them, all others in their order."""
    flat, chosen = _mean_colours(basis), list[int]()
    for colour in COLOURS:
        wanted = torch.tensor(colour) / torch.tensor(colour).norm()
        fit = (flat @ wanted).abs()
        fit[chosen] = -1
        chosen.append(int(fit.argmax()))
    rest = iter(i for i in range(len(basis)) if i not in chosen)
    places = dict(zip(MEAN_COLOURS, chosen, strict=True))
    return [places[i] if i in places else next(rest) for i in range(len(basis))]


def step_size_table(config: ModelConfig) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    """Units (C,) and depths (K, C) of a new model: the eye sees flat areas first, so the mean colours are finer."""
    none = np.zeros((config.levels, config.channels), np.int8)
    unit, depths = staggered(config.channels, config.levels, config.widest, config.finest, none)
    for colour, channel in enumerate(MEAN_COLOURS):
        first = round(float(np.log2(unit[channel] / MEAN_COLOUR_STEPS[colour])))
        least = np.full(config.levels, first)
        for level, which in EARLIER:
            if which == colour:
                least[max(1, round(level * (config.levels - 1) / 15)) :] += 1
        depths[:, channel] = np.maximum(depths[:, channel] + 1, least)
        depths[0, channel] = first
    return unit, depths


def new_model(
    config: ModelConfig, crops: Crops | DeviceCrops, patches: int = PATCHES
) -> TrainModel:
    """The KLT, its step-size table, networks whose last layers are zero."""
    first = klt(crops, patches)
    unit, depths = step_size_table(config)
    model = TrainModel(config, unit, depths)
    basis, std = first.basis[: config.channels], first.std[: config.channels]
    with torch.no_grad():
        model.analysis.linear.copy_(basis)
        model.mse.linear.copy_(basis.T)
        model.analysis.scale.copy_(0.1 * std + 1)
        model.mse.scale.copy_(0.5 * std + 8)
    return model
