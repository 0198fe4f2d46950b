"""The whole model: both transforms, the context network and the tables that they share."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from ..inference.config import ModelConfig
from ..quantization.step_sizes import StepSizes
from .context import ContextNet, magnitude_logs
from .transforms import Analysis, Synthesis


class CodecModel(nn.Module):
    """The trainable model.

    perceptual_synthesis: the decoder of realism 1 where both are trained at once (`add_perceptual_synthesis`), else None.

    reconstruction_offset: float (K, C), where in an interval the decoder puts a value: (|index| + reconstruction_offset) * step size.
    reach: whole float (C,); logs: whole float (256,): see `context.features`.
    """

    reach: Tensor
    logs: Tensor
    unit: Tensor
    depths: Tensor
    pass_depths: Tensor

    def __init__(self, config: ModelConfig, table: StepSizes) -> None:
        super().__init__()
        self.config = config
        self.analysis = Analysis(config)
        self.synthesis = Synthesis(config)
        self.perceptual_synthesis: Synthesis | None = None
        self.context = ContextNet(config, len(table.pass_level))
        self.reconstruction_offset = nn.Parameter(
            torch.full((config.levels, config.channels), 0.46)
        )
        self.register_buffer("reach", torch.zeros(config.channels))
        self.register_buffer("logs", magnitude_logs())
        self.register_buffer("unit", torch.from_numpy(table.unit).clone())
        self.register_buffer("depths", torch.from_numpy(table.depths).float())
        self.register_buffer("pass_depths", torch.from_numpy(table.pass_depths).float())
        self.pass_level = table.pass_level

    def add_perceptual_synthesis(self) -> Synthesis:
        """Give the model a second decoder, which begins as the first, and return it."""
        self.perceptual_synthesis = copy.deepcopy(self.synthesis)
        return self.perceptual_synthesis

    def step_sizes(self, depth: Tensor) -> Tensor:
        """Step sizes for depths (..., C); infinite where not sent."""
        return torch.where(depth < 0, torch.inf, self.unit * torch.exp2(-depth))
