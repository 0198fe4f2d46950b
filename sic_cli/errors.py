"""Every error that `sic` raises on purpose, with the exit code that it ends in.

    SicError
    ├── UsageError       2   a wrong option, value or combination
    ├── PartialError     3   a cut or damaged file, and `--strict` was not asked for
    ├── InputError       4   missing, unreadable, not a picture, a kind that is refused
    ├── CorruptError     5   a .sic file that holds no whole level (or any damage, if strict)
    │   └── VersionError 5   a .sic file that needs a newer sic
    ├── ModelError       6   weights missing, damaged or unknown
    ├── ResourceError    7   over a limit, no memory, no such device
    ├── TargetError      8   a level or size that cannot be met
    ├── OutputError      9   exists, not writable, disk full
    └── CheckError      11   a digest or threshold does not hold

The text says what is wrong and where; `hint` says what to do about it.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that people should know though it is no error; `code` is stable: W-..."""

    text: str
    code: str


class SicError(Exception):
    """Root of the tree. `exit_code` is what the command line ends with."""

    exit_code = 1
    name = "failed"

    def __init__(self, text: str, hint: str | None = None) -> None:
        super().__init__(text)
        self.hint = hint


class UsageError(SicError):
    exit_code, name = 2, "usage"


class PartialError(SicError):
    exit_code, name = 3, "partial"


class InputError(SicError):
    exit_code, name = 4, "input"


class CorruptError(SicError):
    exit_code, name = 5, "corrupt"


class VersionError(CorruptError):
    name = "version"


class ModelError(SicError):
    exit_code, name = 6, "model"


class ResourceError(SicError):
    exit_code, name = 7, "resources"


class TargetError(SicError):
    exit_code, name = 8, "target"


class OutputError(SicError):
    exit_code, name = 9, "output"


class CheckError(SicError):
    exit_code, name = 11, "check"


def has_torch() -> bool:
    """Whether torch is installed; it is not loaded."""
    return importlib.util.find_spec("torch") is not None


def install_hint(extra: str) -> str:
    """What to do where it is missing."""
    return f"pip install 'sic[{extra}]'"
