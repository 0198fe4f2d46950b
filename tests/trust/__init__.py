"""The trust campaign: many tries of what must never fail, at three scales (docs/trust.md)."""

from __future__ import annotations

import importlib
import re

from .campaign import TRIALS, Trial

MODULES = (
    "roundtrip",
    "damage",
    "hostile",
    "coder",
    "crash",
    "durable",
    "identity",
    "integers",
    "source",
    "surface",
    "batches",
    "memory",
    "goldens",
    "pictures",
    "places",
    "supply",
)


def trials() -> list[Trial]:
    """Every test of the campaign, by number."""
    for name in MODULES:
        importlib.import_module(f".{name}", __name__)
    return sorted(TRIALS, key=lambda t: (int(re.findall("[0-9]+", t.name)[0]), t.name))
