"""Finding weights: in the wheel (or the source tree), where the user put them, and folders by name."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from ...errors import ModelError
from ...storage.places import models_folder
from .card import CARD, ModelCard, read_card

PACKAGE = Path(__file__).resolve().parents[2]
_NAMED: dict[bytes, ModelCard] = {}
"""Weights that were named in this process, perhaps by a folder of their own: what was encoded with
them is decoded with them."""


def folders() -> list[Path]:
    """Places that hold weights, first come first: SIC_MODEL_PATH, the wheel, the source tree, and
    where `sic models import` puts them. So imported weights never become the default."""
    named = [Path(p) for p in os.environ.get("SIC_MODEL_PATH", "").split(os.pathsep) if p]
    return [*named, PACKAGE / "weights", PACKAGE.parent / "weights", models_folder()]


def installed() -> list[ModelCard]:
    """The weights on this machine, newest first within each place; broken ones left out."""
    found: dict[bytes, ModelCard] = {}
    for folder in folders():
        if not folder.is_dir():
            continue
        cards = []
        for path in sorted(folder.iterdir()):
            if (path / CARD).is_file():
                with contextlib.suppress(ModelError):
                    cards.append(read_card(path))
        for card in sorted(cards, key=lambda c: -c.number):
            found.setdefault(card.id, card)
    return list(found.values())


def find(name: str | None = None) -> ModelCard:
    """Weights by name or folder; without one, the newest. Raises ModelError if there is none."""
    if name:
        for folder in (Path(name), *(place / name for place in folders())):
            if (folder / CARD).is_file():
                card = read_card(folder)
                _NAMED[card.id] = card
                return card
    known = installed()
    for card in known:
        if name is None or card.name == name:
            return card
    if name is None:
        raise ModelError("no weights on this machine", "reinstall sic, or set SIC_MODEL_PATH")
    names = ", ".join(c.name for c in known) or "none"
    raise ModelError(f"no weights named {name}; here are: {names}")


def find_id(model: bytes) -> ModelCard:
    """The weights that a file was made with. Raises ModelError naming the id."""
    for card in (*installed(), *_NAMED.values()):
        if card.id == model:
            return card
    raise ModelError(
        f"the file was made with model {model.hex()}, which is not on this machine",
        "install the sic release that has it, or set SIC_MODEL_PATH to a folder with its weights",
    )
