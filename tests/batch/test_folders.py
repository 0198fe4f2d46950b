"""Many files in one command: mirrored trees, collisions, failures, reports, interruptions, resuming."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from click.testing import CliRunner

from sic_cli.batch import plan as planning
from sic_cli.batch.plan import Job
from sic_cli.batch.run import Runner
from sic_cli.batch.work import Order, Work
from sic_cli.storage.files import PART_SUFFIX, remove_stale, replace_file
from tests.batch import fake
from tests.batch.fake import Fake, records
from tests.conftest import ROOT, Outcome


def run(*arguments: object, stdin: bytes = b"") -> Outcome:
    """`sic fake` in this process."""
    import click

    @click.command(context_settings={"ignore_unknown_options": True}, add_help_option=False)
    @click.argument("rest", nargs=-1, type=click.UNPROCESSED)
    def shell(rest: tuple[str, ...]) -> None:
        fake.run(*rest)

    result = CliRunner().invoke(shell, ["--", *map(str, arguments)], input=stdin)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Outcome(result.exit_code, result.stdout_bytes, result.stderr)


def process(*arguments: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.batch.fake", *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        start_new_session=True,
    )


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, without what sic remembers for --resume."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".sic-resume.jsonl"
    }


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    for name in ("b.in", "a/a.in", "a/deep/c.IN", "a/notes.txt", ".hidden/d.in", ".e.in"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return folder


def test_a_tree_is_mirrored(source: Path, tmp_path: Path) -> None:
    got = run("-r", source, "-o", tmp_path / "out")
    assert got.code == 0, got.err
    assert tree(tmp_path / "out") == {
        "b.out": b"ni.b",
        "a/a.out": b"ni.a/a",
        "a/deep/c.out": b"NI.c/peed/a",
    }
    assert got.out == b"" and "3 done, 0 skipped, 0 failed" in got.err


def test_several_roots_get_folders_of_their_own_and_files_lie_flat(
    source: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "b.in").write_text("other")
    single = tmp_path / "single.xyz"
    single.write_text("explicit files are always tried")
    assert run("-r", source, other, single, "-o", tmp_path / "out").code == 0
    assert {"in/b.out", "in/a/a.out", "other/b.out", "single.out"} <= set(tree(tmp_path / "out"))


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["--hidden"], {"b", "a/a", "a/deep/c", ".hidden/d", ".e"}),
        (["--max-depth", "1"], {"b"}),
        (["--max-depth", "2"], {"b", "a/a"}),
        (["--glob", "a/**"], {"a/a", "a/deep/c"}),
        (["--glob", "*.in", "--exclude", "a.in"], {"b"}),
        (["--exclude", "deep/"], {"b", "a/a"}),
        (["--exclude", "*.in", "--exclude", "!b.in"], {"b", "a/deep/c"}),
    ],
    ids=lambda v: " ".join(sorted(v) if isinstance(v, set) else v),
)
def test_rules_choose_files(
    arguments: list[str], names: set[str], source: Path, tmp_path: Path
) -> None:
    got = run("-r", source, "-o", tmp_path / "out", *arguments)
    assert {name.removesuffix(".out") for name in tree(tmp_path / "out")} == names, got.err


@pytest.mark.parametrize(
    ("naming", "name"),
    [
        ("append", "a.in.out"),
        ("{index:03}-{stem}.o", "001-a.o"),
        ("{parent}_{name}@{level}.{ext}", "in_a.in@max.in"),
        ("{stem}/{stem}.o", "a/a.o"),
    ],
)
def test_names_of_outputs(naming: str, name: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.in").touch()
    got = run("-r", tmp_path / "in", "-o", tmp_path / "out", "--name", naming)
    assert got.code == 0 and set(tree(tmp_path / "out")) == {name}, got.err


@pytest.mark.parametrize(
    "naming", ["{stem", "{nothing}", "fixed", "../{stem}", "/{stem}", "{stem.x}"]
)
def test_names_that_lead_elsewhere_are_refused(naming: str, source: Path, tmp_path: Path) -> None:
    got = run("-r", source, "-o", tmp_path / "out", "--name", naming)
    assert got.code == 2 and "--name" in got.err and not (tmp_path / "out").exists()


def test_collisions_are_found_before_any_write(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    (source / "b.IN").write_text("another b")
    got = run("-r", source, "-o", out)
    assert got.code == 2 and "--name append" in got.err and "b.IN" in got.err
    assert run("-r", source, "-o", out, "--name", "append", "-n").code == 0
    (source / "b.IN").unlink()
    assert run("-r", source, "-o", source / "out").code == 2
    assert run("-r", source, "-o", source).code == 2
    assert run("-r", tmp_path, "-o", out).code == 2  # out lies in what is read
    assert run(source / "b.in", source / "a" / "a.in", "--name", "{name}").code == 2  # the inputs
    (source / "x.in").touch()
    (source / "x.out").mkdir()
    (source / "x.out" / "y.in").touch()
    got = run("-r", source, "-o", out)
    assert got.code == 2 and "and a folder" in got.err
    (source / "x.in").rename(source / "B.in")
    assert run("-r", source, "-o", out, "-n").code == 0
    monkeypatch.setattr(planning, "case_blind", lambda folder: True)
    assert run("-r", source, "-o", out, "-n").code == 2
    assert not out.exists()


def test_an_output_folder_behind_a_link_is_not_read(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (source / "link").symlink_to(out)
    assert run("-r", source, "-o", out, "-n").code == 0
    assert run("-r", source, "-o", out, "-n", "-L").code == 2


def test_existing_outputs(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "a").mkdir(parents=True)
    (out / "b.out").write_text("old")
    before = tree(tmp_path)
    got = run("-r", source, "-o", out)
    assert got.code == 9 and "b.out: exists" in got.err and tree(tmp_path) == before
    got = run("-r", source, "-o", out, "--on-existing", "skip")
    assert got.code == 0 and "2 done, 1 skipped" in got.err
    assert (out / "b.out").read_text() == "old"
    os.utime(out / "a" / "a.out", (1, 1))
    assert "1 done, 2 skipped" in run("-r", source, "-o", out, "--on-existing", "newer").err
    assert "3 done" in run("-r", source, "-o", out, "-f").err
    assert (out / "b.out").read_bytes() == b"ni.b"
    (out / "b.out").unlink()
    (out / "b.out").mkdir()
    assert run("-r", source, "-o", out, "-f").code == 9


def test_a_link_in_the_output_folder_is_replaced_not_followed(source: Path, tmp_path: Path) -> None:
    outside = tmp_path / "precious"
    outside.write_text("precious")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "b.out").symlink_to(outside)
    assert run("-r", source, "-o", tmp_path / "out", "-f").code == 0
    assert outside.read_text() == "precious" and not (tmp_path / "out" / "b.out").is_symlink()


def test_every_failure_is_reported_and_the_rest_goes_on(source: Path, tmp_path: Path) -> None:
    for name in ("wrong.in", "bug.in", "odd.in"):
        (source / name).write_text(name)
    (source / "dangling.in").symlink_to("nowhere")
    os.mkfifo(source / "fifo.in")
    report = tmp_path / "report" / "r.jsonl"
    got = run("-r", source, tmp_path / "missing", "-o", tmp_path / "out", "--report", report)
    assert got.code == 1 and "4 done, 0 skipped, 5 failed" in got.err, got.err
    rows = records(report.read_bytes())
    codes = {Path(row["input"]).name: row["code"] for row in rows[:-1]}
    assert codes["wrong.in"] == codes["dangling.in"] == codes["fifo.in"] == codes["missing"] == 4
    assert codes["bug.in"] == 1 and codes["odd.in"] == 0 and len(rows) == 10
    assert rows[-1]["schema"] == "sic.summary/1" and rows[-1]["failed"] == 5
    listed = got.err[got.err.index("failed:") :]
    assert all(name in listed for name in ("wrong.in", "bug.in", "fifo.in", "dangling.in"))
    assert "W-odd" in got.err and not (tmp_path / "out" / "wrong.out").exists()
    assert "Traceback" not in got.err


def test_stopping_at_failures(tmp_path: Path) -> None:
    for name in ("a.in", "wrong1.in", "wrong2.in", "z.in"):
        (tmp_path / name).touch()
    inputs = [tmp_path / n for n in ("a.in", "wrong1.in", "wrong2.in", "z.in")]
    assert "1 done, 0 skipped, 1 failed" in run(*inputs, "-o", tmp_path / "1", "--fail-fast").err
    got = run(*inputs, "-o", tmp_path / "2", "--max-failures", "2")
    assert got.code == 1 and "1 done, 0 skipped, 2 failed" in got.err


def test_cut_files_alone_give_exit_code_3(tmp_path: Path) -> None:
    (tmp_path / "cut.in").touch()
    (tmp_path / "b.in").touch()
    got = run(tmp_path / "cut.in", tmp_path / "b.in", "-o", tmp_path / "out")
    assert got.code == 3 and "W-truncated" in got.err
    assert run(tmp_path / "cut.in", tmp_path / "no.in", "-o", tmp_path / "2").code == 1


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["IN", "B", "-o", "OUT"], 2, "-r"),
        (["-r", "IN"], 2, "-o DIR"),
        (["B", "B", "-o", "-"], 2, "standard output"),
        (["B", "-", "-o", "OUT"], 2, "standard input"),
        (["B", "B", "-o", "OUT"], 2, "collide"),
        (["-r", "EMPTY", "-o", "OUT"], 4, "no input matched"),
        (["-r", "IN", "-o", "B"], 9, "not a folder"),
        (["-r", "IN", "-o", "OUT", "--report", "B"], 9, "not a report"),
        (["-r", "IN", "-o", "OUT", "-f", "--on-existing", "skip"], 2, "exclude"),
        (["-r", "IN", "-o", "OUT", "--resume", "--on-existing", "skip"], 2, "exclude"),
        (["-r", "IN", "-o", "OUT", "-0"], 2, "--files-from"),
        (["-r", "IN", "-o", "OUT", "-j", "none"], 2, "auto"),
        (["-r", "IN", "-o", "OUT", "--glob", "a[/"], None, ""),
        (["B", "-o", "-", "--json"], 2, "--report"),
        (["--files-from", "MISSING", "-o", "OUT"], 4, "No such file"),
        (["--files-from", "EMPTYLIST", "-o", "OUT"], 4, "no input"),
        ([], 2, "INPUT"),
    ],
    ids=lambda v: " ".join(v) if isinstance(v, list) else None,
)
def test_mistakes_are_reported_before_anything_is_written(
    arguments: list[str], code: int | None, words: str, source: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "list").touch()
    names = {
        "IN": source,
        "B": source / "b.in",
        "OUT": tmp_path / "out",
        "EMPTY": tmp_path / "empty",
        "EMPTYLIST": tmp_path / "list",
        "MISSING": tmp_path / "missing",
    }
    before = tree(tmp_path)
    got = run(*(names.get(word, word) for word in arguments))
    assert "Traceback" not in got.err
    if code is not None:
        assert got.code == code and words in got.err, got.err
        assert tree(tmp_path) == before and not (tmp_path / "out").exists()


def test_lists_of_names(source: Path, tmp_path: Path) -> None:
    odd = source / "new\nline.in"
    odd.write_text("odd")
    listed = tmp_path / "list"
    listed.write_bytes(b"\0".join(os.fsencode(p) for p in (odd, source / "b.in")) + b"\0")
    assert run("--files-from", listed, "-0", "-o", tmp_path / "out").code == 0
    assert set(tree(tmp_path / "out")) == {"new\nline.out", "b.out"}
    got = run("--files-from", "-", "-o", tmp_path / "2", stdin=os.fsencode(source / "b.in") + b"\n")
    assert got.code == 0 and set(tree(tmp_path / "2")) == {"b.out"}


def test_names_that_are_no_utf8_go_through_and_records_stay_utf8(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path / "in")
    os.mkdir(folder)
    for name in (b"\xff.in", b"new\nline.in", "é日本.in".encode()):
        with open(os.path.join(folder, name), "wb") as file:
            file.write(b"x")
    got = run("-r", os.fsdecode(folder), "-o", tmp_path / "out", "--json", "-v")
    assert got.code == 0, got.err
    rows = records(got.out.decode("utf-8", "strict"))
    assert len(rows) == 4 and any("\\xff" in row["input"] for row in rows[:-1])
    assert b"\xff.out" in os.listdir(os.fsencode(tmp_path / "out"))
    assert "new\\nline" in got.err
    assert (
        "0 done, 3 skipped"
        in run("-r", os.fsdecode(folder), "-o", tmp_path / "out", "--resume").err
    )


def test_linked_folders_and_loops(source: Path, tmp_path: Path) -> None:
    (source / "loop").symlink_to(".")
    (source / "again").symlink_to("a")
    (source / "self.in").symlink_to("self.in")
    got = run("-r", source, "-o", tmp_path / "1")
    assert got.code == 1 and "self.in" in got.err and not (tmp_path / "1" / "again").exists()
    got = run("-r", source, "-o", tmp_path / "2", "-L")
    assert "W-loop" in got.err and (tmp_path / "2" / "again" / "a.out").exists()
    assert not (tmp_path / "2" / "loop").exists()


def test_a_tree_too_deep_for_the_system_is_reported(tmp_path: Path) -> None:
    here = os.open(tmp_path, os.O_RDONLY)
    made = []
    for name in ["in"] + ["d" * 250] * 20:
        os.mkdir(name, dir_fd=here)
        made.append(here)
        here = os.open(name, os.O_RDONLY, dir_fd=here)
    made.append(here)
    (tmp_path / "in" / "a.in").touch()
    try:
        got = run("-r", tmp_path / "in", "-o", tmp_path / "out")
    finally:
        for handle in made:
            os.close(handle)
    assert got.code == 1 and "folder cannot be read" in got.err and "1 done" in got.err
    subprocess.run(["rm", "-rf", str(tmp_path / "in")], check=True)


def test_a_dry_run_prints_the_plan_and_writes_nothing(source: Path, tmp_path: Path) -> None:
    before = tree(tmp_path)
    got = run("-r", source, "-o", tmp_path / "out", "-n", "--report", tmp_path / "r")
    assert got.out.decode().splitlines() == [
        f"fake {source}/{name}.{end} -> {tmp_path}/out/{name}.out"
        for name, end in (("a/a", "in"), ("a/deep/c", "IN"), ("b", "in"))
    ]
    rows = records(run("-r", source, "-o", tmp_path / "out", "-n", "--json").out)
    assert {row["status"] for row in rows} == {"planned"}
    assert tree(tmp_path) == before and not (tmp_path / "out").exists()


def test_resume_does_only_what_is_new_or_changed(source: Path, tmp_path: Path) -> None:
    arguments = ("-r", source, "-o", tmp_path / "out", "--resume")
    assert "3 done" in run(*arguments).err
    assert "0 done, 3 skipped" in run(*arguments).err
    (source / "new.in").write_text("new")
    (source / "b.in").write_text("B.IN")
    (tmp_path / "out" / "a" / "a.out").write_text("damaged")
    os.utime(source / "a" / "deep" / "c.IN", (5, 5))  # another time, but the same bytes
    got = run(*arguments)
    assert got.code == 0 and "3 done, 1 skipped" in got.err
    assert tree(tmp_path / "out")["b.out"] == b"NI.B"
    report = tmp_path / "r.jsonl"
    assert "4 done" in run("-r", source, "-o", tmp_path / "o2", "--report", report).err
    report.write_bytes(report.read_bytes() + b'{"output": "torn')
    got = run("-r", source, "-o", tmp_path / "o2", "--report", report, "--resume")
    assert "0 done, 4 skipped" in got.err
    rows = report.read_bytes().splitlines()
    assert rows[5] == b'{"output": "torn' and json.loads(rows[6])["status"] == "skipped"


def test_modes_and_times_are_kept_on_request(source: Path, tmp_path: Path) -> None:
    os.utime(source / "b.in", ns=(5, 7_000_000_123))
    (source / "b.in").chmod(0o640)
    assert (
        run(source / "b.in", source / "a/a.in", "-o", tmp_path / "out", "-p", "--fsync").code == 0
    )
    state = (tmp_path / "out" / "b.out").stat()
    assert stat.S_IMODE(state.st_mode) == 0o640 and state.st_mtime_ns == 7_000_000_123


def test_one_input_has_reports_and_json_too(source: Path, tmp_path: Path) -> None:
    out, report = tmp_path / "x.out", tmp_path / "r.jsonl"
    got = run(source / "b.in", "-o", out, "--json", "--report", report)
    assert got.code == 0 and got.err == "" and got.out == report.read_bytes()
    assert records(got.out)[0]["status"] == "done" and out.read_bytes() == b"ni.b"
    assert run(source / "b.in", "-o", out).code == 9
    assert run(source / "b.in", "-o", out, "--on-existing", "skip").code == 0
    assert b"fake" in run(source / "b.in", "-o", tmp_path / "y", "-n").out
    (source / "wrong.in").touch()
    got = run(source / "wrong.in", "-o", tmp_path / "z", "--json")
    assert got.code == 4 and records(got.out)[0]["error"]["name"] == "input"
    assert not (tmp_path / "y").exists() and not (tmp_path / "z").exists()


def test_the_bar_is_drawn_on_request_and_never_on_standard_output(
    source: Path, tmp_path: Path
) -> None:
    got = run("-r", source, "-o", tmp_path / "1", "--progress", "always")
    assert got.code == 0 and got.out == b"" and "3/3" in got.err
    got = run("-r", source, "-o", tmp_path / "2")
    assert "/3" not in got.err
    quiet = run("-r", source, "-o", tmp_path / "3", "--progress", "always", "--quiet")
    assert quiet.err == ""


def test_jobs_change_nothing_and_a_dying_worker_fails_its_file_alone(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ["poison.in", *(f"{n}.in" for n in range(8))]:
        (folder / name).write_text(name)
    got = run("-r", folder, "-o", tmp_path / "two", "-j", "2", "--json")
    assert got.code == 1 and "8 done, 0 skipped, 1 failed" in got.err, got.err
    (failed,) = (row for row in records(got.out)[:-1] if not row["ok"])
    assert failed["input"].endswith("poison.in") and failed["code"] == 7
    assert "died" in failed["error"]["text"]
    (folder / "poison.in").unlink()
    assert run("-r", folder, "-o", tmp_path / "one").code == 0
    assert tree(tmp_path / "one") == tree(tmp_path / "two")


def test_any_executor_will_do_and_few_orders_are_in_flight() -> None:
    most = 0
    taken = 0

    class Counting(ThreadPoolExecutor):
        def submit(self, fn, /, *args, **kwargs) -> Future:  # type: ignore[no-untyped-def]
            nonlocal most
            most = max(most, taken - ended)
            return super().submit(fn, *args, **kwargs)

    def orders():  # type: ignore[no-untyped-def]
        nonlocal taken
        for index in range(2000):
            taken += 1
            yield Order(Job(index, f"missing{index}", f"o{index}", fault="is not there"))

    ended = 0
    runner = Runner(Work(Fake()), lambda: Counting(2), 4)
    for _, record in runner.results(orders()):
        ended += 1
        assert isinstance(record, dict) and record["code"] == 4
    runner.close()
    assert ended == 2000 and most <= 5


def wait_for(condition, seconds: float = 60) -> None:  # type: ignore[no-untyped-def]
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture
def many(tmp_path: Path) -> Path:
    folder = tmp_path / "many"
    for n in range(30):
        path = folder / str(n % 3) / f"{n}.in"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"file {n}")
    return folder


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_killed_in_the_middle_and_resumed_gives_the_same_tree(
    jobs: str, many: Path, tmp_path: Path
) -> None:
    assert run("-r", many, "-o", tmp_path / "whole").code == 0
    out = tmp_path / "out"
    arguments = ("-r", many, "-o", out, "-j", jobs)
    killed = process(*arguments, "--seconds", "0.2")
    wait_for(lambda: len(list(out.rglob("*.out"))) >= 3)
    killed.kill()
    killed.communicate()
    assert 3 <= len(list(out.rglob("*.out"))) < 30
    (out / "0" / f".left{PART_SUFFIX}").write_text("half")  # as if killed while it wrote
    got = run(*arguments, "--resume")
    assert got.code == 0 and " 0 failed" in got.err and "0 skipped" not in got.err, got.err
    assert tree(out) == tree(tmp_path / "whole")


@pytest.mark.parametrize(
    ("jobs", "sent", "code"),
    [("1", signal.SIGINT, 130), ("2", signal.SIGINT, 130), ("2", signal.SIGTERM, 143)],
)
def test_interrupted_runs_sum_up_and_leave_nothing_half_written(
    jobs: str, sent: signal.Signals, code: int, many: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    running = process("-r", many, "-o", out, "-j", jobs, "--seconds", "0.2", "--json")
    wait_for(lambda: len(list(out.rglob("*.out"))) >= 2)
    os.killpg(running.pid, sent) if sent == signal.SIGINT else running.send_signal(sent)
    printed, error = running.communicate(timeout=30)
    assert running.returncode == code and b"Traceback" not in error, error
    rows = records(printed)
    assert rows[-1]["schema"] == "sic.summary/1" and rows[-1]["code"] == code
    assert 2 <= rows[-1]["done"] < 30 and b"done" in error
    assert not list(tmp_path.rglob("*" + PART_SUFFIX))
    assert "30" not in run("-r", many, "-o", out, "--resume").err.split("done")[0]


def test_parts_in_work_are_left_alone_and_dead_ones_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = tmp_path / f".dead{PART_SUFFIX}"
    dead.touch()
    (tmp_path / f"mine{PART_SUFFIX}").touch()  # not a name of ours
    seen = []

    def look(_: int) -> None:
        seen.append((remove_stale(str(tmp_path)), len(list(tmp_path.glob(f".*{PART_SUFFIX}")))))

    monkeypatch.setattr(os, "fsync", look)
    replace_file(str(tmp_path / "x"), b"data")
    assert seen == [(1, 1)] and not dead.exists()
    assert (tmp_path / "x").read_bytes() == b"data" and (tmp_path / f"mine{PART_SUFFIX}").exists()


def test_files_left_out_for_their_suffix_are_reported(source: Path, tmp_path: Path) -> None:
    (source / "a" / "x.pcx").touch()
    (source / "y.PCX").touch()
    got = run("-r", source, "-o", tmp_path / "out")
    assert got.code == 0 and "other files left out" in got.err and ".pcx" in got.err
