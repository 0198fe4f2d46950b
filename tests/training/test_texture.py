"""The loss that keeps texture: blind to where it lies, not to how much there is, nor to blocks."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from sic_cli.training.loss import blocking_loss
from sic_cli.training.texture import statistics


def grain(seed: int, spread: float = 12.0) -> Tensor:
    chance = torch.Generator().manual_seed(seed)
    return torch.randn(1, 3, 64, 64, generator=chance) * spread


def blocks(height: float) -> Tensor:
    """Patches that are alternately too bright and too dark by `height`."""
    y, x = torch.meshgrid(torch.arange(64) // 16, torch.arange(64) // 16, indexing="ij")
    return (height * (1 - 2 * ((x + y) % 2).float())).expand(1, 3, 64, 64)


def test_equal_pictures_are_at_no_distance() -> None:
    assert statistics(grain(1), grain(1)).item() == 0


def test_other_grain_is_nearer_than_none() -> None:
    """Squared error says the opposite."""
    original, other, smooth = grain(1), grain(2), grain(1) * 0.2
    assert (other - original).square().mean() > (smooth - original).square().mean()
    assert statistics(other, original) < 0.5 * statistics(smooth, original)


def test_steps_between_patches_are_no_texture() -> None:
    smooth = grain(1) * 0.2
    assert torch.allclose(statistics(smooth + blocks(6), grain(1)), statistics(smooth, grain(1)))
    moved = blocks(6).roll(5, 3)
    assert statistics(smooth + moved, grain(1)) < 0.99 * statistics(smooth, grain(1))


def test_steps_count_where_they_are_seen() -> None:
    flat = torch.zeros(1, 3, 64, 64)
    seen = blocking_loss(blocks(2), flat)
    assert seen > 10 * blocking_loss(blocks(2), grain(3))
    assert blocking_loss(blocks(2).roll(5, 3).mT.roll(5, 3).mT, flat) == 0, (
        "only edges of patches count"
    )


@pytest.mark.parametrize("side", [32, 48, 256])
def test_gradients_reach_the_picture_at_every_size_of_crop(side: int) -> None:
    made = torch.randn(2, 3, side, side).requires_grad_()
    distance = statistics(made, torch.randn(2, 3, side, side) * 9)
    assert distance.shape == (2,)
    distance.sum().backward()
    assert made.grad is not None and torch.isfinite(made.grad).all() and made.grad.abs().max() > 0
