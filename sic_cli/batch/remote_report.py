"""A report on an object store, where nothing can be appended to: parts, joined when the run ends.

Every few seconds the new lines are put as one part beside the report; at the end all lines go into the
report itself and the parts are removed. A killed run leaves its parts; they are read like the report,
and the next run joins them too. A report that has grown too large to be put anew stays in parts.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Self

from ..errors import InputError, OutputError
from ..schemas.documents import line
from ..storage import store
from ..storage.urls import join, split, tidy

SECONDS = 10.0
LINES = 1000
LARGE = 64 << 20
"""Bytes of a report that is still put anew."""
PART = ".part-"


class RemoteReport:
    """JSON Lines behind a URL. Raises OutputError, at once if nothing can be put there."""

    def __init__(self, url: str) -> None:
        self.url = tidy(url)
        self.began = time.time_ns()
        self.lines = tempfile.SpooledTemporaryFile(1 << 20)  # noqa: SIM115  closed in __exit__
        self.new: list[bytes] = []
        self.last = time.monotonic()
        self.parts: list[str] = []
        self._put_part()  # empty: shows that writing works before there is any work

    def add(self, document: Mapping[str, Any]) -> None:
        """Take one line; it is stored within some seconds."""
        self.new.append(line(document).encode() + b"\n")
        if len(self.new) >= LINES or time.monotonic() - self.last >= SECONDS:
            self._put_part()

    def _put_part(self) -> None:
        data = b"".join(self.new)
        url = f"{self.url}{PART}{self.began:020d}-{len(self.parts):06d}"
        store.put(url, data, replace=True)
        self.parts.append(url)
        self.lines.write(data)
        self.new.clear()
        self.last = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, raised: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        with self.lines:
            try:
                self._end()
            except OutputError:
                if raised is None:
                    raise

    def _end(self) -> None:
        there = _beside(self.url)
        left = [url for url in there if url != self.url and url not in self.parts]
        before = [_old(url) for url in (self.url, *left) if url in there]
        if None in before or sum(len(b or b"") for b in before) + self.lines.tell() > LARGE:
            self._put_part()
            return
        self.lines.write(b"".join(self.new))
        self.lines.seek(0)
        whole = [b if b.endswith(b"\n") else b + b"\n" for b in before if b]
        store.put(self.url, b"".join([*whole, self.lines.read()]), replace=True)
        for part in left + self.parts:
            store.remove(part)


def _old(url: str) -> bytes | None:
    """What the report or a part holds; None if it is too large to be put anew."""
    try:
        known = store.state(url)
        return store.read(url, LARGE)[0] if known.size <= LARGE else None
    except store.Missing:
        return b""
    except InputError as error:
        raise OutputError(str(error), error.hint) from None


def _beside(url: str) -> list[str]:
    """The report, if it is there, and the parts that stand beside it, oldest first."""
    folder, name = split(url)
    names = sorted(store.inside(folder))
    return [join(folder, n) for n in names if n == name or n.startswith(name + PART)]


def rows(url: str) -> Iterator[bytes]:
    """The lines of a report and of the parts that stand beside it. Raises OutputError."""
    for each in _beside(url):
        try:
            yield from store.read(each, 4 << 30)[0].splitlines()
        except InputError as error:
            raise OutputError(str(error), error.hint) from None
