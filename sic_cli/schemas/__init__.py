"""The JSON Schemas of every document that `--json` prints, as files beside this one.

A file states what a document has beyond the common head (`head.json`); `load` puts both together.
Every key in `required` is always there, and null where it is unknown or the command failed. A new
key keeps a schema's number; a changed or removed one raises it. Standard library only.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..errors import UsageError

FOLDER = Path(__file__).resolve().parent
HEAD = "head.json"


def names() -> list[str]:
    """Such as "sic.info/1", sorted."""
    return sorted(f"{p.name[: -len('.json')]}/1" for p in FOLDER.glob("sic.*.json"))


def load(name: str) -> dict[str, Any]:
    """The whole schema of a name such as "sic.info/1", "sic.info" or "info". Raises UsageError."""
    plain = name.removesuffix("/1").removeprefix("sic.")
    full = f"sic.{plain}/1"
    if full not in names():
        known = ", ".join(n.removeprefix("sic.").removesuffix("/1") for n in names())
        raise UsageError(f"no schema is named {name}; there are {known}")
    common = _read(HEAD)
    own = _read(f"sic.{plain}.json")
    schema: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:{full.replace('/', ':')}",
        "title": full,
        "description": own["description"],
        "type": "object",
        "required": [*common["required"], *own["required"]],
        "properties": {**common["properties"], **own["properties"]},
    }
    schema["properties"]["schema"] = {"const": full}
    return schema


def empty(name: str) -> dict[str, None]:
    """Every key of a document, all null: what a command that failed early fills in."""
    return dict.fromkeys(load(name)["required"])


def _read(file: str) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((FOLDER / file).read_text(encoding="utf-8"))
    return values
