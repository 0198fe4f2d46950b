"""Packed pictures and the crops that are cut from them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from sic_cli.training.data import Crops, DeviceCrops, open_packed
from tests.training.made import packed, pictures


def test_packed_pictures_are_the_pictures(tmp_path: Path) -> None:
    found, digest = open_packed(packed(tmp_path) / "packed")
    assert len(found) == 4 and len(digest) == 64
    assert np.array_equal(found[2], pictures()[2])
    assert Crops(found, 64, 1).batch(3).shape == (3, 64, 64, 3)
    with pytest.raises(ValueError, match="crop"):
        Crops(found, 512, 0)


def test_the_same_seed_gives_the_same_crops() -> None:
    one, two = Crops(pictures(), 64, 1), DeviceCrops(pictures(), 64, 1, torch.device("cpu"))
    for crops in (one, two):
        first = torch.as_tensor(crops.batch(4))
        crops.reseed(9)
        second = torch.as_tensor(crops.batch(4))
        crops.batch(1)
        crops.reseed(9)
        assert torch.equal(second, torch.as_tensor(crops.batch(4)))
        assert not torch.equal(first, second)


def test_crops_cut_on_the_device_come_from_the_pictures() -> None:
    ramp = np.arange(80 * 90 * 3, dtype=np.uint32).reshape(80, 90, 3) % 251
    crops = DeviceCrops([ramp.astype(np.uint8)], 48, 1, torch.device("cpu"))
    got = crops.batch(40).numpy()
    windows = np.lib.stride_tricks.sliding_window_view(ramp, (48, 48), axis=(0, 1))
    known = {w.tobytes() for row in windows.astype(np.uint8) for w in row}
    found = 0
    for crop in got.astype(np.uint8):
        turned = crop.transpose(0, 2, 1)
        turns = (crop, crop[:, :, ::-1], turned, turned[:, :, ::-1])
        found += any(np.ascontiguousarray(t).tobytes() in known for t in turns)
    assert found == 40
    small = DeviceCrops([np.full((100, 100, 3), 77, np.uint8)], 48, 1, torch.device("cpu"))
    assert (small.batch(30) == 77).all()
