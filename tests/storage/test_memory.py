"""The machine's memory: what is built in, or less where a control group says so."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sic_cli.batch import jobs
from sic_cli.storage import memory


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of 8 GB; write `cgroup` and limit files below `mount`."""
    monkeypatch.setattr(memory, "_built_in", lambda: [8_000_000_000])
    monkeypatch.setattr(memory, "GROUPS", str(tmp_path / "cgroup"))
    monkeypatch.setattr(memory, "MOUNT", str(tmp_path / "mount"))
    return tmp_path


def limit(groups: Path, path: str, text: str) -> None:
    file = groups / "mount" / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_without_groups_it_is_what_is_built_in(groups: Path) -> None:
    assert memory.machine_memory() == 8_000_000_000
    (groups / "cgroup").write_text("0::/a/b\nnonsense\n")
    assert memory.machine_memory() == 8_000_000_000


@pytest.mark.parametrize(
    ("line", "file"),
    [
        ("0::/a/b", "a/b/memory.max"),
        ("0::/a/b", "a/memory.max"),  # a group above it
        ("0::/a/b", "memory.max"),  # inside of a container the own group is the top
        ("4:memory:/a/b", "memory/a/b/memory.limit_in_bytes"),
        ("4:cpu,memory:/a/b", "memory/memory.limit_in_bytes"),
    ],
)
def test_the_smallest_limit_of_both_kinds_of_groups_counts(
    line: str, file: str, groups: Path
) -> None:
    (groups / "cgroup").write_text(f"7:cpu:/x\n{line}\n")
    limit(groups, "x/memory.max", "1\n")  # of another group
    limit(groups, file, "2000000000\n")
    assert memory.machine_memory() == 2_000_000_000
    limit(groups, file, "9223372036854771712\n")
    assert memory.machine_memory() == 8_000_000_000
    limit(groups, file, "max\n")
    assert memory.machine_memory() == 8_000_000_000


def test_a_machine_that_does_not_tell_is_unknown(
    groups: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "_built_in", lambda: [])
    assert memory.machine_memory() is None
    assert jobs.fitting_jobs() == jobs.cores()


def test_this_machine_tells_something_sensible() -> None:
    if hasattr(os, "sysconf"):
        assert 10**8 < (memory.machine_memory() or 0) < 10**15


def test_jobs_fit_into_what_a_container_allows(
    groups: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "cores", lambda: 16)
    assert jobs.fitting_jobs() == 8
    (groups / "cgroup").write_text("0::/a\n")
    limit(groups, "a/memory.max", "3000000000")
    assert jobs.fitting_jobs() == 3
