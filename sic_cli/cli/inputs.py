"""Commands that look at several .sic files: one after the other, one exit code for all."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from ..errors import Notice, PartialError, SicError
from ..schemas.documents import failure, head
from .messages import MESSAGES

PARTIAL, SEVERAL_FAILED = 3, 1


Facts = Mapping[str, Any]


def each(
    sources: Sequence[str],
    schema: str,
    as_json: bool,
    one: Callable[[str], tuple[Facts, SicError | None]],
) -> None:
    """Call `one` for every source: it prints for people and returns the facts for `--json`, and what
    is wrong, if anything is; it may also raise that.

    A single source ends as its error says. Of several, each gets its line and its document, then a
    summary follows, and the exit code is 0; 3 if cut files were the only fault; else 1.
    """
    started, codes = time.monotonic(), []
    for source in sources:
        facts: Facts | None = None
        error: SicError | None = None
        try:
            facts, error = one(source)
        except SicError as raised:
            error = raised
        if as_json:
            MESSAGES.document(facts or _failed(schema, source, error))
        if error is not None and len(sources) == 1:
            raise error
        if isinstance(error, PartialError):
            MESSAGES.notice(Notice(str(error), "W-truncated"))
        elif error is not None:
            MESSAGES.error(str(error), error.name, error.hint)
        codes.append(error.exit_code if error is not None else 0)
    if len(sources) == 1:
        return
    failed = {code for code in codes if code}
    code = 0 if not failed else PARTIAL if failed == {PARTIAL} else SEVERAL_FAILED
    if as_json:
        MESSAGES.document(_summary(codes, code, time.monotonic() - started))
    if code:
        raise click.exceptions.Exit(code)


def _failed(schema: str, source: str, error: SicError | None) -> dict[str, Any]:
    from ..schemas import empty

    assert error is not None
    return {**empty(schema), **head(schema, source, None, error.exit_code, failure(error))}


def _summary(codes: list[int], code: int, seconds: float) -> dict[str, Any]:
    failed = [code for code in codes if code]
    return {
        **head("sic.summary/1", None, None, code),
        "done": len(codes) - len(failed),
        "skipped": 0,
        "failed": len(failed),
        "planned": 0,
        "input_bytes": None,
        "output_bytes": None,
        "elapsed_s": round(seconds, 3),
        "first_error_code": failed[0] if failed else None,
    }
