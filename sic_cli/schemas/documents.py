"""The JSON documents that commands print: their common head, and one valid line for each.

Every document begins with the same keys (schema, ok, input, output, code, error, warnings), so that
a script can read the outcome of any command the same way. Standard library only.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import Notice, SicError

SURROGATE = re.compile("[\ud800-\udfff]")
"""What Python puts into a name for a byte that is no UTF-8 (U+DC80 to U+DCFF), and its kin."""


def head(
    schema: str,
    input: str | None,
    output: str | None = None,
    code: int = 0,
    error: Mapping[str, Any] | None = None,
    warnings: Iterable[Notice] = (),
) -> dict[str, Any]:
    """The keys that begin every document.

    schema: such as "sic.encode/1". code: the exit code this outcome has on its own; `ok` is true for
    0 alone. error: from `failure`, or None.
    """
    return {
        "schema": schema,
        "ok": code == 0,
        "input": input,
        "output": output,
        "code": code,
        "error": dict(error) if error is not None else None,
        "warnings": [{"code": notice.code, "text": notice.text} for notice in warnings],
    }


def failure(error: SicError) -> dict[str, Any]:
    """What the key `error` holds."""
    return {"name": error.name, "text": str(error), "hint": error.hint}


def line(document: Mapping[str, Any]) -> str:
    """One line of valid UTF-8 JSON, without its newline.

    Bytes of file names that are no UTF-8 are written as `\\xff`; numbers that are not finite are null.
    """
    return json.dumps(_plain(document), ensure_ascii=False, allow_nan=False)


def readable(name: str) -> str:
    """A file name as text that every reader of UTF-8 takes; only names that are no UTF-8 change."""
    return SURROGATE.sub(lambda found: _escaped(ord(found[0])), name)


def _escaped(code: int) -> str:
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return readable(value)
    if isinstance(value, os.PathLike):
        return readable(str(os.fspath(value)))
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {readable(str(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
