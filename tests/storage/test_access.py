"""A new name is given once: of two that write it at the same time, one is told that it exists."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from sic_cli.storage import access
from sic_cli.storage.files import Exists, write_into


def no_links(source: str, target: str) -> None:
    raise OSError(errno.EPERM, "Operation not permitted", source)


@pytest.mark.parametrize("links", [True, False])
def test_a_new_name_is_given_once(
    links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not links:
        monkeypatch.setattr(os, "link", no_links)
    path = tmp_path / "folder" / "x"
    write_into(str(path), b"first", replace=False)
    with pytest.raises(Exists, match="x: exists"):
        write_into(str(path), b"second", replace=False)
    assert path.read_bytes() == b"first"
    write_into(str(path), b"third")
    assert path.read_bytes() == b"third" and path.stat().st_nlink == 1
    assert [p.name for p in path.parent.iterdir()] == ["x"], "nothing is left beside it"


def test_a_name_that_came_while_a_worker_worked_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"of somebody else")
    answers = iter([False, True] * 3)  # not there when it was asked first
    monkeypatch.setattr(os.path, "lexists", lambda name: next(answers))
    with pytest.raises(Exists):
        access.write(str(path), b"mine", replace=False)
    assert path.read_bytes() == b"of somebody else"
    access.write(str(path), b"of somebody else", replace=False)
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").write_bytes(b"mine")
    with pytest.raises(Exists):
        access.write(str(path), b"mine", replace=False)
