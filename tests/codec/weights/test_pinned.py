"""The weights that ship are pinned in the code; exchanged ones are refused though their card agrees."""

from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path

import pytest

from sic_cli.codec.weights.add import add
from sic_cli.codec.weights.card import CARD, WEIGHTS, read_card
from sic_cli.codec.weights.load import load
from sic_cli.codec.weights.pinned import PINNED, line_of, read_weights
from sic_cli.errors import ModelError
from tests.conftest import ROOT, run_main

SHIPPED = sorted(p.parent for p in (ROOT / "weights").glob(f"*/{CARD}"))


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda p: p.name)
def test_every_release_that_ships_is_pinned(folder: Path) -> None:
    card = read_card(folder)
    assert folder.name == card.name
    assert card.name in PINNED, f"add to sic_cli/codec/weights/pinned.py:\n{line_of(card)}"
    assert read_weights(card), "the pin is of other bytes"


def test_every_pin_is_of_a_release_that_ships() -> None:
    assert sorted(PINNED) == sorted(p.name for p in SHIPPED)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SHIPPED[0], tmp_path / "copy"))


def exchanged(folder: Path) -> None:
    """Other weights, and a card that agrees with them."""
    weights, card = folder / WEIGHTS, folder / CARD
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    card.write_text(
        re.sub('digest = "[0-9a-f]*"', f'digest = "{digest}"', card.read_text(), count=1)
    )


def test_weights_exchanged_together_with_their_card_are_refused(copy: Path, tmp_path: Path) -> None:
    exchanged(copy)
    with pytest.raises(ModelError, match="is not the sic-5 that this sic knows"):
        load(read_card(copy))
    with pytest.raises(ModelError, match="this sic knows"):
        add(copy, tmp_path / "own")
    photo = str(ROOT / "tests" / "pictures" / "parrots.png")
    got = run_main("encode", photo, "-m", str(copy), "-o", str(tmp_path / "a.sic"))
    assert got.code == 6 and "another name" in got.err and not (tmp_path / "a.sic").exists()


def test_a_changed_card_alone_is_refused(copy: Path) -> None:
    card = copy / CARD
    card.write_text(card.read_text().replace("blocks = 3", "blocks = 2", 1))
    with pytest.raises(ModelError, match="or another card"):
        read_weights(read_card(copy))


def test_weights_of_other_names_answer_for_themselves(copy: Path, tmp_path: Path) -> None:
    exchanged(copy)
    card = copy / CARD
    card.write_text(card.read_text().replace('name = "sic-5"', 'name = "mine"'))
    assert add(copy, tmp_path / "own")[1]


def test_line_ends_of_a_checkout_do_not_matter(copy: Path) -> None:
    card = copy / CARD
    card.write_bytes(card.read_bytes().replace(b"\n", b"\r\n"))
    assert read_weights(read_card(copy))
