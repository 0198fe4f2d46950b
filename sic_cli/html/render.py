"""Templates to pages. Everything put into a template is escaped unless it was made here as markup."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import PurePath
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from .._version import __version__
from ..storage.files import printable


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture in the viewer: its name, what is said about it, and its place in `Scene.images`."""

    name: str
    note: str
    image: int


@dataclass(frozen=True, slots=True)
class Scene:
    """Frames that are looked at together. a, b: which are shown first, left and right."""

    name: str
    frames: tuple[Frame, ...]
    a: int
    b: int


@functools.cache
def environment() -> Environment:
    found = Environment(
        loader=PackageLoader("sic_cli.html"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.globals["version"] = __version__
    return found


def base(path: str) -> str:
    """A file's name as pages show it."""
    return printable(PurePath(path).name or path)


def render(template: str, **values: Any) -> str:
    """A page. Names that are no UTF-8 are shown with their bytes escaped."""
    text = environment().get_template(template).render(**values)
    return text.encode("utf-8", "backslashreplace").decode()


def data_block(scenes: Sequence[Scene], images: Sequence[str], slider: str) -> Markup:
    """The viewer's data as JSON inside a script element, safe against any name.

    slider: what a slider over the frames but the first is called ("" for none).
    """
    document = {"scenes": [asdict(s) for s in scenes], "images": list(images), "slider": slider}
    text = json.dumps(document, ensure_ascii=True)
    for sign in "<>&'":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)  # every character that could end or open markup was escaped above
