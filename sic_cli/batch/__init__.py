"""Many files in one go: what to do (find, plan), doing it (run, pool, cluster), what became of it (report).

The runner takes a task, which turns one file's bytes into another's; `tasks` and `truncate_task` have those
of encode, decode and truncate, and nothing else here knows the codec. `encode_many` is all of it for a
program's own executor.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .many import encode_many as encode_many


def __getattr__(name: str) -> Any:
    if name != "encode_many":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return importlib.import_module(".many", __name__).encode_many
