"""Stage 1: everything that a model knows before any network is trained.

The KLT of 16x16 patches, the spread of its coefficients, the step-size table and the place where the
context network's features are one. A model at this stage is already a codec: the row "one linear
transform" of the tables in the design notes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ..codec.inference.config import PATCH, STRIDE, ModelConfig
from ..codec.networks.codec_model import CodecModel
from ..codec.quantization.step_sizes import StepSizes, staggered
from .checkpoint import table_of
from .data import Crops

COLOUR_FINER = 1
"""Extra depths for channels that carry the mean colour of a patch: the eye sees flat areas first."""


@dataclass(frozen=True, slots=True)
class Start:
    """basis: float32 (PATCH, PATCH), rows by falling variance; std: float32 (PATCH,)."""

    basis: Tensor
    std: Tensor


def klt(crops: Crops, patches: int = 300_000) -> Start:
    """Eigenvectors of the covariance of centred patches, and standard deviations along them."""
    total, seen = torch.zeros(PATCH, PATCH, dtype=torch.float64), 0
    while seen < patches:
        pixels = torch.from_numpy(crops.batch(32)).permute(0, 3, 1, 2).float() - 127.5
        rows = F.pixel_unshuffle(pixels, STRIDE).permute(0, 2, 3, 1).reshape(-1, PATCH).double()
        total += rows.T @ rows
        seen += len(rows)
    variance, vectors = torch.linalg.eigh(total / seen)
    return Start(
        vectors.flip(1).T.float().contiguous(), variance.flip(0).clamp_min(0.25).sqrt().float()
    )


def colour_channels(basis: Tensor, channels: int) -> NDArray[np.int8]:
    """int8 (channels,): COLOUR_FINER where most of a basis vector is the patch's mean colour."""
    planes = basis[:channels].reshape(channels, 3, -1)
    share = (planes.sum(2) ** 2 / planes.shape[2]).sum(1)
    return np.where(share.numpy() > 0.5, COLOUR_FINER, 0).astype(np.int8)


def step_size_table(config: ModelConfig, start: Start) -> StepSizes:
    """The step-size table of a new model."""
    finer = colour_channels(start.basis, config.channels)
    return staggered(
        config.channels,
        config.levels,
        config.widest,
        config.finest,
        finer,
        config.groups,
        config.lead,
    )


def reach(table: StepSizes, std: Tensor) -> Tensor:
    """float (C,), whole: depth at which 2 |interval| + 1 is 16 for a latent of one standard deviation."""
    unit = torch.from_numpy(table.unit)
    return torch.round(torch.log2(unit / (2 * std[: table.channels]) * 16))


def laplace(model: CodecModel, std: Tensor) -> Tensor:
    """float (S, 3 C): the logits of every coding pass for Laplace sources of these deviations (C,)."""
    logit = (
        (model.step_sizes(model.pass_depths[1:]) / (std / math.sqrt(2)))
        .clamp(0.1, 12)
        .nan_to_num(0.0)
    )
    return torch.cat([logit, torch.zeros_like(logit), logit], 1)


def new_context(model: CodecModel, width: int, blocks: int) -> CodecModel:
    """The same transforms with a context network that has learned nothing but the spread of latents
    at the start of training, from which `Analysis.scale` was made."""
    config = replace(model.config, context_width=width, context_blocks=blocks)
    fresh = CodecModel(config, table_of(model))
    kept = {k: v for k, v in model.state_dict().items() if not k.startswith("context.")}
    if model.perceptual_synthesis is not None:
        fresh.add_perceptual_synthesis()
    fresh.load_state_dict(kept, strict=False)
    with torch.no_grad():
        fresh.context.exit_bias.copy_(laplace(fresh, (model.analysis.scale - 1) / 0.1))
    return fresh
