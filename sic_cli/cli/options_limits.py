"""Options of encode and decode that refuse pictures before they take memory."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import click

from ..codec.bitstream.fields import MAX_PIXELS
from ..pipeline.limits import Limits
from .common import Size

F = TypeVar("F", bound=Callable[..., Any])


def limit_options(function: F) -> F:
    """--max-pixels and --max-memory; the command gets them as one argument `limits`."""

    @functools.wraps(function)
    def with_limits(*args: Any, max_pixels: int, max_memory: int | None, **given: Any) -> Any:
        return function(*args, limits=Limits(max_pixels, max_memory), **given)

    made: Any = with_limits
    for option in (
        click.option(
            "--max-memory",
            type=Size(),
            help="Refuse pictures that may need more, such as 2GB (they may need 1.2 GB + 12 bytes a "
            "pixel); --jobs share it. Default: for each picture 75 % of this machine's memory.",
        ),
        click.option(
            "--max-pixels",
            type=click.IntRange(1, MAX_PIXELS),
            default=MAX_PIXELS,
            show_default=True,
            help="Refuse pictures with more pixels.",
        ),
    ):
        made = option(made)
    result: F = made
    return result
