"""Cutting a file to a lower level without decoding it: the bytes behind a layer are dropped."""

from __future__ import annotations

from ...errors import TargetError
from .reader import Parsed, parse


def level_for_size(parsed: Parsed, most: int) -> int:
    """The highest level whose file has at most `most` bytes. Raises TargetError if there is none."""
    parsed.require_level()
    fitting = [k for k, end in enumerate(parsed.ends, 1) if end <= most]
    if not fitting:
        beside = sum(len(chunk.data) for chunk in parsed.chunks)
        of_it = f"; {beside} bytes of it are metadata and transparency" if beside else ""
        raise TargetError(
            f"level 1 takes {parsed.ends[0]} bytes, more than {most}",
            f"the smallest possible size is {parsed.ends[0]}{of_it}",
        )
    return fitting[-1]


def level_within(parsed: Parsed, size: int | None, bpp: float | None) -> int:
    """The highest level of at most `size` bytes or `bpp` bits per pixel; the highest if neither is
    given. Raises as `level_for_size`."""
    if bpp is not None:
        size = int(bpp * parsed.header.width * parsed.header.height / 8)
    return parsed.level if size is None else level_for_size(parsed, size)


def truncate(data: bytes, level: int, parsed: Parsed | None = None) -> bytes:
    """The first `level` layers: byte for byte what encoding to that level gives.

    parsed: what `parse(data)` gave, if it is known. Raises TargetError if the file has fewer whole
    layers, CorruptError if it has none.
    """
    parsed = parsed or parse(data)
    parsed.require_level()
    if level > parsed.level:
        raise TargetError(
            f"level {level} was asked for, and the file has {parsed.level} whole levels"
        )
    return data[: parsed.ends[level - 1]]
