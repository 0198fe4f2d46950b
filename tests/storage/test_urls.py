"""Files by URL go the same way as files by path: planned, put whole, reported, resumed, refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.batch.fake import records
from tests.batch.test_folders import run
from tests.conftest import ROOT

fsspec = pytest.importorskip("fsspec", reason="URLs need the extra cluster")


@pytest.fixture
def store() -> Any:
    """fsspec's store in memory, empty but for some inputs."""
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    for name in ("b.in", "a/a.in", "a/deep/c.IN", "a/notes.txt", ".hidden/d.in", ".e.in"):
        memory.pipe_file(f"/in/{name}", name.encode())
    yield memory
    memory.store.clear()


def outputs(store: Any, folder: str = "/out") -> dict[str, bytes]:
    names = store.find(folder) if store.exists(folder) else []
    return {name.removeprefix(folder + "/"): store.cat_file(name) for name in names}


def test_a_tree_is_mirrored(store: Any) -> None:
    got = run("-r", "memory://in", "-o", "memory://out", "--report", "memory://log/r.jsonl")
    assert got.code == 0 and "3 done" in got.err and "1 other file left out" in got.err, got.err
    assert outputs(store) == {
        "a/a.out": b"ni.a/a",
        "a/deep/c.out": b"NI.c/peed/a",
        "b.out": b"ni.b",
    }
    assert set(outputs(store, "/log")) == {"r.jsonl"}, "the parts of the report are joined"
    rows = records(store.cat_file("/log/r.jsonl"))
    assert [row["input"] for row in rows[:-1]] == [
        *("memory://in/a/a.in", "memory://in/a/deep/c.IN", "memory://in/b.in")
    ]
    assert all(row["fetched_bytes"] == row["source_bytes"] > 0 for row in rows[:-1])


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["--hidden"], {"b", "a/a", "a/deep/c", ".hidden/d", ".e"}),
        (["--max-depth", "1"], {"b"}),
        (["--max-depth", "2"], {"b", "a/a"}),
        (["--glob", "a/**"], {"a/a", "a/deep/c"}),
        (["--exclude", "deep/"], {"b", "a/a"}),
        (["--exclude", "*.in", "--exclude", "!b.in"], {"b", "a/deep/c"}),
    ],
    ids=lambda v: " ".join(sorted(v) if isinstance(v, set) else v),
)
def test_rules_choose_objects_as_they_choose_files(
    arguments: list[str], names: set[str], store: Any, tmp_path: Path
) -> None:
    got = run("-r", "memory://in", "-o", tmp_path / "out", *arguments)
    made = {p.relative_to(tmp_path / "out") for p in (tmp_path / "out").rglob("*.out")}
    assert {str(path).removesuffix(".out") for path in made} == names, got.err


def test_a_run_is_resumed_by_what_lies_in_the_store(store: Any) -> None:
    run("-r", "memory://in", "-o", "memory://out")
    assert "3 skipped" in run("-r", "memory://in", "-o", "memory://out", "--resume").err
    store.pipe_file("/out/b.out", b"tampered")
    got = run("-r", "memory://in", "-o", "memory://out", "--resume")
    assert "1 done, 2 skipped" in got.err and outputs(store)["b.out"] == b"ni.b"


def test_parts_of_a_killed_run_count_when_it_is_resumed(store: Any) -> None:
    run("-r", "memory://in", "-o", "memory://out")
    whole = store.cat_file("/out/.sic-resume.jsonl").splitlines(keepends=True)
    store.rm_file("/out/.sic-resume.jsonl")
    store.pipe_file("/out/.sic-resume.jsonl.part-01-000000", b"")
    store.pipe_file("/out/.sic-resume.jsonl.part-01-000001", whole[0] + whole[1][:20])
    got = run("-r", "memory://in", "-o", "memory://out", "--resume")
    assert "2 done, 1 skipped" in got.err
    assert not [name for name in outputs(store) if ".part-" in name], "they are joined"


def test_what_exists_is_kept(store: Any) -> None:
    store.pipe_file("/out/b.out", b"old")
    got = run("-r", "memory://in", "-o", "memory://out")
    assert got.code == 9 and "b.out: exists" in got.err and set(outputs(store)) == {"b.out"}
    assert (
        "2 done, 1 skipped"
        in run(*("-r", "memory://in", "-o", "memory://out", "--on-existing", "skip")).err
    )
    assert outputs(store)["b.out"] == b"old"
    assert run("-r", "memory://in", "-o", "memory://out", "-f").code == 0
    assert outputs(store)["b.out"] == b"ni.b"


