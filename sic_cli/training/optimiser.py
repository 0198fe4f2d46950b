"""Muon for the stacks of convolutions, AdamW for everything else.

Muon (Keller Jordan, 2024): momentum whose matrix is made nearly orthogonal by a Newton-Schulz
iteration, so that every direction of a layer learns at the same pace.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.distributed as dist
from torch import Tensor

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)


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
    """Nesterov momentum, orthogonalised, scaled to the step size that AdamW would take.

    With several processes each one orthogonalises its share of the matrices; the sum over processes
    gives every process all updates.
    """

    def __init__(
        self, params: Iterable[dict[str, object]], lr: float, momentum: float = 0.95
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        several = dist.is_available() and dist.is_initialized()
        rank, share = (dist.get_rank(), dist.get_world_size()) if several else (0, 1)
        live = [(p, g["lr"], g["momentum"]) for g in self.param_groups for p in g["params"]]
        updates = torch.zeros(sum(p.numel() for p, _, _ in live), device=live[0][0].device)
        parts = torch.split(updates, [p.numel() for p, _, _ in live])
        for index, ((p, _, momentum), part) in enumerate(zip(live, parts, strict=True)):
            state = self.state[p]
            if not state:
                state["momentum"] = torch.zeros_like(p)
            mean = state["momentum"].lerp_(p.grad, 1 - momentum)
            if index % share == rank:
                push = p.grad.lerp(mean, momentum).reshape(len(p), -1)
                part.copy_(orthogonalise(push).reshape(-1))
        if several:
            dist.all_reduce(updates)
        for (p, lr, _), part in zip(live, parts, strict=True):
            p.add_(part.view(p.shape), alpha=-lr * 0.2 * max(len(p), p[0].numel()) ** 0.5)
