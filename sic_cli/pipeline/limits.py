"""What one picture may ask of this machine: checked against its header, before memory is taken.

Where memory ends all the same, `memory_told` makes it one of our errors.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec, TypedDict, TypeVar

from ..codec.bitstream.fields import MAX_PIXELS
from ..errors import ResourceError, UsageError
from ..storage.memory import is_out_of_memory, machine_memory

F = TypeVar("F")
P = ParamSpec("P")
R = TypeVar("R")

BASE_BYTES = 1_200_000_000
BYTES_PER_PIXEL = 12
"""The documented bound on what encoding or decoding holds (docs/trust.md, "Limits")."""
ALWAYS_TRIED = 4_000_000
"""Pixels that no default refuses: so few need half of the bound, and small machines have less."""


def most_memory(pixels: int) -> int:
    """Bytes that encoding or decoding so many pixels holds at most."""
    return BASE_BYTES + BYTES_PER_PIXEL * pixels


def default_memory() -> int | None:
    """What one picture may need where nobody says: three quarters of this machine's memory, and at
    least what `ALWAYS_TRIED` pixels need; None if the machine does not tell."""
    memory = machine_memory()
    return None if memory is None else max(memory * 3 // 4, most_memory(ALWAYS_TRIED))


@dataclass(frozen=True, slots=True)
class Limits:
    """max_pixels: of one picture. max_memory: bytes, which `jobs` pictures that are worked on at the
    same time share; None: for each picture `default_memory` of the machine that works on it."""

    max_pixels: int = MAX_PIXELS
    max_memory: int | None = None
    jobs: int = 1

    def check(self, width: int, height: int, name: str) -> None:
        """Raise ResourceError for a picture that is over a limit. name: for messages."""
        pixels = width * height
        if pixels > self.max_pixels:
            raise ResourceError(
                f"{name}: {width}x{height} pixels, max-pixels allows {self.max_pixels}"
            )
        need = most_memory(pixels)
        asks = f"{name}: {width}x{height} pixels may need {need / 1e6:.0f} MB of memory"
        if self.max_memory is None:
            most = default_memory()
            if most is not None and need > most:
                raise ResourceError(
                    f"{asks}, and this machine allows {most / 1e6:.0f} MB",
                    "by default three quarters of its memory; max-memory sets another limit",
                )
        elif need > self.max_memory // self.jobs:
            share = f" / {self.jobs} jobs" if self.jobs > 1 else ""
            raise ResourceError(f"{asks}, max-memory allows {self.max_memory / 1e6:.0f} MB{share}")


DEFAULT = Limits()
"""The format's pixels, this machine's memory."""


class LimitsKw(TypedDict, total=False):
    """The same as options of Python's functions."""

    max_pixels: int
    max_memory: int | None


def limits_of(options: Any) -> tuple[Limits, dict[str, Any]]:
    """The limits among options, and the other options. Raises UsageError."""
    rest: dict[str, Any] = dict(options)
    given = {name: rest.pop(name) for name in ("max_pixels", "max_memory") if name in rest}
    for name, value in given.items():
        if value is None and name == "max_memory":
            continue
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise UsageError(f"{name} is {value!r}, not a positive whole number")
    return Limits(**given), rest


def reports_out_of_memory(
    function: Callable[Concatenate[F, str, P], R],
) -> Callable[Concatenate[F, str, P], R]:
    """A function of something and its name, which raises ResourceError where memory ends."""

    @functools.wraps(function)
    def guarded(thing: F, name: str, /, *arguments: P.args, **named: P.kwargs) -> R:
        try:
            return function(thing, name, *arguments, **named)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            raise ResourceError(f"{name}: out of memory", "use fewer jobs, or max-memory") from None

    return guarded
