"""sic: a learned image codec whose files can be cut. Importing this imports no torch.

    import sic_cli
    made = sic_cli.encode("photo.jpg", target_size=40_000)
    picture = sic_cli.decode(made.data)

The names below load when they are first used; `import sic_cli.pillow` teaches Pillow `.sic` files.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ._version import __version__ as __version__

if TYPE_CHECKING:
    from .api import (
        Codec,
        Encoded,
        decode,
        decode_levels,
        encode,
        preview,
        truncate,
    )
    from .errors import (
        CheckError,
        CorruptError,
        InputError,
        ModelError,
        Notice,
        OutputError,
        ResourceError,
        SicError,
        TargetError,
        UsageError,
        VersionError,
    )
    from .facts import Check, Info, LevelInfo, VerifyResult, info, verify

__all__ = [
    "Check",
    "CheckError",
    "Codec",
    "CorruptError",
    "Encoded",
    "Info",
    "InputError",
    "LevelInfo",
    "ModelError",
    "Notice",
    "OutputError",
    "ResourceError",
    "SicError",
    "TargetError",
    "UsageError",
    "VerifyResult",
    "VersionError",
    "decode",
    "decode_levels",
    "encode",
    "info",
    "preview",
    "truncate",
    "verify",
]

_ELSEWHERE = {
    **dict.fromkeys(("Check", "Info", "LevelInfo", "VerifyResult", "info", "verify"), "facts"),
    **dict.fromkeys(
        ("Codec", "Encoded", "decode", "decode_levels", "encode", "preview", "truncate"), "api"
    ),
}
"""Public names by the module that has them; all others are errors."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f".{_ELSEWHERE.get(name, 'errors')}", __name__)
    value = getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
