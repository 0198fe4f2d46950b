"""What a killed run leaves behind is gone with the next one; what a power cut would leave follows
from the order in which a write asks the disk."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from sic_cli.storage.files import write_into, write_output
from tests.trust.campaign import Run, trial
from tests.trust.crash import (
    ENVIRONMENT,
    OLD,
    PART,
    command,
    folder,
    old_or_new,
    only_parts,
    seconds_of_a_run,
)

KILLED = """
import os, signal, sys
os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
from sic_cli.cli.main import main
main(sys.argv[1:])
"""
"""A `sic` that is killed when its temporary file is whole and has not got its name yet."""


@trial("T7c", "temporary files of a killed run go with the next run; those in use stay", 7)
def stale_parts(run: Run) -> None:
    if os.name != "posix":
        run.not_run("locks that end with their process: POSIX only")
        return
    import fcntl

    for index in range(run.times(2, 20, 200)):
        with folder(index % 2 == 0) as (place, source, target, new):
            arguments = ["truncate", str(source), "-l", "2", "-o", str(target), "-f"]
            used = place / f".in-use{PART}"
            with run.case(f"killed run {index}"), used.open("wb") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                killed = subprocess.run(
                    [sys.executable, "-c", KILLED, *arguments],
                    env=ENVIRONMENT,
                    capture_output=True,
                )
                assert killed.returncode == -9, killed.stderr[-200:]
                assert len(only_parts(place)) == 2, "the killed run left no temporary file"
                subprocess.run(command(*arguments), env=ENVIRONMENT, check=True)
                assert only_parts(place) == [used.name] and target.read_bytes() == new
            with run.case(f"the one that was in use, {index}"):
                subprocess.run(command(*arguments), env=ENVIRONMENT, check=True)
                assert not only_parts(place)


@contextlib.contextmanager
def watched(calls: list[str]) -> Any:
    """Notes fsync of files and of folders, and renames, in the order in which they are called."""
    fsync, replace = os.fsync, os.replace

    def seen_fsync(handle: int) -> None:
        facts = os.fstat(handle)
        kind = "folder" if os.path.isdir(f"/proc/self/fd/{handle}") else f"{facts.st_size} bytes"
        calls.append(f"fsync {kind}")
        fsync(handle)

    def seen_replace(old: str, new: str) -> None:
        calls.append("rename")
        replace(old, new)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", seen_fsync)
        patch.setattr(os, "replace", seen_replace)
        yield


@trial("T7d", "a write asks for the file, then its name, then the folder: order for power cuts", 7)
def order_of_calls(run: Run) -> None:
    if not Path("/proc/self/fd").is_dir():
        run.not_run("which file a handle is: there is no /proc/self/fd")
        return
    want = [f"fsync {len(OLD)} bytes", "rename", "fsync folder"]
    with folder(True) as (place, _, target, _new):
        link = place / "link"
        link.symlink_to(target)
        for what, write in (
            ("a single output", lambda: write_output(str(target), OLD)),
            ("a new output", lambda: write_output(str(place / "new"), OLD)),
            ("behind a link", lambda: write_output(str(link), OLD)),
            ("a folder's output with --fsync", lambda: write_into(str(target), OLD, sync=True)),
        ):
            with run.case(what):
                calls: list[str] = []
                with watched(calls):
                    write()
                assert calls == want, calls
        with run.case("a disk that cannot sync folders is no failure"):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(os, "O_DIRECTORY", os.O_DIRECTORY | os.O_WRONLY)  # EISDIR
                write_output(str(target), OLD)
            assert target.read_bytes() == OLD
        with run.case("control: the watch sees a write without a sync"):
            seen: list[str] = []
            with watched(seen):
                write_into(str(target), OLD)
            assert seen == ["rename"], seen


@trial("T9b", "stopped and continued, quit, slow and closed readers: whole outputs or none", 7)
def other_signals(run: Run) -> None:
    longest = seconds_of_a_run()
    for index in range(run.times(1, 40, 400)):
        with (
            run.case(f"stopped and continued {index}"),
            folder(True) as (place, source, target, new),
        ):
            process = _started(source, target)
            time.sleep(float(run.rng.uniform(0, longest)))
            process.send_signal(signal.SIGTSTP)
            time.sleep(0.05)
            process.send_signal(signal.SIGCONT)
            assert process.wait(60) == 0 and target.read_bytes() == new
            assert not only_parts(place)
        with run.case(f"quit {index}"), folder(True) as (place, source, target, new):
            process = _started(source, target)
            time.sleep(float(run.rng.uniform(0, longest)))
            process.send_signal(signal.SIGQUIT)
            process.wait(60)
            old_or_new(target, new, True)
            only_parts(place)
            assert _started(source, target).wait(60) == 0
            assert target.read_bytes() == new and not only_parts(place)
        with run.case(f"a slow reader {index}"), folder(False) as (_, source, target, new):
            process = _started(source, "-", stdout=subprocess.PIPE)
            assert process.stdout is not None
            got = b""
            while part := os.read(process.stdout.fileno(), 1 + int(run.rng.integers(100))):
                got += part
            assert process.wait(60) == 0 and got == new
            process.stdout.close()
        with run.case(f"a reader that leaves {index}"), folder(False) as (_, source, target, new):
            process = _started(source, "-", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            assert process.stdout is not None
            process.stdout.close()
            assert process.stderr is not None and process.stderr.read() == b""
            assert process.wait(60) == 141
            process.stderr.close()


def _started(source: Path, target: Path | str, **pipes: int) -> subprocess.Popen[bytes]:
    """`sic truncate` under way."""
    arguments = command("truncate", str(source), "-l", "2", "-o", str(target), "-f")
    return subprocess.Popen(arguments, env=ENVIRONMENT, **pipes)  # type: ignore[call-overload, no-any-return]
