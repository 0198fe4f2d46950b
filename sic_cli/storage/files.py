"""Reading inputs whole and writing outputs whole or not at all. Standard library only."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import BinaryIO

from ..errors import InputError, OutputError, ResourceError, UsageError

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

PART_SUFFIX = ".sic-part"
READ_BYTES = 1 << 20
STALE_SECONDS = 24 * 3600


def read_input(name: str, most: int) -> bytes:
    """Bytes of a file, or of standard input for `-`.

    Raises InputError for what is missing, unreadable or not a regular file, ResourceError beyond
    `most` bytes.
    """
    if name == "-":
        try:
            if sys.stdin is None:
                raise InputError("standard input is closed")
            data = _read(sys.stdin.buffer, 0, most)
        except OSError as error:
            raise InputError(f"standard input: {error.strerror}") from None
    else:
        try:
            facts = os.stat(name)
            if stat.S_ISDIR(facts.st_mode):
                raise InputError(f"{printable(name)}: is a folder, not a file")
            if not stat.S_ISREG(facts.st_mode):
                raise InputError(f"{printable(name)}: is not a regular file")
            with open(name, "rb") as file:
                data = _read(file, facts.st_size, most)
        except OSError as error:
            raise InputError(f"{printable(name)}: {error.strerror}") from None
        except ValueError as error:  # a NUL in the name
            raise InputError(f"{printable(name)}: {error}") from None
    if len(data) > most:
        raise ResourceError(f"{printable(name)}: more than {most} bytes")
    return data


def _read(file: BinaryIO, size: int, most: int) -> bytes:
    """Up to `most` + 1 bytes. Asked for at once, they would all be reserved, however short the file
    is, and a process with little address space would fail; `size` is what the file seems to have."""
    parts = [file.read(min(size, most) + 1)]
    left = most + 1 - len(parts[0])
    while left and (part := file.read(min(left, READ_BYTES))):
        parts.append(part)
        left -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def check_output(output: str, source: str, force: bool) -> None:
    """Raise before any work is done if the output could not be written afterwards."""
    if output == "-":
        if sys.stdout is None:
            raise OutputError("standard output is closed")
        if sys.stdout.isatty() and not force:
            raise UsageError("will not write binary data to a terminal", "use -o FILE")
        return
    try:
        _check_path(output, source, force)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise OutputError(f"{printable(output)}: {reason}") from None


def _check_path(output: str, source: str, force: bool) -> None:
    path = Path(output)
    if output.endswith(("/", os.sep)):
        raise OutputError(f"{printable(output)}: names a folder, not a file")
    if path.is_dir():
        raise OutputError(f"{printable(output)}: is a folder")
    with contextlib.suppress(FileNotFoundError):
        os.stat(path)  # a loop of links, a part of the path that is no folder, a name too long
    if path.exists():
        if source != "-" and os.path.exists(source) and os.path.samefile(source, path):
            raise OutputError(f"{printable(output)}: is the input itself")
        if path.is_file() and not force:
            raise OutputError(f"{printable(output)}: exists", "use --force to replace it")
    parent = path.parent
    if not parent.is_dir():
        raise OutputError(f"{printable(output)}: there is no folder {printable(str(parent))}")
    if (path.is_file() or not path.exists()) and not os.access(parent, os.W_OK):
        raise OutputError(f"{printable(output)}: the folder is not writable")


def write_output(output: str, data: bytes) -> None:
    """Write all of `data`, or leave what was there: a temporary file beside it, then a rename.

    The file is on the disk before it gets its name, and the name when this returns, so that a power
    cut leaves the old or the new file. What a killed `sic` left beside it is removed. What is not a regular file (a device, a pipe) is written straight. Raises OutputError;
    BrokenPipeError passes through.
    """
    try:
        if output == "-":
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
            return
        target = os.path.realpath(output)
        if os.path.exists(target) and not os.path.isfile(target):
            with open(target, "wb") as device:
                device.write(data)
            return
        remove_stale(os.path.dirname(target) or ".")
        replace_file(target, data)
        with contextlib.suppress(OSError):  # the file is whole; not every disk can do this
            _sync_folder(os.path.dirname(target))
    except BrokenPipeError:
        raise
    except OSError as error:
        raise output_error(output, error) from None


class Exists(OutputError):
    """There is something at a place that is not to be replaced."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{printable(name)}: exists", "use --force to replace it")


