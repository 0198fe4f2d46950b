"""Weights of metrics: published files are read at known bytes, and nothing is ever unpickled."""

from __future__ import annotations

import importlib.util
import itertools
import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from sic_cli.errors import ModelError
from sic_cli.metrics import backbones
from sic_cli.metrics.published import FILES, read_published
from tests.conftest import ROOT

BACKBONES = ROOT.parent / "shared" / "data" / "backbones"
ALEXNET = BACKBONES / "alexnet_features_imagenet.pth"
OTHERS = [
    BACKBONES / name
    for name in (
        "squeezenet1_1_features_imagenet.pth",
        "lpips_v0.1_lin_alex.pth",
        "lpips_v0.1_lin_squeeze.pth",
    )
]
_FOUND = importlib.util.find_spec("stlpips_pytorch")
_PLACE = Path(_FOUND.origin).parent if _FOUND and _FOUND.origin else Path("not-installed")
SHIFT_TOLERANT = _PLACE / "weights" / "vST0.0" / "alex_shift_tolerant.pth"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SIC_LPIPS_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "no-cache"))
    return tmp_path


@pytest.mark.parametrize("path", [ALEXNET, SHIFT_TOLERANT, *OTHERS], ids=lambda p: p.name)
def test_the_numbers_are_those_that_torch_reads(path: Path) -> None:
    if not path.is_file():
        pytest.skip(f"{path.name} is not part of the repository")
    got = read_published(path.read_bytes())
    want = torch.load(path, map_location="cpu", weights_only=True)
    assert got is not None
    for name, array in got.items():
        assert np.array_equal(array, want[name].numpy()), name
    assert {k for k in want if "filt" not in k} == set(got)


def test_no_two_tensors_of_a_file_lie_over_each_other() -> None:
    for places in FILES.values():
        spans = sorted((start, start + 4 * int(np.prod(shape))) for start, shape in places.values())
        assert all(a[1] <= b[0] for a, b in itertools.pairwise(spans))


class Evil:
    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, int]]:
        return os.mkdir, (self.path, 0o777)


def test_a_file_that_would_run_code_does_not(folder: Path) -> None:
    torch.save(Evil(str(folder / "ran")), folder / "alexnet_features_imagenet.pth")
    with pytest.raises(ModelError, match="not the weights of LPIPS") as told:
        backbones.alexnet()
    assert not (folder / "ran").exists() and "if you trust it" in str(told.value.hint)


def test_one_changed_byte_is_another_file() -> None:
    if not ALEXNET.is_file():
        pytest.skip("the AlexNet backbone is not part of the repository")
    data = bytearray(ALEXNET.read_bytes())
    data[5000] ^= 1
    assert read_published(bytes(data)) is None


def test_what_the_hint_says_makes_a_file_that_is_read(folder: Path) -> None:
    state = {"features.0.bias": torch.arange(4.0), "classifier.6.bias": torch.zeros(2)}
    torch.save(state, folder / "alexnet-owt-7be5be79.pth")
    with pytest.raises(ModelError) as told:
        backbones.alexnet()
    words = shlex.split(str(told.value.hint).partition(": ")[2])
    assert words[0] == "python"
    subprocess.run([sys.executable, *words[1:]], check=True)
    assert torch.equal(backbones.alexnet()["features.0.bias"], torch.arange(4.0))


def test_safetensors_that_are_none_are_refused(folder: Path) -> None:
    (folder / "lpips.safetensors").write_bytes(b"\xff" * 100)
    with pytest.raises(ModelError, match=r"lpips\.safetensors: not the weights"):
        backbones.alexnet()
