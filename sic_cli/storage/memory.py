"""How much memory this machine lets a process have: what is built in, and what a container allows."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

GROUPS = "/proc/self/cgroup"
MOUNT = "/sys/fs/cgroup"


def machine_memory() -> int | None:
    """Bytes of memory, or fewer where a control group of Linux allows fewer; None if unknown."""
    known = [*_built_in(), *_allowed()]
    return min(known) if known else None


def _built_in() -> list[int]:
    try:
        pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return []
    return [pages * size] if pages > 0 and size > 0 else []


def _allowed() -> list[int]:
    """The limits of this process's group and of all above it, of both versions of control groups."""
    try:
        lines = Path(GROUPS).read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return []
    found = []
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers == "":
            top, name = Path(MOUNT), "memory.max"
        elif "memory" in controllers.split(","):
            top, name = Path(MOUNT, "memory"), "memory.limit_in_bytes"
        else:
            continue
        inner = PurePosixPath(path.lstrip("/"))  # a container may see only its own part, as the top
        found += [_number(top / group / name) for group in (inner, *inner.parents)]
    return [number for number in found if number is not None]


def _number(path: Path) -> int | None:
    """What a limit file says; None if there is none, or "max"."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def is_out_of_memory(error: BaseException) -> bool:
    """Python's own errors for memory and for the stack of a thread, or torch's two, which are known by
    their words."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or "can't allocate memory" in str(error)
        or "can't start new thread" in str(error)
    )
