"""Convolutions by products: the ones of torch, for any rows, block and border."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from sic_cli.codec.inference import convolution
from sic_cli.codec.inference.convolution import blocks, convolved, kernel


def by_torch(x: np.ndarray, weight: np.ndarray, edge: bool) -> np.ndarray:
    seen = torch.from_numpy(x).permute(2, 0, 1)[None]
    padded = F.pad(seen, (1, 1, 1, 1), mode="replicate" if edge else "constant")
    return F.conv2d(padded, torch.from_numpy(weight))[0].permute(1, 2, 0).numpy()


@pytest.mark.parametrize("edge", [False, True])
@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (2, 2), (13, 9)])
@pytest.mark.parametrize("numbers", [1, 200, 1 << 18])
def test_it_is_the_convolution_of_torch(
    edge: bool, shape: tuple[int, int], numbers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(convolution, "BLOCK", numbers)
    monkeypatch.setattr(blocks, "__defaults__", (numbers,))
    rng = np.random.default_rng(1)
    x = rng.integers(-9, 10, (*shape, 5)).astype(np.float32)
    weight = rng.integers(-9, 10, (4, 5, 3, 3)).astype(np.float32)
    want = by_torch(x, weight, edge)
    for rows in (slice(0, shape[0]), slice(shape[0] // 2, shape[0])):
        parts = [(block, h.copy()) for block, h in convolved(x, kernel(weight), rows, edge=edge)]
        assert [r for block, _ in parts for r in range(block.start, block.stop)] == list(
            range(rows.start, rows.stop)
        )
        got = np.concatenate([h for _, h in parts]).reshape(-1, shape[1], 4)
        assert np.array_equal(got, want[rows])


def test_numbers_are_held_where_that_is_asked_for() -> None:
    x = np.array([[[-5.0], [300.0], [7.0]]], np.float32)
    weight = np.ones((1, 1, 3, 3), np.float32)
    ((_, h),) = convolved(x, kernel(weight), slice(0, 1), most=255)
    assert h.reshape(-1).tolist() == [255, 262, 262]
    assert x.min() == -5
