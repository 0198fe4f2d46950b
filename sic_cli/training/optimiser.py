"""Muon for large matrices, AdamW for everything else.

Muon (Keller Jordan, 2024): momentum whose matrix is made nearly orthogonal by a Newton-Schulz
iteration, so that every direction of a layer learns at the same pace.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from .config import Stage, TrainConfig
from .model import TrainModel

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
LARGE = 512
"""Parameters from which on a convolution inside a network is a matrix for Muon."""
ENDS = ("entry", "exit", "head_out", "noise")
"""Convolutions at the ends of networks, which Adam trains."""
FROZEN: dict[Stage, tuple[str, ...]] = {
    "mse": ("perceptual.",),
    "both": (),
    "gan": ("analysis.", "mse.", "centre"),
}
"""What each stage leaves as it is, by the beginnings of names."""


def orthogonalise(matrix: Tensor, turns: int = 5) -> Tensor:
    """The nearest orthogonal-ish matrix (singular values in about 0.7..1.2)."""
    a, b, c = NEWTON_SCHULZ
    x: Tensor = matrix / (matrix.norm() + 1e-7)
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    for _ in range(turns):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if tall else x


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, orthogonalised, scaled to the step size that AdamW would take."""

    def __init__(
        self, params: Iterable[dict[str, object]], lr: float, momentum: float = 0.95
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if not state:
                    state["momentum"] = torch.zeros_like(p)
                mean = state["momentum"].lerp_(p.grad, 1 - group["momentum"])
                push = p.grad.lerp(mean, group["momentum"]).reshape(len(p), -1)
                size = 0.2 * max(len(p), p[0].numel()) ** 0.5
                p.add_(orthogonalise(push).view(p.shape), alpha=-group["lr"] * size)


def optimisers_for(model: TrainModel, config: TrainConfig) -> list[torch.optim.Optimizer]:
    """Muon, then AdamW, of what learns in this stage; everything else is frozen."""
    frozen = FROZEN[config.stage]
    muon: dict[float, list[Tensor]] = {}
    adam: dict[float, list[Tensor]] = {}
    for name, p in model.named_parameters():
        p.requires_grad_(not name.startswith(frozen))
        if not p.requires_grad:
            continue
        factor = config.encoder_lr if name.startswith("analysis.") else 1.0
        factor = config.linear_lr if name.endswith(".linear") else factor
        at_end = name.split(".")[1].startswith(ENDS) if "." in name else True
        inside = p.dim() == 4 and p.numel() >= LARGE and not at_end
        (muon if inside else adam).setdefault(factor, []).append(p)
    made: list[torch.optim.Optimizer] = []
    if muon:
        groups = [{"params": ps, "lr": config.muon_lr * f} for f, ps in muon.items()]
        made.append(Muon(groups, config.muon_lr))
    groups = [{"params": ps, "lr": config.lr * f} for f, ps in adam.items()]
    made.append(torch.optim.AdamW(groups, betas=(0.9, 0.98), weight_decay=1e-4))
    return made


def optimiser_of_discriminator(
    discriminator: nn.Module, config: TrainConfig
) -> torch.optim.Optimizer:
    """Adam with a short memory, since what it judges changes all the time."""
    return torch.optim.Adam(discriminator.parameters(), config.discriminator_lr, betas=(0.5, 0.95))


def learning_factor(steps: int, part: float, config: TrainConfig, final: bool) -> float:
    """Share of the learning rate: warm-up by the steps of this stage, then flat, then (if final) down to nearly
    nothing. part: share of the run that is done."""
    warm = min(1.0, (steps + 1) / max(1, config.warmup))
    if not final or part < 1 - config.decay:
        return warm
    return warm * max(0.005, math.cos((part - 1 + config.decay) / config.decay * math.pi / 2))
