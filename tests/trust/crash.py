"""Killed, out of space, interrupted: the target is the old file or the whole new one, never else."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from sic_cli.codec.bitstream.truncate import truncate
from tests.conftest import ROOT
from tests.trust.campaign import Run, trial
from tests.trust.goldens_at_hand import good

PART = ".sic-part"
OLD = b"the file that was there before"
PICTURE = ROOT / "tests" / "pictures" / "parrots.png"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}

FAILING = """
import os, signal, sys, tempfile
import sic_cli.storage.files
when, how = int(sys.argv[1]), sys.argv[2]
count = 0
def watched(module, name):
    real = getattr(module, name)
    def call(*arguments, **named):
        global count
        count += 1
        if count == when:
            if how == "exit":
                os._exit(77)
            if how == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            if how == "after":
                real(*arguments, **named)
                os.kill(os.getpid(), signal.SIGKILL)
            raise OSError(int(how), os.strerror(int(how)))
        return real(*arguments, **named)
    setattr(module, name, call)
for name in ("fsync", "chmod", "replace", "fdopen"):
    watched(os, name)
watched(tempfile, "mkstemp")
from sic_cli.cli.main import main
try:
    main(sys.argv[3:])
finally:
    print(count, flush=True)
"""
"""A `sic` whose n-th call that touches the disk ends the process, or fails."""


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "sic_cli", *arguments]


@contextmanager
def folder(old: bool) -> Iterator[tuple[Path, Path, Path, bytes]]:
    """A folder with a .sic file: (folder, source, target, what truncating to level 2 gives)."""
    with TemporaryDirectory() as name:
        whole = good("tiny")["tiny-photo.sic"]
        source, target = Path(name, "source.sic"), Path(name, "target.sic")
        source.write_bytes(whole)
        if old:
            target.write_bytes(OLD)
        yield Path(name), source, target, truncate(whole, 2)


def old_or_new(target: Path, new: bytes, old: bool) -> str:
    """Which of both the target is; raises if it is neither."""
    if not target.exists():
        assert not old, "the old file is gone"
        return "absent"
    data = target.read_bytes()
    if data == new:
        return "new"
    assert old and data == OLD, f"{len(data)} bytes that are neither the old nor the new file"
    return "old"


def only_parts(place: Path, known: tuple[str, ...] = ("source.sic", "target.sic")) -> list[str]:
    """Names of temporary files; raises for any other file."""
    others = [p.name for p in place.iterdir() if p.name not in known]
    assert all(n.startswith(".") and n.endswith(PART) for n in others), others
    return others


def seconds_of_a_run() -> float:
    """How long `sic truncate` takes here and now, and a fifth more: instants are chosen below that."""
    started = time.perf_counter()
    with folder(False) as (_, source, target, _new):
        arguments = command("truncate", str(source), "-l", "2", "-o", str(target))
        subprocess.run(arguments, env=ENVIRONMENT, check=True)
    return 1.2 * (time.perf_counter() - started)


@trial("T7", "kill -9 at random instants: old file or new file, whole", 7)
def kills(run: Run) -> None:
    ends: dict[str, int] = {}
    strays = 0
    longest = seconds_of_a_run()
    for index in range(run.times(8, 250, 3000)):
        old = index % 2 == 0
        with run.case(f"kill {index}"), folder(old) as (place, source, target, new):
            arguments = command("truncate", str(source), "-l", "2", "-o", str(target), "-f")
            process = subprocess.Popen(arguments, env=ENVIRONMENT, stderr=subprocess.DEVNULL)
            time.sleep(float(run.rng.uniform(0, longest)))
            process.kill()
            process.wait()
            end = old_or_new(target, new, old)
            ends[end] = ends.get(end, 0) + 1
            strays += len(only_parts(place))
            assert source.read_bytes() == good("tiny")["tiny-photo.sic"]
    run.note(
        f"left behind: {', '.join(f'{k} {v}' for k, v in ends.items())}; {strays} temporary files"
    )


@trial("T7b", "killed before and after each call that touches the disk", 7)
def kills_at_each_call(run: Run) -> None:
    """The window of a write is short; here every place in it is hit on purpose."""
    jobs = {"truncate": ["-l", "2"]}
    if run.scale != "PR":
        jobs["encode"] = ["-m", "tiny", "-l", "2"]
    for job, options in jobs.items():
        for how in ("kill", "after") if run.scale == "PR" else ("exit", "kill", "after"):
            for when in range(1, 20):
                with folder(when % 2 == 0) as (place, source, target, new):
                    origin = PICTURE if job == "encode" else source
                    if job == "encode":
                        new = _encoded()
                    arguments = [job, str(origin), *options, "-o", str(target), "-f"]
                    done = _failing(when, how, *arguments)
                    with run.case(f"{job}, {how} at call {when}"):
                        old_or_new(target, new, when % 2 == 0)
                        parts = only_parts(place)
                        assert len(parts) <= 1
                        again = subprocess.run(command(*arguments), env=ENVIRONMENT)
                        assert again.returncode == 0 and target.read_bytes() == new
                    if done.returncode == 0:
                        break
            else:
                raise AssertionError("more calls than expected")


_ENCODED: list[bytes] = []


def _encoded() -> bytes:
    """What encoding PICTURE to level 2 gives."""
    if not _ENCODED:
        arguments = command("encode", str(PICTURE), "-m", "tiny", "-l", "2", "-o", "-")
        _ENCODED.append(subprocess.run(arguments, env=ENVIRONMENT, capture_output=True).stdout)
    return _ENCODED[0]


def _failing(when: int, how: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-c", FAILING, str(when), how, *arguments],
        env=ENVIRONMENT,
        capture_output=True,
        cwd=ROOT,
    )


def clean_failure(code: int, error: str, *words: str) -> None:
    """Exit 9, one line, no traceback."""
    assert code == 9, (code, error)
    lines = [line for line in error.splitlines() if not line.startswith("  hint:")]
    assert len(lines) == 1 and "Traceback" not in error and all(w in error for w in words), error


@trial("T8", "full disks and forbidden places: exit 9 with a reason, nothing half-written", 7, 8)
def full_disks(run: Run) -> None:
    for number, word in (
        (28, "disk full"),
        (122, "disk full"),
        (5, "Input/output"),
        (30, "Read-only"),
    ):
        for when in range(1, 20):
            with folder(when % 2 == 0) as (place, source, target, new):
                arguments = ["truncate", str(source), "-l", "2", "-o", str(target), "-f"]
                done = _failing(when, str(number), *arguments)
                if done.returncode == 0:
                    break
                with run.case(f"error {number} at call {when}"):
                    clean_failure(done.returncode, done.stderr.decode(), word, "target.sic")
                    assert old_or_new(target, new, when % 2 == 0) != "new"
                    assert not only_parts(place), "a temporary file was left"
            if run.scale == "PR" and when == 4:
                break
    limits = range(0, 40_000, 4096) if run.scale != "PR" else (0, 100)
    for limit in limits:
        with run.case(f"files of at most {limit} bytes"):
            _limited(limit)
    if os.name == "posix" and Path("/dev/full").exists():
        with run.case("/dev/full"), folder(False) as (_, source, _target, _new):
            done = subprocess.run(
                command("truncate", str(source), "-l", "2", "-o", "/dev/full"),
                env=ENVIRONMENT,
                capture_output=True,
            )
            clean_failure(done.returncode, done.stderr.decode(), "disk full")
        with run.case("standard output on /dev/full"), folder(False) as (_, source, _target, _new):
            with open("/dev/full", "wb") as full:
                done = subprocess.run(
                    command("truncate", str(source), "-l", "2", "-o", "-"),
                    env=ENVIRONMENT,
                    stdout=full,
                    stderr=subprocess.PIPE,
                )
            clean_failure(done.returncode, done.stderr.decode(), "disk full")
    with run.case("a device stays a device"), folder(False) as (_, source, _target, _new):
        subprocess.run(
            command("truncate", str(source), "-l", "2", "-o", os.devnull),
            env=ENVIRONMENT,
            check=True,
        )
        assert stat.S_ISCHR(Path(os.devnull).stat().st_mode)
    _small_disk(run)
    _read_only(run)


def _limited(limit: int) -> None:
    """A size limit on files, as a quota is one (the signal that comes with it is ignored by Python)."""
    import resource

    with folder(True) as (place, source, target, new):
        done = subprocess.run(
            command("truncate", str(source), "-l", "2", "-o", str(target), "-f"),
            env=ENVIRONMENT,
            capture_output=True,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        )
        if limit < len(new):
            clean_failure(done.returncode, done.stderr.decode(), "target.sic")
            assert target.read_bytes() == OLD and not only_parts(place)
        else:
            assert done.returncode == 0 and target.read_bytes() == new


def _small_disk(run: Run) -> None:
    """A file system of 64 KiB of our own, where this user may mount one."""
    script = (
        'mount -t tmpfs -o size=64k none "$1" && cp "$2" "$1/old.sic" && '
        'head -c 40000 /dev/zero > "$1/fill"; shift 2; '
        '"$@"; code=$?; ls -A "$DISK"; cmp "$DISK/old.sic" "$OLD" && exit $code; exit 99'
    )
    with TemporaryDirectory() as name:
        disk, old = Path(name, "disk"), Path(name, "old.sic")
        disk.mkdir()
        old.write_bytes(OLD)
        arguments = ["unshare", "-m", "sh", "-c", script, "sh", str(disk), str(old)]
        arguments += command("decode", str(ROOT / "tests/golden/good/tiny-photo.sic"))
        arguments += ["-o", str(disk / "old.sic"), "--format", "ppm", "-f"]
        environment = {**ENVIRONMENT, "DISK": str(disk), "OLD": str(old)}
        try:
            done = subprocess.run(arguments, env=environment, capture_output=True, text=True)
        except OSError:
            run.not_run("a small disk: there is no unshare here")
            return
        if "mount:" in done.stderr or "unshare:" in done.stderr:
            run.not_run("a small disk: this user may not mount one")
            return
        with run.case("a disk of 64 KiB"):
            clean_failure(done.returncode, done.stderr, "disk full")
            assert done.stdout.split() == ["fill", "old.sic"], done.stdout


def _read_only(run: Run) -> None:
    """A folder that may not be written. Root may write everywhere, so for root it is a mount."""
    root = os.geteuid() == 0
    script = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && shift && exec "$@"'
    with folder(True) as (place, source, target, _new):
        arguments = command("truncate", str(source), "-l", "2", "-o", str(target), "-f")
        if root:
            arguments = ["unshare", "-m", "sh", "-c", script, "sh", str(place), *arguments]
        else:
            place.chmod(0o555)
        try:
            done = subprocess.run(arguments, env=ENVIRONMENT, capture_output=True, text=True)
        except OSError:
            run.not_run("a read-only folder: there is no unshare here")
            return
        finally:
            place.chmod(0o755)
        if "mount:" in done.stderr or "unshare:" in done.stderr:
            run.not_run("a read-only folder: this user may not mount one")
            return
        with run.case("a read-only folder"):
            clean_failure(done.returncode, done.stderr, "target.sic")
            assert target.read_bytes() == OLD and not only_parts(place)


SIGNALS = {"SIGINT": 130, "SIGTERM": 143, "SIGHUP": 129}


@trial("T9", "signals at random instants: documented end, no temporary file, no traceback", 7)
def signals(run: Run) -> None:
    ends: dict[int, int] = {}
    longest = seconds_of_a_run()
    for index in range(run.times(6, 200, 2000)):
        name = list(SIGNALS)[index % len(SIGNALS)]
        with run.case(f"{name} {index}"), folder(True) as (place, source, target, new):
            process = subprocess.Popen(
                command("truncate", str(source), "-l", "2", "-o", str(target), "-f"),
                env=ENVIRONMENT,
                stderr=subprocess.PIPE,
            )
            time.sleep(float(run.rng.uniform(0, longest)))
            process.send_signal(getattr(signal, name))
            try:
                error = process.communicate(timeout=10)[1].decode()
            except subprocess.TimeoutExpired:
                process.kill()
                raise AssertionError("still running 10 s after the signal") from None
            old_or_new(target, new, True)
            assert not only_parts(place)
            code = process.returncode
            ends[code] = ends.get(code, 0) + 1
            early = code == -getattr(signal, name) or "KeyboardInterrupt" in error
            if not early:  # before main() runs, Python itself ends by the signal
                assert code in (0, SIGNALS[name]) and "Traceback" not in error, (code, error)
    run.note("exit codes: " + ", ".join(f"{k} x{v}" for k, v in sorted(ends.items())))
