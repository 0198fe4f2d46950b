"""Which files a command is to work on: the inputs that were named, and what lies in their folders.

Only names and `stat` are used, and listings of stores; no file is opened. What cannot be worked on (a
pipe, a folder that cannot be read) is found with its fault, so that it shows up in the outcome.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from ..errors import Notice, SicError, UsageError
from ..storage import access
from ..storage.files import printable
from ..storage.urls import is_url, join, suffix, tidy

MOST_NAMES = 1 << 30
"""Bytes of a list of names."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Which files in folders count.

    suffixes: in small letters, with the dot. include, exclude: gitignore rules relative to each named
    folder. depth: folders below the named one, which is 1; None: all. follow: enter linked folders.
    avoid: the output folder, which must not be read.
    """

    suffixes: frozenset[str]
    recursive: bool = False
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    hidden: bool = False
    follow: bool = False
    depth: int | None = None
    avoid: str | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """root: the named folder it was found in, None if it was named itself; inner: its path below
    `root`. fault: why it cannot be worked on."""

    source: str
    root: str | None = None
    inner: str = ""
    size: int = 0
    mtime_ns: int = 0
    place: access.Place = (0, 0)
    fault: str | None = None


Notify = Callable[[Notice], None]


def names_from(file: str, null: bool) -> list[str]:
    """The names in a list, one a line (or ended by NUL). Raises as `read_input`."""
    data = access.read(file, MOST_NAMES).data
    return [os.fsdecode(name) for name in data.split(b"\0" if null else b"\n") if name]


def find(inputs: Sequence[str], rules: Rules, notify: Notify) -> Iterator[Found]:
    """Every file to work on, in the order of the inputs, in folders by name.

    Raises UsageError for a folder without `recursive`, a rule that cannot be read, and an output
    folder inside a folder that is read.
    """
    chosen = Chosen(rules)
    for name in inputs:
        if is_url(name):
            yield from _remote(name, rules, chosen)
            continue
        try:
            state = os.stat(name)
        except (OSError, ValueError) as error:
            yield Found(name, fault=_reason(error))
            continue
        if not stat.S_ISDIR(state.st_mode):
            yield _file(name, None, "")
        elif not rules.recursive:
            raise UsageError(f"{printable(name)}: is a folder", "use -r to take what is in it")
        else:
            _check_avoided(name, rules)
            yield from _walk(name, state, rules, chosen, notify)
    if chosen.other:
        kinds = sorted(chosen.other, key=lambda kind: (-chosen.other[kind], kind))
        listed = ", ".join(printable(kind) or "no suffix" for kind in kinds[:5])
        more = ", ..." if len(kinds) > 5 else ""
        count = sum(chosen.other.values())
        text = f"{count} other file{'s' if count > 1 else ''} left out ({listed}{more})"
        notify(Notice(text, "W-left-out"))


def _check_avoided(root: str, rules: Rules) -> None:
    if rules.avoid is None or is_url(rules.avoid):
        return
    inside, tree = os.path.realpath(rules.avoid), os.path.realpath(root)
    if inside == tree or inside.startswith(os.path.join(tree, "")):
        raise _inside(rules.avoid, root)


def _inside(output: str, tree: str) -> UsageError:
    return UsageError(
        f"{printable(output)}: the output folder lies in {printable(tree)}, which is being read",
        "name an output folder outside of it, or leave out -o and use --name",
    )


def _remote(url: str, rules: Rules, chosen: Chosen) -> Iterator[Found]:
    """A URL, or the objects below it. What looks like a file is not asked for: its worker will, and
    a list of a million names would take hours to check one by one."""
    if suffix(url) in rules.suffixes:
        yield Found(url, place=access.place(url))
        return
    from ..storage import store

    try:
        known = store.state(url)
        if not known.folder:
            yield Found(url, None, "", known.size, known.mtime_ns, access.place(url))
            return
        if not rules.recursive:
            raise UsageError(f"{printable(url)}: is a folder", "use -r to take what is in it")
        if rules.avoid is not None and is_url(rules.avoid):
            tree = tidy(url)
            if (tidy(rules.avoid) + "/").startswith(tree + "/"):
                raise _inside(rules.avoid, url)
        listed = {
            inner: known for inner, known in store.below(url) if _counts(inner, rules, chosen)
        }
    except UsageError:
        raise
    except SicError as error:
        yield Found(url, fault=str(error).removeprefix(f"{printable(url)}: "))
        return
    for inner in sorted(listed, key=lambda inner: os.fsencode(inner).split(b"/")):
        known, path = listed.pop(inner), join(url, inner)
        yield Found(path, url, inner, known.size, known.mtime_ns, access.place(path))


def _counts(inner: str, rules: Rules, chosen: Chosen) -> bool:
    """Whether the rules take an object at this path, and would enter all folders above it."""
    parts = inner.split("/")
    if any(part.startswith(".") for part in parts) and not rules.hidden:
        return False
    if rules.depth is not None and len(parts) > rules.depth:
        return False
    above = ("/".join(parts[:end]) for end in range(1, len(parts)))
    return not any(map(chosen.leaves_out, above)) and chosen.file(inner)


def _walk(
    root: str, state: os.stat_result, rules: Rules, chosen: Chosen, notify: Notify
) -> Iterator[Found]:
    avoided = _place(rules.avoid) if rules.avoid is not None else None
    trail = [(state.st_dev, state.st_ino)]
    fault = _readable(root)
    if fault is not None:
        yield Found(root, root, fault=fault)
        return
    stack, below = [iter(_entries(root))], [""]
    while stack:
        name, folder = next(stack[-1], ("", False))
        if not name:
            for pile in (stack, trail, below):
                pile.pop()
            continue
        inner = below[-1] + name
        path = os.path.join(root, inner)
        if name.startswith(".") and not rules.hidden:
            continue
        if not folder:
            if chosen.file(inner):
                yield _file(path, root, inner)
            continue
        if (os.path.islink(path) and not rules.follow) or chosen.leaves_out(inner):
            continue
        if rules.depth is not None and len(stack) >= rules.depth:
            continue
        place = _place(path)
        if place is not None and place in trail:
            notify(
                Notice(f"{printable(path)}: leads back into itself, not entered again", "W-loop")
            )
        elif place is not None and place == avoided:
            raise _inside(rules.avoid or "", root)
        elif (fault := _readable(path)) is not None:
            yield Found(path, root, inner, fault=fault)
        else:
            stack.append(iter(_entries(path)))
            trail.append(place or (0, 0))
            below.append(inner + "/")


def _readable(folder: str) -> str | None:
    """Why a folder cannot be read, or None."""
    try:
        with os.scandir(folder):
            return None
    except OSError as error:
        return f"folder cannot be read: {_reason(error)}"


def _entries(folder: str) -> list[tuple[str, bool]]:
    """Names in a folder, bytewise, and whether each is a folder or a link to one."""
    with os.scandir(folder) as entries:
        found = [(entry.name, _is_folder(entry)) for entry in entries]
    return sorted(found, key=lambda entry: os.fsencode(entry[0]))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _place(path: str) -> tuple[int, int] | None:
    try:
        state = os.stat(path)
    except OSError:
        return None
    return state.st_dev, state.st_ino


def _file(path: str, root: str | None, inner: str) -> Found:
    try:
        state = os.stat(path)
    except OSError as error:
        return Found(path, root, inner, fault=_reason(error))
    fault = None if stat.S_ISREG(state.st_mode) else "is not a regular file"
    return Found(
        path,
        root,
        inner,
        state.st_size,
        state.st_mtime_ns,
        (state.st_dev, state.st_ino),
        fault,
    )


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


class _Matcher(Protocol):
    def match_file(self, file: str) -> bool: ...


class Chosen:
    """The rules of one command, ready to be asked."""

    def __init__(self, rules: Rules) -> None:
        self.suffixes = rules.suffixes
        self.include = _matcher(rules.include)
        self.exclude = _matcher(rules.exclude)
        self.other: Counter[str] = Counter()
        """How many files were left out for their suffix, by suffix."""

    def file(self, inner: str) -> bool:
        """Whether a file at this path below its root is worked on."""
        suffix = os.path.splitext(inner)[1].lower()
        if suffix not in self.suffixes:
            self.other[suffix] += 1
            return False
        if self.include is not None and not self.include.match_file(inner):
            return False
        return self.exclude is None or not self.exclude.match_file(inner)

    def leaves_out(self, inner: str) -> bool:
        """Whether a whole folder is left out."""
        return self.exclude is not None and self.exclude.match_file(inner + "/")


def _matcher(patterns: tuple[str, ...]) -> _Matcher | None:
    if not patterns:
        return None
    from pathspec import GitIgnoreSpec

    try:
        return GitIgnoreSpec.from_lines(patterns)
    except ValueError as error:
        raise UsageError(f"not a gitignore rule: {error}") from None
