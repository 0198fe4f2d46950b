"""What only some installations have: torch, for GPUs, training and metrics of networks."""

from __future__ import annotations

import importlib.util


def has_torch() -> bool:
    """Whether torch is installed; it is not loaded."""
    return importlib.util.find_spec("torch") is not None


def install_hint(extra: str) -> str:
    """What to do where it is missing."""
    return f"pip install 'sic[{extra}]'"
