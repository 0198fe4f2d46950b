"""What will be written where, decided before anything is written: names, collisions, what exists."""

from __future__ import annotations

import os
import stat
import string
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field

from ..errors import UsageError
from ..storage import access
from ..storage.files import printable
from ..storage.urls import is_url, join, split, tidy
from .find import Found

FIELDS = ("stem", "name", "ext", "level", "parent", "index")


@dataclass(frozen=True, slots=True)
class Job:
    """One file to work on. fault: why it is not even tried; skip: its output stays as it is;
    replace: an output that stands there may be replaced."""

    index: int
    source: str
    output: str | None
    size: int = 0
    mtime_ns: int = 0
    fault: str | None = None
    skip: bool = False
    replace: bool = False


@dataclass(frozen=True, slots=True)
class OutputLayout:
    """Where outputs go.

    folder: the output folder, or None for beside the sources. naming: "replace" or "append" (the
    suffix), or a template. existing: "fail", "skip", "overwrite" or "newer"; "resume" leaves it to
    the record of the last run. roots: how many folders were named.
    """

    folder: str | None
    suffix: str
    naming: str = "replace"
    level: str = "max"
    existing: str = "fail"
    roots: int = 1


@dataclass(slots=True)
class BatchPlan:
    """jobs, and what stands in their way: sentences on outputs that collide and that exist."""

    jobs: list[Job] = field(default_factory=list)
    collisions: list[str] = field(default_factory=list)
    existing: list[str] = field(default_factory=list)

    def folders(self) -> set[str]:
        """The folders that will be written to."""
        outputs = (job.output for job in self.jobs if job.output and not is_url(job.output))
        return {os.path.dirname(output) or "." for output in outputs}


def plan(found: Iterable[Found], layout: OutputLayout) -> BatchPlan:
    """Jobs in the order of `found`; nothing is written. Raises UsageError for a naming that does not
    work at all."""
    check_naming(layout.naming)
    made, sources, there = BatchPlan(), dict[access.Place, str](), _Standing()
    for index, file in enumerate(found, 1):
        if file.fault is not None:
            made.jobs.append(Job(index, file.source, None, fault=file.fault))
            continue
        sources[file.place] = file.source
        output = output_of(file, layout, index)
        job = Job(index, file.source, output, file.size, file.mtime_ns)
        made.jobs.append(_beside_existing(job, layout.existing, made.existing, there))
    _find_collisions(made, sources)
    return made


def in_place(found: Iterable[Found]) -> BatchPlan:
    """Jobs that replace each file by what is made of it. A file that comes twice is worked on once; a link
    that was named leads to its file, one that a folder holds is left as it is."""
    made, seen = BatchPlan(), set[str]()
    for index, file in enumerate(found, 1):
        inside = file.root is not None and os.path.islink(file.source)
        target = os.path.realpath(file.source)
        if file.fault is None and not inside:
            if target in seen:
                continue
            seen.add(target)
        output = None if file.fault else target
        job = Job(index, file.source, output, file.size, file.mtime_ns, file.fault)
        made.jobs.append(_with(job, skip=inside, replace=True))
    return made


def check_naming(naming: str) -> None:
    """Raise UsageError for a template with fields that are not known."""
    if naming in ("replace", "append"):
        return
    try:
        used = [(name, form) for _, name, form, _ in string.Formatter().parse(naming) if name]
        for name, _ in used:
            if name not in FIELDS:
                raise ValueError(f"there is no field {name}")
        naming.format(**_values("a", "", "1", 1))
    except (ValueError, IndexError, KeyError, AttributeError) as error:
        fields = ", ".join(f"{{{name}}}" for name in FIELDS)
        raise UsageError(f"--name {printable(naming)}: {error}", f"fields are {fields}") from None
    if not used:
        raise UsageError(f"--name {printable(naming)}: would give every file the same name")


def _values(name: str, parent: str, level: str, index: int) -> dict[str, str | int]:
    stem, ext = os.path.splitext(name)
    return {
        "stem": stem,
        "name": name,
        "ext": ext.removeprefix("."),
        "level": int(level) if level.isdigit() else level,
        "parent": parent,
        "index": index,
    }


def output_of(file: Found, layout: OutputLayout, index: int) -> str:
    """The path that a file's output gets. Raises UsageError for a name that leads elsewhere."""
    folder, name = split(file.source)
    if layout.folder is not None:
        folder = layout.folder
        if file.root is not None:
            top = [_root_name(file.root)] if layout.roots > 1 else []
            folder = join(folder, *top, os.path.dirname(file.inner))
    if layout.naming == "replace":
        made = os.path.splitext(name)[0] + layout.suffix
    elif layout.naming == "append":
        made = name + layout.suffix
    else:
        whole = file.source if is_url(file.source) else os.path.abspath(file.source)
        parent = os.path.basename(split(whole)[0])
        made = layout.naming.format(**_values(name, parent, layout.level, index))
        parts = made.split("/")
        if made.startswith("/") or not all(parts) or {".", ".."} & set(parts) or "\0" in made:
            raise UsageError(f"--name gives {printable(file.source)} the name {printable(made)!r}")
    return join(folder, made)


