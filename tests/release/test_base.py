"""A release that shares numbers with another stores them once, and is nothing without the other."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from sic_cli.errors import ModelError
from sic_cli.model.codec_model import CodecModel
from sic_cli.release.card import WEIGHTS, Card
from sic_cli.release.load import BASE, load, stored
from sic_cli.train.data import Crops
from sic_cli.train.export import write_release
from sic_cli.train.loop import new_model
from sic_cli.train.start import new_context
from tests.tiny import CONFIG, made_picture

PICTURES = [made_picture(128, 128, seed) for seed in range(4)]


@pytest.fixture
def model() -> CodecModel:
    torch.manual_seed(0)
    return new_model(CONFIG, Crops(PICTURES, 64, 0), 3000)


@pytest.fixture
def pair(model: CodecModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Card, Card]:
    """A release, and one upon it with another context network."""
    monkeypatch.setenv("SIC_MODEL_PATH", str(tmp_path))
    first = write_release(model, PICTURES, tmp_path / "one", "one", {})
    fresh = new_context(model, 4, 2)
    return first, write_release(fresh, PICTURES, tmp_path / "two", "two", {}, base=first)


def test_what_is_the_same_is_stored_once(pair: tuple[Card, Card]) -> None:
    first, second = pair
    assert bytes(stored(second)[BASE].tolist()).hex() == first.digest
    assert not any(k.startswith(("analysis.", "synthesis.")) for k in stored(second))
    one, two = load(first), load(second)
    assert torch.equal(one.analysis.linear, two.analysis.linear)
    assert torch.equal(one.synthesis.head_in.weight, two.synthesis.head_in.weight)
    assert len(one.context.mid) == 1 and len(two.context.mid) == 2
    assert second.config.context_width == 4


def test_without_its_base_a_release_says_what_is_missing(pair: tuple[Card, Card]) -> None:
    first, second = pair
    shutil.rmtree(first.folder)
    with pytest.raises(ModelError, match=f"two shares numbers with weights {first.digest[:16]}"):
        load(second)


def test_a_base_that_was_changed_is_refused(pair: tuple[Card, Card]) -> None:
    first, second = pair
    data = bytearray((first.folder / WEIGHTS).read_bytes())
    data[-1] ^= 1
    (first.folder / WEIGHTS).write_bytes(data)
    with pytest.raises(ModelError, match="one"):
        load(second)


def test_bases_are_not_piled_up(pair: tuple[Card, Card], model: CodecModel, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="two cannot be a base"):
        write_release(model, PICTURES, tmp_path / "three", "three", {}, base=pair[1])
