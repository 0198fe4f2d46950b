"""What goes wrong around a cluster: a sentence, the documented code, nothing half, and it is resumed."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sic_cli.batch import cluster as engine
from sic_cli.cli import running
from tests.batch.fake import records
from tests.batch.test_folders import process, run, tree
from tests.conftest import ROOT

distributed = pytest.importorskip("distributed", reason="--cluster needs the extra cluster")
pytestmark = pytest.mark.filterwarnings("ignore")  # Dask's own
COUNT = 12


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for n in range(COUNT):
        (folder / f"{n:02}.in").write_text(f"file {n}")
    return folder


@pytest.fixture
def bucket(s3: Any) -> Iterator[str]:
    """An empty one, for outputs."""
    s3.mkdir("target")
    yield "s3://target"
    if s3.exists("target"):
        s3.rm("target", recursive=True)


def become(version: str, dask_worker: Any) -> None:
    """On a worker: another version, and not looked at before."""
    import sic_cli

    sic_cli.__version__, dask_worker.sic_passed = version, set()


@contextlib.contextmanager
def joined_late(cluster: Any, count: int, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """So many of the two workers are of another version, from right after all were asked."""
    with distributed.Client(cluster, set_as_default=False) as client:
        client.wait_for_workers(2)
        bad = list(client.scheduler_info(n_workers=-1)["workers"])[:count]
        asked = engine.Cluster._check_workers

        def check(self: engine.Cluster) -> None:
            asked(self)
            client.run(become, "9.9.9", workers=bad)

        patch.setattr(engine.Cluster, "_check_workers", check)
        try:
            yield
        finally:
            client.run(become, engine.__version__)
            patch.undo()


SKEW = f"has sic 9.9.9, and here is sic {engine.__version__}"


def test_a_worker_of_another_version_that_joins_late_gets_no_files(
    cluster: Any, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with joined_late(cluster, 1, monkeypatch):
        got = run("-r", source, "-o", tmp_path / "o", "--cluster", cluster.scheduler_address)
    assert got.code == 0 and f"{COUNT} done, 0 skipped, 0 failed" in got.err, got.err
    assert got.err.count(f"{SKEW}; it gets no files") == got.err.count(SKEW) == 1, got.err
    assert len(tree(tmp_path / "o")) == COUNT


def test_a_run_ends_if_only_workers_of_another_version_are_left(
    cluster: Any, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ("-r", source, "-o", tmp_path / "o", "--cluster", cluster.scheduler_address)
    with joined_late(cluster, 2, monkeypatch):
        monkeypatch.setattr(engine, "REFUSED_SECONDS", 0)
        got = run(*arguments)
    assert got.code == 7 and f"{SKEW} [E-resources]" in got.err, got.err
    assert "Traceback" not in got.err
    assert not tree(tmp_path / "o")
    assert run(*arguments, "--resume").code == 0 and len(tree(tmp_path / "o")) == COUNT


HOST = """
import sys, distributed
with distributed.LocalCluster(
    n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None, protocol="tcp",
    host="127.0.0.1", silence_logs=50
) as cluster:
    print(cluster.scheduler_address, flush=True)
    sys.stdin.read()
