"""The weights that ship with sic, by name: SHA-256 of their cards and weights, kept in the code.

A card states the digest of its weights, so whoever exchanged both would not be noticed. Weights with
one of these names are taken only if both are the ones below. Weights with other names, which people
train or import themselves, answer for themselves.

To ship another one: `sic train export` prints its line for this table, and so does the test that
finds it missing.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from ...errors import ModelError
from .card import CARD, WEIGHTS, ModelCard
from .digest import read_checked


@dataclass(frozen=True, slots=True)
class Pin:
    """SHA-256 (hex) of a card, its lines ended by a line feed, and of its weights."""

    card: str
    weights: str


PINNED = {
    "sic-5": Pin(
        "bd054b82113a6b0c45c9756435fc483bff103d45d6de8347b9dc0dd6da73f958",
        "06a78b203de72b35c7970701a36c35fc0015d7ba521168d52b41fca5086334b9",
    ),
}


def pin_of(card: ModelCard) -> Pin:
    """What weights on disk would be pinned by. Raises ModelError if its card cannot be read."""
    try:
        text = (card.folder / CARD).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise ModelError(f"{card.folder / CARD}: {error}") from None
    return Pin(hashlib.sha256(text.encode()).hexdigest(), card.digest)


def line_of(card: ModelCard) -> str:
    """The row of `PINNED` for weights on disk."""
    pin = pin_of(card)
    return f'    "{card.name}": Pin(\n        "{pin.card}",\n        "{pin.weights}",\n    ),'


def read_weights(card: ModelCard) -> bytes:
    """The weights file of a card. Raises ModelError if it is not what card and `PINNED` say."""
    pin = PINNED.get(card.name)
    if pin is not None and pin_of(card) != pin:
        raise ModelError(
            f"{card.folder}: is not the {card.name} that this sic knows: digest {card.digest[:16]}, "
            f"expected {pin.weights[:16]}, or another card",
            "reinstall sic; weights of your own need another name",
        )
    return read_checked(card.folder / WEIGHTS, card.digest)
