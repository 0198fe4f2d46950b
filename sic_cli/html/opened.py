"""Pictures and .sic files as they are looked at: pixels, bytes, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..codec.bitstream.fields import MAX_PIXELS, MAX_SIDE, SIGNATURE
from ..codec.bitstream.reader import Parsed, open_sic
from ..errors import InputError, Notice, TargetError
from ..evaluation.run import MAX_INPUT
from ..metrics.meter import Meter, colours
from ..storage.files import printable, read_input
from .compare import Seen
from .render import base

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Opened:
    """pixels: uint8 (H, W, 3). size: bytes of the file up to the level that is shown."""

    path: str
    name: str
    pixels: Pixels
    size: int
    notices: tuple[Notice, ...]

    @property
    def seen(self) -> Seen:
        return Seen(self.path, self.name, self.pixels, self.size)


def is_sic(data: bytes) -> bool:
    return data.startswith(SIGNATURE[:4])


def opened(path: str, level: int | None, device: str, realism: float) -> Opened:
    """A picture file, or a .sic file at `level` (default: its highest) and `realism`.

    Raises InputError, CorruptError and so on, as reading and decoding do.
    """
    data, name = read_input(path, MAX_INPUT), printable(path)
    short = base(path)
    if not is_sic(data):
        from ..picture.load import load

        picture = load(data, name, MAX_SIDE, MAX_PIXELS)
        return Opened(name, short, colours(picture.pixels), len(data), picture.notices)
    from ..codec.decode import decode

    parsed = open_sic(data, name)
    if level is not None and level > parsed.level:
        raise TargetError(f"{name}: level {level} was asked for, and the file has {parsed.level}")
    made = decode(parsed, level=level, device=device, realism=realism)
    fault = made.fault or (parsed.fault if level is None else None)
    notices = (Notice(f"{name}: {fault}; level {made.level}", "W-truncated"),) if fault else ()
    short = f"{short} level {made.level}" + (f" realism {realism:g}" if realism < 1 else "")
    return Opened(name, short, colours(made.pixels), parsed.ends[made.level], notices)


def compared(reference: Opened, others: Sequence[Opened], names: Sequence[str]) -> list[Seen]:
    """Each with its metrics against the reference. Raises InputError for pictures of two sizes."""
    meter, out = Meter(reference.pixels, names), []
    for one in others:
        if one.pixels.shape != reference.pixels.shape:
            (h, w), (m, n) = reference.pixels.shape[:2], one.pixels.shape[:2]
            raise InputError(f"{one.path}: {n}x{m} pixels, and {reference.path} has {w}x{h}")
        most = int(np.abs(one.pixels.astype(np.int16) - reference.pixels).max())
        out.append(replace(one.seen, values=meter.all(one.pixels), most=most))
    return out


def levels_of(
    parsed: Parsed,
    wanted: Sequence[int] | None,
    device: str,
    realism: float,
    reference: Opened | None,
    names: Sequence[str],
) -> tuple[list[Seen], str | None]:
    """Levels of a .sic file, against the reference if there is one; and what stopped the reading."""
    from ..codec.all_levels import AllLevels

    all_levels = AllLevels(parsed, device)
    levels = [k for k in wanted or range(1, all_levels.level + 1) if 1 <= k <= all_levels.level]
    if not levels:
        raise TargetError(
            f"none of the levels asked for is in the file, which has {all_levels.level}"
        )
    meter, out = Meter(reference.pixels, names) if reference else None, []
    for level in levels:
        pixels = colours(all_levels.pixels(level, realism))
        if reference and pixels.shape != reference.pixels.shape:
            raise InputError(f"{reference.path}: is not of the size of the .sic file")
        out.append(
            Seen(
                f"level {level}",
                f"level {level}",
                pixels,
                parsed.ends[level],
                meter.all(pixels) if meter else {},
                level=level,
                stated=parsed.layers[level].psnr / 4,
            )
        )
    return out, all_levels.fault
