"""The golden files, by what a test can afford: those of the tiny model, and all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

GOLDEN = Path(__file__).resolve().parent.parent / "golden"  # by no fixture: workers load no torch


def manifest() -> dict[str, Any]:
    """What `tests/golden/make.py` wrote down."""
    values: dict[str, Any] = json.loads((GOLDEN / "manifest.json").read_text())
    return values


def good(prefix: str = "") -> dict[str, bytes]:
    """Name -> bytes of the golden files whose name begins with `prefix`."""
    names = [n for n in manifest()["good"] if n.startswith(prefix)]
    return {n: (GOLDEN / "good" / n).read_bytes() for n in sorted(names)}


def bad() -> dict[str, bytes]:
    """Name -> bytes of the broken golden files."""
    return {n: (GOLDEN / "bad" / n).read_bytes() for n in sorted(manifest()["bad"])}
