"""Where files go: only where they were named. And many at once: threads, processes, one output."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

from sic_cli.codec.bitstream.truncate import truncate
from sic_cli.pipeline.convert import decode_file
from sic_cli.pipeline.options import DecodeOptions
from sic_cli.storage import files
from tests.conftest import ROOT, run_main
from tests.tiny import made_picture
from tests.trust.campaign import Run, trial
from tests.trust.goldens_at_hand import good


def tree(folder: Path) -> dict[str, str]:
    """Path -> what is there, links not followed."""
    out = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            out[name] = f"link to {os.readlink(path)}"
        elif path.is_file():
            out[name] = hashlib.sha256(path.read_bytes()).hexdigest()
        else:
            out[name] = "folder" if path.is_dir() else "other"
    return out


@contextmanager
def two_rooms() -> Iterator[tuple[Path, Path, Path]]:
    """A folder to work in, one beside it that nobody named, and a .sic file."""
    with TemporaryDirectory() as name:
        inside, outside = Path(name, "inside"), Path(name, "outside")
        inside.mkdir()
        outside.mkdir()
        (outside / "precious").write_text("precious")
        source = inside / "source.sic"
        source.write_bytes(good("tiny")["tiny-made.sic"])
        yield inside, outside, source


@trial("T20", "links, loops, pipes and strange names: nothing is written that was not named", 8)
def strange_places(run: Run) -> None:
    new = truncate(good("tiny")["tiny-made.sic"], 1)

    def cut(source: Path, target: Path | str, *more: str) -> int:
        return run_main("truncate", str(source), "-l", "1", "-o", str(target), *more).code

    with two_rooms() as (inside, outside, source):
        before = tree(outside)
        names = ("plain.sic", "-dash.sic", "new\nline.sic", "x" * 200 + ".sic", "ünïcödé 漢字.sic")
        for name in names:
            with run.case(f"a target named {name[:30]!r}"):
                assert cut(source, inside / name) == 0 and (inside / name).read_bytes() == new
        with run.case("an input beginning with a dash, behind --"):
            os.link(source, inside / "-l")
            assert run_main("info", "--", str(inside / "-l")).code == 0
        (inside / "loop").symlink_to("loop")
        (inside / "dangling").symlink_to(outside / "nowhere" / "x")
        (inside / "hard").hardlink_to(source)
        (inside / "soft").symlink_to(source)
        os.mkfifo(inside / "pipe")
        for name in ("hard", "soft"):
            with run.case(f"the input itself, as a {name} link"):
                assert cut(source, inside / name, "-f") == 9
        for name in ("loop", "dangling", "pipe"):
            with run.case(f"reading a {name}"):
                assert run_main("info", str(inside / name)).code == 4
        for name in ("loop", "dangling"):
            with run.case(f"writing through a {name}"):
                assert cut(source, inside / name, "-f") == 9
        for target in (inside / "a" / ".." / "b.sic", "/proc/self/mem/x", "/dev/null/x", ""):
            with run.case(f"writing to {str(target)[-20:]!r}"):
                assert cut(source, target) in (2, 9)
        with run.case("nothing outside was touched"):
            assert tree(outside) == before
        with run.case("a link that the user names is written through, and stays a link"):
            (outside / "target.sic").write_text("old")
            (inside / "named").symlink_to(outside / "target.sic")
            assert cut(source, inside / "named", "-f") == 0
            assert (inside / "named").is_symlink() and (outside / "target.sic").read_bytes() == new
    _exchanged_targets(run, new)


def _exchanged_targets(run: Run, new: bytes) -> None:
    """Somebody swaps the target for a link to a precious file while it is written."""
    with two_rooms() as (inside, outside, _source):
        target, before, stop = inside / "target.sic", tree(outside), threading.Event()

        def swap() -> None:
            while not stop.is_set():
                for step in (lambda: target.unlink(), lambda: target.symlink_to(outside / "trap")):
                    try:
                        step()
                    except OSError:
                        continue

        thread = threading.Thread(target=swap)
        thread.start()
        try:
            for _ in range(run.times(30, 1000, 5000)):
                with run.case("the target exchanged for a link"):
                    files.replace_file(str(target), new)
                    assert tree(outside) == before
        finally:
            stop.set()
            thread.join()


def one(name: str) -> str:
    """SHA-256 of a decoded golden file."""
    made = decode_file(good("tiny")[name], "x", "PPM", DecodeOptions(device="cpu"))
    return hashlib.sha256(made.data).hexdigest()


@trial("T16", "many at once give what one after the other gives", 1, 4)
def together(run: Run) -> None:
    names = list(good("tiny"))
    alone = {name: one(name) for name in names}
    count = run.times(80, 3000, 20_000)
    jobs = [names[i % len(names)] for i in range(count)]
    with ThreadPoolExecutor(8) as pool:
        for name, got in zip(jobs, pool.map(one, jobs), strict=True):
            with run.case(f"8 threads: {name}"):
                assert got == alone[name]
    ways = ["spawn"] if run.scale == "PR" else ["spawn", "fork", "forkserver"]
    for way in ways:
        context = multiprocessing.get_context(way)
        workers = 2 if run.scale == "PR" else 8
        with ProcessPoolExecutor(workers, mp_context=context) as processes:
            part = jobs[: max(8, count // 10)]
            for name, got in zip(part, processes.map(one, part, timeout=300), strict=True):
                with run.case(f"{workers} processes by {way}: {name}"):
                    assert got == alone[name]
    _racing_writers(run)


def _racing_writers(run: Run) -> None:
    """Several writers of one output leave one whole file."""
    with TemporaryDirectory() as name:
        target = str(Path(name, "target.sic"))
        versions = [bytes([i]) * (1000 + i) for i in range(8)]
        for _ in range(run.times(5, 100, 1000)):
            with run.case("8 writers, one target"), ThreadPoolExecutor(8) as pool:
                list(pool.map(lambda v: files.replace_file(target, v), versions))
                assert Path(target).read_bytes() in versions
                assert os.listdir(name) == ["target.sic"]


@trial("T17", "a folder job that is killed again and again ends as one that was not", 7)
def folder_jobs(run: Run) -> None:
    printable = run_main("encode", "--help").out
    if b"--resume" not in printable or b"--recursive" not in printable:
        run.not_run("folder jobs: `sic encode -r --resume` is not part of this version")
        return
    with TemporaryDirectory() as name:
        source = Path(name, "in")
        (source / "deep er").mkdir(parents=True)
        for index in range(run.times(6, 40, 200)):
            inner = source / ("deep er" if index % 3 == 0 else ".")
            Image.fromarray(made_picture(20 + index, 33, index)).save(inner / f"ünï {index}.png")
        before = tree(source)

        def job(out: str) -> list[str]:
            arguments = ["encode", "-r", str(source), "-o", str(Path(name, out))]
            return [sys.executable, "-m", "sic_cli", *arguments, "--resume", "-m", "tiny"]

        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        start = time.perf_counter()
        subprocess.run(job("whole"), env=environment, check=True, capture_output=True)
        longest = time.perf_counter() - start
        for index in range(run.times(3, 50, 300)):
            sent = (signal.SIGKILL, signal.SIGINT, signal.SIGTERM)[index % 3]
            process = subprocess.Popen(
                job("broken"), env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            time.sleep(float(run.rng.uniform(0.3, 1.0)) * longest)
            process.send_signal(sent)
            process.wait()
            with run.case(f"interrupted by {sent.name}"):
                made = {k: v for k, v in tree(Path(name, "broken")).items() if k.endswith(".sic")}
                whole = tree(Path(name, "whole"))
                assert all(whole[k] == v for k, v in made.items()), "a file that is not whole"
        with run.case("the last run ends what was begun"):
            subprocess.run(job("broken"), env=environment, check=True, capture_output=True)

            def results(out: str) -> dict[str, str]:
                return {k: v for k, v in tree(Path(name, out)).items() if k.endswith(".sic")}

            assert results("broken") == results("whole")
        with run.case("the sources are as they were"):
            assert tree(source) == before
