"""Objects behind URLs, through fsspec: looked at, listed, read in whole or in part, put in one go.

Credentials come from where each store's own tools look for them: the environment, its configuration
files, the machine's role. Nothing here takes or shows any. An object is put by one request (or one
upload that counts only once it is complete), so a reader never sees half of it.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..errors import InputError, OutputError, ResourceError, SicError, UsageError
from .files import Exists, printable
from .urls import READ_ONLY, scheme

INSTALL = 'pip install "sic[cluster]"'
TIMES = ("LastModified", "mtime", "modified", "updated", "created")
MOST_TOLD = 200


@dataclass(frozen=True, slots=True)
class State:
    """size: -1 if the store does not say. mtime_ns: 0 if it does not say."""

    size: int
    mtime_ns: int
    folder: bool


class Missing(InputError):
    """There is nothing at a URL."""


def _place(url: str) -> tuple[Any, str]:
    """fsspec's file system, and the path in it. Raises UsageError."""
    try:
        import fsspec
    except ImportError:
        raise UsageError(
            f"{printable(url)}: URLs need fsspec, which is not installed", INSTALL
        ) from None
    kind = scheme(url)
    if kind in ("file", "local"):
        raise UsageError(f"{printable(url)}: name the file by its path")
    try:
        system, path = fsspec.core.url_to_fs(url, use_listings_cache=False)
    except ImportError as error:
        text = f"{printable(url)}: {kind}:// needs a package that is not installed ({error})"
        package = {"gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs"}.get(kind)
        hint = f"pip install {package}" if package else INSTALL
        raise UsageError(" ".join(text.split()), hint) from None
    except ValueError as error:
        raise UsageError(f"{printable(url)}: {error}") from None
    except Exception as error:  # no credentials, as a store's own library says it
        raise InputError(_sentence(url, error)) from None
    return system, str(path)


def _sentence(url: str, error: Exception) -> str:
    """Whatever a store's library raised, as one line."""
    if isinstance(error, PermissionError):
        reason = "no permission"
        if str(error):
            reason += f" ({error})"
    elif isinstance(error, FileNotFoundError):
        text = str(error)
        reason = text if "bucket" in text.lower() and url not in text else "there is no such object"
    elif isinstance(error, TimeoutError):
        reason = "the store does not answer"
    else:
        reason = f"{type(error).__name__}: {error}"
    return f"{printable(url)}: {' '.join(reason.split())[:MOST_TOLD]}"


def _reading(url: str, error: Exception) -> SicError:
    if isinstance(error, SicError):
        return error
    if isinstance(error, FileNotFoundError):
        return Missing(_sentence(url, error))
    return InputError(_sentence(url, error))


def _state(facts: dict[str, Any]) -> State:
    size = facts.get("size")
    return State(-1 if size is None else int(size), _mtime_ns(facts), facts["type"] == "directory")


def _mtime_ns(facts: dict[str, Any]) -> int:
    for key in TIMES:
        value = facts.get(key)
        if isinstance(value, str):
            try:
                value = datetime.datetime.fromisoformat(value)
            except ValueError:
                continue
        if isinstance(value, datetime.datetime):
            value = value.timestamp()
        if isinstance(value, (int, float)):
            return int(value * 1e9)
    return 0


def state(url: str) -> State:
    """Raises Missing, InputError."""
    system, path = _place(url)
    try:
        return _state(system.info(path))
    except Exception as error:
        raise _reading(url, error) from None


def read(url: str, most: int) -> tuple[bytes, State]:
    """A whole object. Raises Missing, InputError, ResourceError beyond `most` bytes."""
    system, path = _place(url)
    try:
        known = _state(system.info(path))
        if known.folder:
            raise InputError(f"{printable(url)}: is a folder, not a file")
        if known.size > most:
            raise ResourceError(f"{printable(url)}: more than {most} bytes")
        data: bytes = system.cat_file(path) if known.size else b""
    except Exception as error:
        raise _reading(url, error) from None
    if len(data) > most:
        raise ResourceError(f"{printable(url)}: more than {most} bytes")
    return data, known


def read_part(url: str, start: int, end: int) -> bytes:
    """Bytes from `start` to before `end`. A store that cannot do that gives more: all of them."""
    system, path = _place(url)
    try:
        data: bytes = system.cat_file(path, start=start, end=end)
    except Exception as error:
        raise _reading(url, error) from None
    return data


def below(url: str) -> Iterator[tuple[str, State]]:
    """Every object below a folder: its path there, with slashes. Raises InputError."""
    system, path = _place(url)
    root = path.rstrip("/") + "/"
    try:
        found: dict[str, dict[str, Any]] = system.find(path, detail=True)
    except Exception as error:
        raise _reading(url, error) from None
    for name, facts in found.items():
        known = _state(facts)
        if name.startswith(root) and not name.endswith("/") and not known.folder:
            yield name[len(root) :], known


def inside(folder: str) -> dict[str, State]:
    """What lies right in a folder, by name; nothing if there is no such folder. Raises OutputError."""
    system, path = _place(folder)
    try:
        listed = system.ls(path, detail=True)
    except FileNotFoundError:
        return {}
    except Exception as error:
        raise OutputError(_sentence(folder, error)) from None
    return {str(f["name"]).rstrip("/").rpartition("/")[2]: _state(f) for f in listed}


def check_writable(url: str) -> None:
    """Raise OutputError for a kind of URL that cannot be written to, UsageError for an unknown one."""
    if scheme(url) in READ_ONLY:
        raise OutputError(f"{printable(url)}: {scheme(url)}:// can only be read")
    _place(url)


def put(url: str, data: bytes, *, replace: bool) -> None:
    """All of an object at once. Raises OutputError, also if there is one and it is not to be
    replaced: the store is asked to make sure of that where it can."""
    check_writable(url)
    system, path = _place(url)
    try:
        if not replace:
            try:
                system.pipe_file(path, data, mode="create")
                return
            except (NotImplementedError, ValueError):
                # No such mode in this store: ask, then put. Any other fault comes again with the put.
                if system.exists(path):
                    raise FileExistsError(url) from None
        system.pipe_file(path, data)
    except FileExistsError:
        raise Exists(url) from None
    except Exception as error:
        if "PreconditionFailed" in str(error) or "pre-condition" in str(error).lower():
            raise Exists(url) from None
        raise OutputError(_sentence(url, error)) from None


def remove(url: str) -> None:
    """Remove an object that this run has put. Raises OutputError."""
    system, path = _place(url)
    try:
        system.rm_file(path)
    except FileNotFoundError:
        return
    except Exception as error:
        raise OutputError(_sentence(url, error)) from None
