"""What the user may decide about reading a picture: the words of the options of `sic encode`.

Standard library only, so that commands can hold choices without loading Pillow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Choices:
    """alpha: "keep", "flatten" (on `background`) or "drop". frame: which of several pictures; None: the
    first, with a notice; "error": refuse. depth16: "warn", "error" or "allow". icc: "embed", "srgb"
    or "ignore". orient: "apply" or "keep". metadata: "all", "icc" or "none"."""

    alpha: str = "keep"
    background: str = "white"
    frame: int | Literal["error"] | None = None
    depth16: str = "warn"
    icc: str = "embed"
    orient: str = "apply"
    metadata: str = "all"
    strip_gps: bool = False
