"""Cutting a file to a lower level without decoding it: the bytes behind a layer are dropped."""

from __future__ import annotations

from ...errors import TargetError
from .reader import Parsed, parse


def level_for_size(parsed: Parsed, most: int) -> int:
    """The highest level, from 1, whose file has at most `most` bytes. Raises TargetError if there is none:
    a preview alone, level 0, is never what a size asks for."""
    parsed.require_level()
    fitting = [k for k, end in enumerate(parsed.ends) if k and end <= most]
    if not fitting:
        beside = sum(len(chunk.data) for chunk in parsed.chunks)
        of_it = f"; {beside} bytes of it are metadata and transparency" if beside else ""
        if parsed.level == 0:
            raise TargetError("the file holds a preview alone, and no level that could be cut")
        raise TargetError(
            f"level 1 takes {parsed.ends[1]} bytes, more than {most}",
            f"the smallest possible size is {parsed.ends[1]}{of_it}; a preview alone (level 0) "
            f"takes {parsed.ends[0]}",
        )
    return fitting[-1]


def level_within(parsed: Parsed, size: int | None, bpp: float | None) -> int:
    """The highest level of at most `size` bytes or `bpp` bits per pixel; the highest if neither is
    given. Raises as `level_for_size`."""
    if bpp is not None:
        size = int(bpp * parsed.header.width * parsed.header.height / 8)
    return parsed.level if size is None else level_for_size(parsed, size)


def truncate(data: bytes, level: int, parsed: Parsed | None = None) -> bytes:
    """Layers 0 to `level`: byte for byte what encoding to that level gives.

    parsed: what `parse(data)` gave, if it is known. Raises TargetError if the file has fewer whole
    layers, CorruptError if it has none.
    """
    parsed = parsed or parse(data)
    parsed.require_level()
    if level > parsed.level:
        raise TargetError(
            f"level {level} was asked for, and the highest whole level is {parsed.level}"
        )
    return data[: parsed.ends[level]]