def test_an_object_that_came_since_the_plan_is_not_replaced(
    store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sic_cli.storage.store.inside", lambda folder: {})
    store.pipe_file("/out/b.out", b"of somebody else")
    got = run("memory://in/b.in", "memory://in/a/a.in", "-o", "memory://out")
    assert got.code == 1 and "b.out: exists" in got.err
    assert outputs(store)["b.out"] == b"of somebody else" and "a.out" in outputs(store)
    store.pipe_file("/out/b.out", b"ni.b")  # by a worker that died before it could say so
    store.rm_file("/out/a.out")
    got = run("memory://in/b.in", "memory://in/a/a.in", "-o", "memory://out")
    assert got.code == 0 and "2 done" in got.err, got.err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["-r", "memory://in", "-o", "memory://in/out"], 2, "is being read"),
        (["memory://in", "memory://in/b.in", "-o", "memory://out"], 2, "use -r"),
        (["-r", "memory://in", "-o", "memory://out", "-j", "2"], 2, "--jobs 1"),
        (["-r", "memory://in", "-o", "memory://out", "-p"], 2, "--preserve"),
        (["-r", "memory://in", "-o", "https://x.invalid/out"], 9, "can only be read"),
        (["-r", "nokind://in", "-o", "memory://out"], 2, "nokind"),
        (["-r", "file:///in", "-o", "memory://out"], 2, "by its path"),
        (["memory://in/none.in", "-o", "memory://out/"], 4, "no such object"),
        (["-r", "memory://none", "-o", "memory://out"], 1, "no such object"),
        (["memory://in/b.in", "-o", "memory://in/b.in", "-f"], 9, "the input itself"),
        (["memory://in/b.in", "--name", "{name}"], 9, "the input itself"),
        (["-r", "memory://in", "--name", "{name}"], 2, "is the input"),
    ],
    ids=lambda v: " ".join(v) if isinstance(v, list) else None,
)
def test_bad_input_is_reported_in_a_sentence(
    arguments: list[str], code: int, words: str, store: Any
) -> None:
    before = dict(store.store)
    got = run(*arguments)
    assert got.code == code and words in got.err and "Traceback" not in got.err, got.err
    assert set(store.store) - set(before) <= {"/out/.sic-resume.jsonl"}


@pytest.mark.parametrize(
    ("raised", "words"),
    [
        (PermissionError("Access Denied"), "no permission (Access Denied)"),
        (FileNotFoundError("The specified bucket does not exist"), "bucket does not exist"),
        (TimeoutError(), "does not answer"),
        (RuntimeError("a library's\n own words"), "RuntimeError: a library's own words"),
    ],
    ids=["permission", "bucket", "timeout", "other"],
)
@pytest.mark.parametrize("after", [0, 3])
def test_a_store_that_takes_nothing_ends_the_run_and_it_can_be_resumed(
    raised: Exception, words: str, after: int, store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, puts = type(store).pipe_file, [0]

    def pipe_file(self: Any, path: str, *data: Any, **options: Any) -> None:
        puts[0] += 1
        if puts[0] > after:
            raise raised
        real(self, path, *data, **options)

    with monkeypatch.context() as patch:
        patch.setattr(type(store), "pipe_file", pipe_file)
        got = run("-r", "memory://in", "-o", "memory://out")
    assert got.code == 9 and words in got.err and "Traceback" not in got.err, got.err
    assert len([name for name in outputs(store) if name.endswith(".out")]) == max(0, after - 1)
    got = run("-r", "memory://in", "-o", "memory://out", "--resume")
    assert got.code == 0 and len(outputs(store)) == 4, got.err


def test_without_fsspec_the_command_to_install_it_is_reported() -> None:
    code = (
        "import sys; sys.modules['fsspec'] = None\n"
        "from sic_cli.cli.main import main\nmain(['truncate', 's3://a/b.sic', '-l', '1', '-o', 'x'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2 and 'pip install "sic[cluster]"' in done.stderr, done.stderr
    assert len(done.stderr.splitlines()) == 2
