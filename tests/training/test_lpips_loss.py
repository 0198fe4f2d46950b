"""The perceptual loss against published distances; needs the backbones that development uses."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from sic_cli.training.lpips_loss import LpipsLoss
from tests.conftest import ROOT

BACKBONES = ROOT.parent / "shared" / "data" / "backbones"

pytestmark = pytest.mark.skipif(
    not BACKBONES.is_dir(), reason="the AlexNet backbone is not part of the repository"
)


@pytest.fixture(scope="module")
def loss(tmp_path_factory: pytest.TempPathFactory) -> LpipsLoss:
    net = torch.load(BACKBONES / "alexnet_features_imagenet.pth", weights_only=True)
    heads = torch.load(BACKBONES / "lpips_v0.1_lin_alex.pth", weights_only=True, map_location="cpu")
    tensors = dict(net) | {f"lin{i}": heads[f"lin{i}.model.1.weight"] for i in range(5)}
    path = tmp_path_factory.mktemp("lpips") / "lpips.safetensors"
    save_file({k: v.contiguous() for k, v in tensors.items()}, path)
    return LpipsLoss(path)


def example(name: str) -> torch.Tensor:
    with Image.open(io.BytesIO(Path(BACKBONES / "examples" / name).read_bytes())) as picture:
        pixels = np.array(picture.convert("RGB"))
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].float() - 127.5


@pytest.mark.parametrize(("name", "published"), [("ex_p0.png", 0.722), ("ex_p1.png", 0.138)])
def test_published_distances_come_out(loss: LpipsLoss, name: str, published: float) -> None:
    with torch.no_grad():
        assert loss(example("ex_ref.png"), example(name)).item() == pytest.approx(
            published, abs=1e-3
        )


def test_gradients_reach_the_picture(loss: LpipsLoss) -> None:
    picture = example("ex_p0.png").requires_grad_()
    loss(picture, example("ex_ref.png")).sum().backward()
    assert picture.grad is not None and picture.grad.abs().max() > 0
