"""A folder of weights -> the user's own weights, checked before anything is kept."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path

from ...errors import ModelError, OutputError
from ...storage.files import printable
from .card import CARD, WEIGHTS, ModelCard, read_card
from .pinned import read_weights

KEPT = (CARD, WEIGHTS, "README.md", "training.jsonl")


def add(folder: Path, target: Path) -> tuple[ModelCard, bool]:
    """Copy the weights in `folder` below `target`.

    -> its card there, and whether it was copied: False if the same weights already are there. Raises
    ModelError if they are not whole, OutputError if others have their name there or
    nothing can be written.
    """
    card = read_card(folder)
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", card.name):
        raise ModelError(
            f"{folder / CARD}: {printable(card.name)!r} cannot be the name of a folder"
        )
    weights = read_weights(card)
    place = target / card.name
    if place.exists():
        if read_card(place).digest == card.digest:
            there = read_card(place)
            read_weights(there)
            return there, False
        raise OutputError(f"{place}: there are other weights of this name", "remove it first")
    try:
        target.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=".", suffix=".sic-part", dir=target))
        try:
            for name in KEPT:
                if name == WEIGHTS:
                    (part / name).write_bytes(weights)
                elif (folder / name).is_file():
                    shutil.copyfile(folder / name, part / name)
            part.chmod(0o755)
            os.rename(part, place)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise
    except OSError as error:
        raise OutputError(f"{place}: {error.strerror}") from None
    return read_card(place), True
