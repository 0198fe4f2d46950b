"""Options about pictures that several commands take; their words are those of `convert`'s options."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeVar

import click

from ..codec.bitstream.fields import MAX_LEVELS
from ..errors import SicError
from .common import Number, Size

EMBED_LIMIT = 50 << 20
F = TypeVar("F", bound=Callable[..., Any])


class FrameNumber(click.ParamType):  # type: ignore[type-arg]
    """A number from 0, or `error`."""

    name = "frame"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | Literal["error"]:
        if value == "error":
            return "error"
        if not (str(value).isascii() and str(value).isdigit() and len(str(value)) < 10):
            self.fail(f"{value!r} is neither a number from 0 nor `error`", param, ctx)
        return int(value)


class Level(click.ParamType):  # type: ignore[type-arg]
    """A level, from 0 (a preview); or `max` where that means something, which is None. How many there are
    is known with the model or the file, so what is too high is refused there."""

    name = "level"

    def __init__(self, top: bool = True) -> None:
        self.top = top

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        return "N|max" if self.top else "N"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | None:
        text = str(value).strip()
        if self.top and text.lower() == "max":
            return None
        if not (text.isascii() and text.isdigit() and int(text[:9]) <= MAX_LEVELS):
            ends = ", or max for all of them" if self.top else ""
            self.fail(
                f"{value!r} is not a level: 0 is a preview, 1 the lowest, {_highest()}{ends}",
                param,
                ctx,
            )
        return int(text)


def _highest() -> str:
    from ..codec.weights.locate import find

    try:
        card = find(None)
    except SicError:
        return f"{MAX_LEVELS} the highest that a file can hold"
    return f"{card.config.levels} the highest of {card.name}"


def a_colour(_: click.Context, __: click.Parameter, value: str) -> str:
    if value != "white":  # spares Pillow where nothing was asked for
        from ..picture.alpha import background_of

        background_of(value)
    return value


def _applied(function: F, options: tuple[Callable[[F], F], ...]) -> F:
    for option in reversed(options):
        function = option(function)
    return function


_BACKGROUND: Callable[[Any], Any] = click.option(
    "--background",
    metavar="COLOUR",
    default="white",
    callback=a_colour,
    help="#RRGGBB or a name: what is put under transparency that is not kept.",
    show_default=True,
)
_STRIP_GPS: Callable[[Any], Any] = click.option(
    "--strip-gps", is_flag=True, help="Take the position out of Exif and XMP."
)


def _metadata(text: str) -> Callable[[Any], Any]:
    return click.option(
        "--metadata",
        type=click.Choice(["all", "icc", "none"]),
        default="all",
        help=text,
        show_default=True,
    )


def realism_option(text: str) -> Callable[[F], F]:
    """--realism, from 0 to 1."""
    return click.option("--realism", type=Number(0, 1), default=1.0, help=text, show_default=True)


def page_options(title: str | None) -> Callable[[F], F]:
    """Of the commands that write a page: --embed-limit, --title and --force."""

    def with_them(function: F) -> F:
        return _applied(
            function,
            (
                click.option(
                    "--embed-limit",
                    type=Size(),
                    default=EMBED_LIMIT,
                    show_default="50MiB",
                    help="Bytes of pictures in the page; the rest lies in a folder beside it.",
                ),
                click.option(
                    "--title",
                    default=title,
                    show_default=title is not None,
                    help="Heading of the page.",
                ),
                click.option("-f", "--force", is_flag=True, help="Replace an existing page."),
            ),
        )

    return with_them


def picture_options(function: F) -> F:
    """How the kinds of picture are encoded (docs/pictures.md)."""
    return _applied(
        function,
        (
            click.option(
                "--alpha",
                type=click.Choice(["keep", "flatten", "drop"]),
                default="keep",
                help="Keep transparency without loss, put the picture on --background, or show it opaque.",
                show_default=True,
            ),
            _BACKGROUND,
            click.option(
                "--frame",
                type=FrameNumber(),
                metavar="N|error",
                help="Which of several pictures, from 0; or refuse such files (default: the first, with a notice).",
            ),
            click.option(
                "--depth16",
                type=click.Choice(["warn", "error", "allow"]),
                default="warn",
                help="What to do about more than 8 bits per sample, which are rounded to 8.",
                show_default=True,
            ),
            click.option(
                "--icc",
                type=click.Choice(["embed", "srgb", "ignore"]),
                default="embed",
                help="Keep the colour profile, convert the colours to sRGB, or take them for sRGB.",
                show_default=True,
            ),
            click.option(
                "--orient",
                type=click.Choice(["apply", "keep"]),
                default="apply",
                help="Turn the picture upright, or leave pixels and tag as they are.",
                show_default=True,
            ),
            _metadata(
                "Keep colour profile, Exif, XMP and resolution; the profile alone; or nothing."
            ),
            _STRIP_GPS,
        ),
    )


def output_options(function: F) -> F:
    """What of a .sic file goes into a picture file, and how that is written."""
    return _applied(
        function,
        (
            _BACKGROUND,
            _metadata(
                "Write colour profile, Exif, XMP and resolution; the profile alone; or nothing."
            ),
            _STRIP_GPS,
            click.option(
                "--output-quality",
                type=click.IntRange(1, 100),
                help="Quality of JPEG, WebP and AVIF files (default: 95).",
            ),
            click.option(
                "--png-compression",
                type=click.IntRange(0, 9),
                help="0 is fast, 9 is small (default: 6).",
            ),
        ),
    )
