"""As much of a .sic file as is asked for: the heads of its layers, or its first levels.

A store is asked for ranges of bytes; what came over the network is counted. A file that is odd in any
way is read whole, so that it gets the same words as one that lies here.
"""

from __future__ import annotations

from ..codec.bitstream.fields import MAX_FILE
from ..codec.bitstream.heads import HEAD_BYTES, Heads, heads
from ..codec.bitstream.reader import parse
from ..errors import SicError
from ..storage import access
from ..storage.files import printable
from ..storage.urls import is_url

FIRST_BYTES = 2048
"""Asked for at once: header, small chunks and the first levels."""


class Window:
    """The bytes of an object that were fetched. whole: ranges follow each other from the start on, else
    only what is asked for is fetched."""

    def __init__(self, url: str, size: int, *, whole: bool) -> None:
        self.url, self.size, self.whole = url, size, whole
        self.start = b""
        self.fetched = 0

    def at(self, start: int, end: int) -> bytes:
        """See `codec.bitstream.heads.At`."""
        end = min(end, self.size)
        if end > len(self.start) and (self.whole or start <= len(self.start) < FIRST_BYTES):
            self.start += self._get(len(self.start), max(end, min(FIRST_BYTES, self.size)))
        if end <= len(self.start):
            return self.start[start:end]
        return self._get(start, end)

    def _get(self, start: int, end: int) -> bytes:
        from ..storage import store

        got = store.read_part(self.url, start, end)
        self.fetched += len(got)
        return got if len(got) <= end - start else got[start:end]  # a server that knows no ranges


def first_levels(source: str, level: int) -> access.Portion:
    """The bytes of a .sic file up to the end of a level, or all of them if it has no such level.

    Raises InputError, ResourceError.
    """
    from ..storage import store

    known = store.state(source)
    if known.folder or known.size < 0 or known.size > MAX_FILE:
        return access.read(source, MAX_FILE)
    window = Window(source, known.size, whole=True)
    found = heads(window.at, known.size, level)
    if found is None or level > found.header.levels:
        data = window.at(0, known.size)
    else:
        data = window.at(0, found.ends[-1])
    return access.Portion(data, known.size, known.mtime_ns, window.fetched)


def outline(source: str) -> tuple[Heads, int | None]:
    """What a .sic file holds, and the bytes fetched for it; None for a file that lies here.

    Raises InputError, ResourceError, CorruptError, VersionError.
    """
    fetched = 0
    if is_url(source):
        from ..storage import store

        known = store.state(source)
        if not known.folder and HEAD_BYTES < known.size <= MAX_FILE:
            window = Window(source, known.size, whole=False)
            found = heads(window.at, known.size)
            if found is not None:
                return found, window.fetched
            fetched = window.fetched
    got = access.read(source, MAX_FILE)
    try:
        read = Heads.of(parse(got.data))
    except SicError as error:
        raise type(error)(f"{printable(source)}: {error}", error.hint) from None
    return read, None if got.fetched is None else got.fetched + fetched