"""


def test_a_scheduler_that_dies_in_the_middle_ends_the_run(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "CONNECT_SECONDS", 5)
    host = subprocess.Popen(
        [sys.executable, "-c", HOST],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert host.stdout is not None and host.stdin is not None
    address = host.stdout.readline().strip()

    with host, monkeypatch.context() as patch:
        after(2, host.kill, patch)
        got = run("-r", source, "-o", tmp_path / "o", "--cluster", address)
    assert got.code == 7 and "scheduler is gone" in got.err and "--resume" in got.err, got.err
    assert "Traceback" not in got.err and 2 <= len(tree(tmp_path / "o")) < COUNT
    got = run("-r", source, "-o", tmp_path / "o", "--resume")
    assert got.code == 0 and f"{COUNT} done" not in got.err and len(tree(tmp_path / "o")) == COUNT


def after(count: int, act: Callable[[], object], patch: pytest.MonkeyPatch) -> None:
    """Act when so many records of a run in this process have come."""
    told, seen = running.report_record, []

    def tell(*arguments: Any) -> None:
        told(*arguments)
        seen.append(1)
        if len(seen) == count:
            act()

    patch.setattr(running, "report_record", tell)


def test_what_answers_but_is_no_scheduler_is_reported(
    s3: Any, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "CONNECT_SECONDS", 1)
    address = os.environ["AWS_ENDPOINT_URL"].replace("http", "tcp")
    got = run("-r", source, "-o", tmp_path / "o", "--cluster", address)
    assert got.code == 7 and "does not answer" in got.err and not tree(tmp_path / "o"), got.err
    assert "Traceback" not in got.err


def fill(full: bool) -> None:
    """On a worker: no file finds room on its disk any more."""
    import errno

    from sic_cli.storage import files

    if not hasattr(files, "with_room"):
        files.with_room = files.replace_file  # type: ignore[attr-defined]

    def replace_file(target: str, *_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", target)

    files.replace_file = replace_file if full else files.with_room  # type: ignore[attr-defined]


@pytest.mark.parametrize("count", [1, 2])
def test_a_full_disk_on_workers_fails_what_they_write_and_it_is_resumed(
    count: int, cluster: Any, source: Path, tmp_path: Path
) -> None:
    arguments = ("-r", source, "-o", tmp_path / "o", "--cluster", cluster.scheduler_address)
    with distributed.Client(cluster, set_as_default=False) as client:
        client.wait_for_workers(2)
        workers = list(client.scheduler_info(n_workers=-1)["workers"])[:count]
        client.run(fill, True, workers=workers)
        try:
            got = run(*arguments, "--seconds", "0.05")
        finally:
            client.run(fill, False)
    rows = records((tmp_path / "o" / ".sic-resume.jsonl").read_bytes())[:-1]
    failed = [row for row in rows if not row["ok"]]
    assert got.code == 1 and len(rows) == COUNT and (count == 1 or len(failed) == COUNT)
    assert {row["code"] for row in failed} == {9}, got.err
    assert all(row["error"]["text"].endswith(".out: disk full") for row in failed)
    assert set(tree(tmp_path / "o")) == {os.path.basename(r["output"]) for r in rows if r["ok"]}
    got = run(*arguments, "--resume")
    assert got.code == 0 and f"{len(failed)} done, {COUNT - len(failed)} skipped" in got.err
    assert len(tree(tmp_path / "o")) == COUNT


def deny(s3: Any, action: str, keys: str) -> None:
    rule = {"Effect": "Deny", "Principal": "*", "Action": action}
    policy = {"Statement": [{**rule, "Resource": f"arn:aws:s3:::target/{keys}"}]}
    s3.call_s3("put_bucket_policy", Bucket="target", Policy=json.dumps(policy))


def outputs(s3: Any) -> dict[str, bytes]:
    names = s3.find("target") if s3.exists("target") else []
    return {name.split("/", 1)[1]: s3.cat_file(name) for name in names if name.endswith(".out")}


def test_a_bucket_without_permission_ends_the_run_before_any_work(
    cluster: Any, s3: Any, bucket: str, source: Path
) -> None:
    arguments = ("-r", source, "-o", bucket, "--cluster", cluster.scheduler_address)
    deny(s3, "s3:PutObject", "*")
    got = run(*arguments)
    assert got.code == 9 and "no permission" in got.err and "done" not in got.err, got.err
    assert len(got.err.splitlines()) == 1 and not s3.find("target")
    s3.call_s3("delete_bucket_policy", Bucket="target")
    assert run(*arguments).code == 0 and len(outputs(s3)) == COUNT


def test_objects_without_permission_fail_and_are_resumed(
    cluster: Any, s3: Any, bucket: str, source: Path
) -> None:
    arguments = ("-r", source, "-o", bucket, "--cluster", cluster.scheduler_address)
    deny(s3, "s3:PutObject", "0*.out")
    got = run(*arguments)
    assert got.code == 1 and "2 done, 0 skipped, 10 failed" in got.err, got.err
    assert got.err.count("no permission") == 10 and set(outputs(s3)) == {"10.out", "11.out"}
    s3.call_s3("delete_bucket_policy", Bucket="target")
    got = run(*arguments, "--resume")
    assert got.code == 0 and "10 done, 2 skipped" in got.err and len(outputs(s3)) == COUNT


def test_inputs_without_permission_fail_and_are_resumed(
    cluster: Any, s3: Any, bucket: str, tmp_path: Path
) -> None:
    for n in range(COUNT):
        s3.pipe_file(f"target/in/{n:02}.in", b"file")
    deny(s3, "s3:*Object", "in/0*")
    arguments = ("-r", f"{bucket}/in", "-o", tmp_path / "o")
    there = ("--cluster", cluster.scheduler_address)
    got = run(*arguments, *there)
    assert got.code == 1 and "2 done, 0 skipped, 10 failed" in got.err, got.err
    assert got.err.count("no permission") == 10 and got.err.count("(code 4)") == 10
    s3.call_s3("delete_bucket_policy", Bucket="target")
    assert "10 done, 2 skipped" in run(*arguments, *there, "--resume").err


@pytest.mark.parametrize("report", [True, False])
def test_a_bucket_that_vanishes_half_way_is_reported_and_resumed(
    report: bool,
    cluster: Any,
    s3: Any,
    bucket: str,
    source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arguments = ["-r", source, "-o", bucket, "--cluster", cluster.scheduler_address]
    if report:
        arguments += ["--report", tmp_path / "r.jsonl"]

    def remove() -> None:
        end = time.monotonic() + 60
        while s3.exists("target") and time.monotonic() < end:
            with contextlib.suppress(OSError):  # a worker put something in between
                s3.rm("target", recursive=True)

    with monkeypatch.context() as patch:
        after(3, remove, patch)
        got = run(*arguments)
    assert got.code == (1 if report else 9) and "Traceback" not in got.err, got.err
    assert "bucket does not exist" in got.err and not s3.exists("target")
    s3.mkdir("target")
    got = run(*arguments, "--resume")
    assert got.code == 0 and f"{COUNT} done, 0 skipped" in got.err, got.err
    assert outputs(s3) == {f"{n:02}.out": f"file {n}"[::-1].encode() for n in range(COUNT)}


def both(cluster: Any, source: Path, target: str, tmp_path: Path, marks: tuple[str, str]) -> Any:
    """Two runs that have planned before either writes: their codes, errors and reports."""
    reports = [tmp_path / f"report{n}" for n in range(2)]
    there = ("--cluster", cluster.scheduler_address, "--seconds", "0.05")
    started = [
        process("--files-from", "-", "-o", target, *there, "--mark", mark, "--report", report)
        for mark, report in zip(marks, reports, strict=True)
    ]
    for one in started:  # both wait for the end of their lists
        assert one.stdin is not None
        one.stdin.write("".join(f"{path}\n" for path in sorted(source.iterdir())).encode())
        one.stdin.flush()
    for one in started:
        assert one.stdin is not None
        one.stdin.close()
        one.stdin = None
    ended = [one.communicate(timeout=300)[1].decode() for one in started]
    rows = [records(report.read_bytes())[:-1] for report in reports]
    return [one.returncode for one in started], ended, rows


@pytest.mark.parametrize("where", ["bucket", "folder"])
def test_of_two_jobs_with_one_target_none_replaces_what_the_other_wrote(
    where: str, cluster: Any, s3: Any, bucket: str, source: Path, tmp_path: Path
) -> None:
    target = bucket if where == "bucket" else str(tmp_path / "o")
    codes, errors, rows = both(cluster, source, target, tmp_path, ("a", "b"))
    found = outputs(s3) if where == "bucket" else tree(tmp_path / "o")
    assert len(found) == COUNT and not any("Traceback" in text for text in errors), errors
    for n, mark in enumerate("ab"):
        mine = {os.path.basename(row["output"]) for row in rows[n] if row["ok"]}
        assert mine == {name for name, data in found.items() if data.endswith(mark.encode())}
        lost = [row for row in rows[n] if not row["ok"]]
        assert len(mine) + len(lost) == COUNT and codes[n] == (1 if lost else 0)
        assert all(row["code"] == 9 and row["error"]["text"].endswith(": exists") for row in lost)


def test_the_same_job_twice_at_once_is_done_twice_and_stands_once(
    cluster: Any, s3: Any, bucket: str, source: Path, tmp_path: Path
) -> None:
    codes, errors, rows = both(cluster, source, bucket, tmp_path, ("", ""))
    assert codes == [0, 0], errors
    assert all(len(each) == COUNT and all(row["ok"] for row in each) for each in rows)
    assert len(s3.find("target")) == len(outputs(s3)) == COUNT
