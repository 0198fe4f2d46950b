"""The card of weights: name, digest, configuration and figures, in a TOML file beside the weights."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import ModelError
from ..inference.config import ModelConfig
from .digest import model_id

CARD = "card.toml"
WEIGHTS = "model.safetensors"


@dataclass(frozen=True, slots=True, eq=False)
class ModelCard:
    """folder: where the weights lie; digest: SHA-256 (hex) of its weights file; number: weights
    count upwards, and the highest is the default."""

    name: str
    folder: Path
    digest: str
    number: int
    config: ModelConfig
    facts: dict[str, Any]

    @property
    def id(self) -> bytes:
        return model_id(self.digest)


def read_card(folder: Path) -> ModelCard:
    """Raises ModelError if there is no valid card."""
    try:
        values = tomllib.loads((folder / CARD).read_text(encoding="utf-8"))
        if not re.fullmatch("[0-9a-f]{64}", str(values["digest"])):
            raise ValueError("the digest is not 64 hexadecimal digits")
        return ModelCard(
            name=str(values["name"]),
            folder=folder,
            digest=str(values["digest"]),
            number=int(values["number"]),
            config=ModelConfig.from_dict(values["model"]),
            facts=values.get("facts", {}),
        )
    except OSError as error:
        raise ModelError(f"{folder}: {error.strerror}") from None
    except (KeyError, ValueError, TypeError) as error:
        raise ModelError(f"{folder / CARD}: not a valid card ({error})") from None