def write_into(output: str, data: bytes, *, replace: bool = True, sync: bool = False) -> None:
    """Write a file of a mirrored folder, whole or not at all; missing folders are made.

    A link that stands in its place is replaced, not followed. sync: wait until the disk has it.
    Raises OutputError; Exists if there is something that is not to be replaced, even if another
    process put it there a moment ago.
    """
    try:
        os.makedirs(os.path.dirname(output) or ".", exist_ok=True)
        replace_file(output, data, new=not replace, sync=sync)
        if sync:
            _sync_folder(os.path.dirname(output))
    except FileExistsError as error:
        if replace or not os.path.lexists(output):  # a part of the path is no folder
            raise output_error(output, error) from None
        raise Exists(output) from None
    except OSError as error:
        raise output_error(output, error) from None


def _sync_folder(folder: str) -> None:
    """Wait until the disk has the names in a folder, where a folder can be opened. Raises OSError."""
    if hasattr(os, "O_DIRECTORY"):
        handle = os.open(folder or ".", os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def keep_mode_and_time(source: str, output: str) -> None:
    """Give an output the mode and the times of its source. Raises OutputError."""
    try:
        state = os.stat(source)
        os.chmod(output, stat.S_IMODE(state.st_mode) & 0o777)
        os.utime(output, ns=(state.st_atime_ns, state.st_mtime_ns))
    except OSError as error:
        raise output_error(output, error) from None


def output_error(output: str, error: OSError) -> OutputError:
    """The error that says why `output` could not be written."""
    reason = "disk full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else error.strerror
    return OutputError(f"{printable(output)}: {reason}")


def replace_file(target: str, data: bytes, *, new: bool = False, sync: bool = True) -> None:
    """Put `data` in the place of the file `target`, whole or not at all. new: nothing may be there.
    Raises OSError."""
    folder = os.path.dirname(target)
    try:
        mode = stat.S_IMODE(os.stat(target).st_mode)
    except OSError:
        mask = os.umask(0)
        os.umask(mask)
        mode = 0o666 & ~mask
    handle, part = _new_part(folder)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            if sync:
                os.fsync(file.fileno())
            os.chmod(part, mode)
            if fcntl is not None:
                _name(part, target, new)
        if fcntl is None:  # where an open file cannot be renamed
            _name(part, target, new)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(part)
        raise


def _name(part: str, target: str, new: bool) -> None:
    """Give a whole file its name. Raises OSError; FileExistsError if the name is to be new and is not."""
    if new:
        try:
            os.link(part, target)  # unlike a rename, never replaces anything
            os.unlink(part)
            return
        except FileExistsError:
            raise
        except OSError:  # a file system without such links
            if os.path.lexists(target):
                raise FileExistsError(target) from None
    os.replace(part, target)


def _new_part(folder: str) -> tuple[int, str]:
    """A new temporary file, locked for as long as it is open: `remove_stale` leaves it alone."""
    import tempfile  # takes a while to load

    while True:
        handle, part = tempfile.mkstemp(PART_SUFFIX, ".", folder or ".")
        if _lock(handle) is not False and _same(handle, part):
            return handle, part
        os.close(handle)


def _lock(handle: int) -> bool | None:
    """True: locked; False: somebody else has it; None: there are no locks here."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _same(handle: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except FileNotFoundError:
        return False


def remove_stale(folder: str) -> int:
    """Remove temporary files that a killed `sic` left in a folder; how many.

    Those are not locked any more; where there are no locks, those older than a day. Only regular
    files of this user are touched; what cannot be removed stays.
    """
    try:
        names = os.listdir(folder)
    except OSError:
        return 0
    removed = 0
    for name in names:
        if name.startswith(".") and name.endswith(PART_SUFFIX):
            removed += _remove_if_stale(os.path.join(folder, name))
    return removed


def _remove_if_stale(path: str) -> bool:
    try:
        state = os.lstat(path)
        if not stat.S_ISREG(state.st_mode):
            return False
        if hasattr(os, "getuid") and state.st_uid != os.getuid():
            return False
        handle = os.open(path, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
        try:
            held = _lock(handle)
            if held is None and time.time() - state.st_mtime < STALE_SECONDS:
                return False
            if held is not False:
                os.unlink(path)
            return held is not False
        finally:
            os.close(handle)
    except OSError:
        return False


def printable(name: str) -> str:
    """A path as messages show it: control characters escaped."""
    if name == "-":
        return "standard input"
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in name)


def write_beside(output: str, files: Mapping[str, bytes]) -> None:
    """Files of a page into the folder `OUTPUT.files`; nothing if there are none. Raises OutputError."""
    if not files:
        return
    if output == "-":
        raise OutputError("too many bytes for one page", "raise --embed-limit, or use -o FILE")
    folder = Path(f"{output}.files")
    try:
        folder.mkdir(exist_ok=True)
        for name, data in files.items():
            replace_file(str((folder / name).resolve()), data)
    except OSError as error:
        raise OutputError(f"{printable(str(folder))}: {error.strerror}") from None