def _root_name(root: str) -> str:
    whole = tidy(root) if is_url(root) else os.path.abspath(root)
    return os.path.basename(whole) or "root"


class _Standing:
    """What stands where outputs will be; of stores, a folder is listed once."""

    def __init__(self) -> None:
        self.listed: dict[str, dict[str, int | None]] = {}

    def at(self, output: str) -> tuple[bool, int | None]:
        """Is something there, and when was it changed (ns); None: it is no file. Raises OutputError."""
        if not is_url(output):
            try:
                state = os.lstat(output)
            except OSError:
                return False, 0
            file = stat.S_ISREG(state.st_mode) or stat.S_ISLNK(state.st_mode)
            return True, state.st_mtime_ns if file else None
        from ..storage import store

        folder, name = split(output)
        if folder not in self.listed:
            found = store.inside(folder)
            self.listed[folder] = {n: s.mtime_ns for n, s in found.items() if not s.folder}
        return name in self.listed[folder], self.listed[folder].get(name, 0)


def _beside_existing(job: Job, existing: str, problems: list[str], there: _Standing) -> Job:
    """The job, knowing what is to be done about an output that is there already."""
    assert job.output is not None
    if is_url(job.output) and existing in ("overwrite", "resume"):
        return _with(job, replace=True)  # a store is not listed in vain
    stands, changed = there.at(job.output)
    if not stands:
        return _with(job, replace=existing in ("overwrite", "resume", "newer"))
    if changed is None:
        problems.append(f"{printable(job.output)}: is there and is not a file")
        return job
    if existing == "fail":
        problems.append(f"{printable(job.output)}: exists")
        return job
    if existing == "skip" or (existing == "newer" and _time(job) <= changed):
        return _with(job, skip=True)
    return _with(job, replace=True)


def _time(job: Job) -> int:
    return job.mtime_ns or access.size_and_time(job.source)[1]


def _with(job: Job, *, skip: bool = False, replace: bool = False) -> Job:
    return Job(job.index, job.source, job.output, job.size, job.mtime_ns, job.fault, skip, replace)


def _find_collisions(made: BatchPlan, sources: dict[access.Place, str]) -> None:
    """Two outputs of one name, an output that is a source, a file where a folder must be."""
    keys = _Keys()
    taken: dict[str, str] = {}
    folded: dict[str, tuple[str, str]] = {}
    for job in made.jobs:
        if job.output is None:
            continue
        key = keys.of(job.output)
        if key in taken:
            made.collisions.append(_pair(taken[key], job.source, job.output))
            continue
        taken[key] = job.source
        blind = unicodedata.normalize("NFC", key).casefold()
        first, path = folded.setdefault(blind, (job.source, key))
        if path != key and not is_url(key) and case_blind(os.path.dirname(key)):
            made.collisions.append(_pair(first, job.source, job.output))
        same = sources.get(_place(job.output))
        if same is not None:
            made.collisions.append(f"{printable(job.output)}: is the input {printable(same)}")
    for folder in {os.path.dirname(key) for key in taken}:
        while folder and os.path.dirname(folder) != folder:
            if folder in taken:
                made.collisions.append(
                    f"{printable(folder)}: would be the output of {printable(taken[folder])} and a folder"
                )
            folder = os.path.dirname(folder)


def _pair(first: str, second: str, output: str) -> str:
    return f"{printable(first)} and {printable(second)}: both would be {printable(output)}"


def _place(path: str) -> access.Place:
    try:
        return access.place(path)
    except OSError:
        return (-1, -1)


class _Keys:
    """Output paths with links in their folders followed, each folder once."""

    def __init__(self) -> None:
        self.real: dict[str, str] = {}

    def of(self, output: str) -> str:
        if is_url(output):
            return tidy(output)
        folder, name = os.path.split(output)
        if folder not in self.real:
            self.real[folder] = os.path.realpath(folder)
        return os.path.join(self.real[folder], name)


def case_blind(folder: str) -> bool:
    """Whether a.png and A.png are one file where `folder` is, or will be; nothing is written."""
    path = os.path.abspath(folder)
    while os.path.dirname(path) != path:
        parent, name = os.path.split(path)
        if name.swapcase() != name and os.path.exists(path):
            try:
                return os.path.samefile(os.path.join(parent, name.swapcase()), path)
            except OSError:
                return False
        path = parent
    return False
