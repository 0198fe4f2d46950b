"""Files by path or URL: what the folders above call, so that they need not know which it is."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass

from ..errors import InputError, OutputError, ResourceError
from .files import Exists, printable, read_input, write_into, write_output
from .files import check_output as check_file
from .urls import is_url, split, tidy

Place = tuple[int | str, int | str]
"""What two names of one file have in common."""


@dataclass(frozen=True, slots=True)
class Portion:
    """data: the bytes that are needed, from the first on. size: of the whole file. mtime_ns: 0 if it
    is not known. fetched: bytes that came over the network; None for a file that lies here."""

    data: bytes
    size: int
    mtime_ns: int = 0
    fetched: int | None = None

    @property
    def whole(self) -> bool:
        """Whether these are all bytes of the file."""
        return len(self.data) == self.size


def read(name: str, most: int) -> Portion:
    """A whole file. Raises InputError, ResourceError beyond `most` bytes."""
    if not is_url(name):
        data = read_input(name, most)
        return Portion(data, len(data))
    from . import store

    data, known = store.read(name, most)
    return Portion(data, len(data), known.mtime_ns, len(data))


def write(output: str, data: bytes, *, replace: bool, sync: bool = False) -> None:
    """Write into a folder that is made as needed, whole or not at all. Raises OutputError, also for an
    output that is there and not to be replaced, unless it is these very bytes: a worker that wrote it
    and died before it could say so is not held against the next one."""
    try:
        if is_url(output):
            from . import store

            store.put(output, data, replace=replace)
        elif not replace and os.path.lexists(output):
            raise Exists(output)
        else:
            write_into(output, data, replace=replace, sync=sync)
    except Exists:
        if not _holds(output, data):
            raise


def _holds(output: str, data: bytes) -> bool:
    if not is_url(output) and os.path.islink(output):
        return False
    try:
        return read(output, len(data)).data == data
    except (InputError, ResourceError):  # gone, unreadable, or longer
        return False


def write_named(output: str, data: bytes, source: str) -> None:
    """Write the one output of a command; - is standard output. Raises OutputError."""
    if is_url(output):
        write(output, data, replace=True)
        return
    check_file(output, source, True)
    write_output(output, data)


def check_output(output: str, source: str, force: bool) -> None:
    """Raise before any work is done if the output could not be written afterwards."""
    if not is_url(output):
        check_file(output, source, force)
        return
    from . import store

    if not split(output)[1]:
        raise OutputError(f"{printable(output)}: names a folder, not a file")
    store.check_writable(output)
    if is_url(source) and tidy(source) == tidy(output):
        raise OutputError(f"{printable(output)}: is the input itself")
    if not force:
        there = store.inside(split(output)[0]).get(split(output)[1])
        if there is not None:
            raise Exists(output)


def is_folder(name: str) -> bool:
    """Whether a name is a folder; a URL that ends in / is one, or nothing."""
    if not is_url(name):
        return os.path.isdir(name)
    from . import store

    if name.endswith("/"):
        return True
    try:
        return store.state(name).folder
    except store.Missing:
        return False


def size_and_time(name: str) -> tuple[int, int]:
    """Bytes and time of change in nanoseconds. Raises OSError or InputError if there is no such file."""
    if not is_url(name):
        state = os.stat(name)
        return state.st_size, state.st_mtime_ns
    from . import store

    known = store.state(name)
    return known.size, known.mtime_ns


def place(name: str) -> Place:
    """Raises OSError if there is no such file; a URL stands for itself."""
    if is_url(name):
        return "", tidy(name)
    state = os.stat(name)
    return state.st_dev, state.st_ino


def sha256_of(name: str, most: int) -> str:
    """Digest of a file's bytes. Raises OSError or InputError."""
    if is_url(name):
        return hashlib.sha256(read(name, most).data).hexdigest()
    with open(name, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
