"""What a worker says of itself, and how a call gets to work there. Travels as text, runs on the worker.

A worker may have another sic, or none, or another Python, for which what is compiled here would be
poison; so this needs the standard library alone, and nothing of sic is unpickled before the worker has
been looked at. One that joined in the middle of a run is looked at by the first call that it gets.
"""

from __future__ import annotations

import importlib
import pickle
import platform
import time
from typing import Any

SECONDS = 1.0
"""How long a worker that is refused keeps a call: it must not take them faster than others do them."""
REFUSED = "sic: refused"


def facts() -> dict[str, Any]:
    """Versions of sic and Python, weights by id."""
    told: dict[str, Any] = {"sic": None, "python": platform.python_version(), "weights": {}}
    try:
        told["sic"] = str(importlib.import_module("sic_cli").__version__)
        here = importlib.import_module("sic_cli.release.locate").releases()
        told["weights"] = {card.id.hex(): card.name for card in here}
    except Exception:  # no sic, a broken one, or one of another shape
        pass
    return told


def fits(told: dict[str, Any], sic: str, python: str, model_id: str) -> bool:
    """Whether a worker would do what the client does. python: 3.13."""
    same = told["python"].split(".")[:2] == python.split(".")[:2]
    return same and told["sic"] == sic and (not model_id or model_id in told["weights"])


def enter(wanted: tuple[str, str, str], packed: bytes) -> Any:
    """The value of a packed call; of a worker that is not as wanted: that, and what it says."""
    worker = importlib.import_module("distributed").get_worker()
    if wanted not in getattr(worker, "sic_passed", ()):
        told = facts()
        if not fits(told, *wanted):
            time.sleep(SECONDS)
            return (REFUSED, worker.address, told)
        worker.sic_passed = {*getattr(worker, "sic_passed", ()), wanted}
    function, args, kwargs = pickle.loads(packed)
    return function(*args, **kwargs)
