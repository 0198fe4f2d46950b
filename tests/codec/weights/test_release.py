"""Weights: found by name and id, refused when they are not what the card says."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from sic_cli.codec.inference.config import ModelConfig
from sic_cli.codec.weights.card import ModelCard, read_card
from sic_cli.codec.weights.load import load
from sic_cli.codec.weights.locate import find, find_id
from sic_cli.errors import ModelError


def test_releases_are_found_by_name_folder_and_id(tiny: ModelCard) -> None:
    assert find("tiny").digest == find(str(tiny.folder)).digest == find_id(tiny.id).digest
    with pytest.raises(ModelError, match="nonsense"):
        find("nonsense")
    with pytest.raises(ModelError, match="0000000000000000"):
        find_id(bytes(8))


@pytest.fixture
def copy(tiny: ModelCard, tmp_path: Path) -> Path:
    shutil.copytree(tiny.folder, tmp_path / "copy")
    return tmp_path / "copy"


@pytest.mark.parametrize("place", [0, 9, 5000, -1])
def test_one_changed_byte_in_the_weights_is_refused(copy: Path, place: int) -> None:
    data = bytearray((copy / "model.safetensors").read_bytes())
    data[place] ^= 1
    (copy / "model.safetensors").write_bytes(data)
    with pytest.raises(ModelError, match="digest"):
        load(read_card(copy))


def test_missing_weights_and_broken_cards_are_refused(copy: Path) -> None:
    card = read_card(copy)
    (copy / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="No such file"):
        load(card)
    (copy / "card.toml").write_text("name = 'x'")
    with pytest.raises(ModelError, match="not a valid card"):
        read_card(copy)


def test_configurations_round_trip_and_refuse_what_they_do_not_know() -> None:
    config = ModelConfig(channels=9, noise=(1, 2, 3))
    assert ModelConfig.from_dict(config.to_dict()) == config
    with pytest.raises(ModelError, match="unknown"):
        ModelConfig.from_dict({"colour": 1})


def test_the_shipped_release_is_whole_and_small(shipped: ModelCard) -> None:
    weights = shipped.folder / "model.safetensors"
    assert weights.stat().st_size <= 18 << 20
    model_weights = load(shipped)
    assert shipped.config.levels == 16
    assert (shipped.folder / "README.md").is_file() and (
        shipped.folder / "training.jsonl"
    ).is_file()
    assert model_weights.table.depths.shape == (16, shipped.config.channels)
