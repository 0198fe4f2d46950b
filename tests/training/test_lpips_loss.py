"""The perceptual loss against published distances; needs the backbones that development uses."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from sic_cli.training.lpips_loss import perceptual_networks
from tests.conftest import ROOT

BACKBONES = ROOT.parent / "shared" / "data" / "backbones"

pytestmark = pytest.mark.skipif(
    not BACKBONES.is_dir(), reason="the AlexNet backbone is not part of the repository"
)


@pytest.fixture(scope="module")
def networks() -> nn.ModuleDict:
    return perceptual_networks(BACKBONES)


def example(name: str) -> torch.Tensor:
    with Image.open(io.BytesIO(Path(BACKBONES / "examples" / name).read_bytes())) as picture:
        pixels = np.array(picture.convert("RGB"))
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].float() - 127.5


@pytest.mark.parametrize(
    ("kind", "name", "known"),
    [
        ("alex", "ex_p0.png", 0.722),
        ("alex", "ex_p1.png", 0.138),
        ("squeeze", "ex_p0.png", 0.711),
        ("squeeze", "ex_p1.png", 0.148),
    ],
)
def test_known_distances_come_out(
    networks: nn.ModuleDict, kind: str, name: str, known: float
) -> None:
    """AlexNet's are published; SqueezeNet's come from an implementation written apart from this one."""
    with torch.no_grad():
        distance = networks[kind](example("ex_ref.png"), example(name)).item()
    assert distance == pytest.approx(known, abs=1e-3)


@pytest.mark.parametrize("kind", ["alex", "squeeze"])
def test_gradients_reach_the_picture(networks: nn.ModuleDict, kind: str) -> None:
    picture = example("ex_p0.png").requires_grad_()
    networks[kind](picture, example("ex_ref.png")).sum().backward()
    assert picture.grad is not None and picture.grad.abs().max() > 0
