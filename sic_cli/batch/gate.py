"""What a worker says of itself, and how a call gets to work there.

A worker may have another sic, or none: these functions travel by value (they are made inside another,
which is how Dask tells) and need the standard library and Dask alone. What they are to call comes packed,
and is unpacked once the worker has been looked at; so one that joined in the middle of a run is looked at
by the first call that it gets.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

SECONDS = 1.0
"""How long a worker that is refused keeps a call: it must not take them faster than others do them."""
REFUSED = "sic: refused"
Facts = dict[str, Any]
Wanted = tuple[str, str, str]
"""Versions of sic and of Python, id of the weights or nothing."""


def _made() -> tuple[
    Callable[[], Facts], Callable[[Facts, Wanted], bool], Callable[[Wanted, bytes], Any]
]:
    def facts() -> Facts:
        """Versions of sic and Python, weights by id."""
        import importlib
        import platform

        own: Facts = {"sic": None, "python": platform.python_version(), "weights": {}}
        try:
            own["sic"] = str(importlib.import_module("sic_cli").__version__)
            here = importlib.import_module("sic_cli.codec.weights.locate").installed()
            own["weights"] = {card.id.hex(): card.name for card in here}
        except Exception:  # no sic, a broken one, or one of another shape
            pass
        return own

    def fits(own: Facts, wanted: Wanted) -> bool:
        """Whether a worker would do what the client does."""
        sic, python, model_id = wanted
        same = own["python"].split(".")[:2] == python.split(".")[:2]
        return same and own["sic"] == sic and (not model_id or model_id in own["weights"])

    def enter(wanted: Wanted, packed: bytes) -> Any:
        """The value of a packed call; of a worker that is not as wanted: that, and what it says."""
        import importlib
        import time

        dask = importlib.import_module("distributed")
        worker = dask.get_worker()
        if wanted not in getattr(worker, "sic_passed", ()):
            own = facts()
            if not fits(own, wanted):
                time.sleep(SECONDS)
                return (REFUSED, worker.address, own)
            worker.sic_passed = {*getattr(worker, "sic_passed", ()), wanted}
        function, args, kwargs = dask.protocol.deserialize_bytes(packed)
        return function(*args, **kwargs)

    return facts, fits, enter


facts, fits, enter = _made()
