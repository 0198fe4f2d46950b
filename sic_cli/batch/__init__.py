"""Many files in one go: what to do (find, plan), doing it (run, pool, cluster), what became of it (report).

Nothing here knows the codec: a task is handed in, which takes one planned file from disk to disk. The
one exception is the name `encode_many`, which is at home in `sic_cli.many`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..many import encode_many as encode_many


def __getattr__(name: str) -> Any:
    if name != "encode_many":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return importlib.import_module("sic_cli.many").encode_many
