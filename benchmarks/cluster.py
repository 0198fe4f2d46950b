"""A cluster against processes on this machine: the same files, how fast, how much memory, what it costs.

python benchmarks/cluster.py [speed] [requests] [killed] [memory] [--out FILE] [--page PAGE]

speed: the same crops with -j 1, --cluster local:1, -j 2 and --cluster local:2; as many as fit into
--minutes. The time to the first picture is reported apart, and the rate is counted after the first tenth,
when all weights are loaded.
requests: crops go from bucket to bucket of an S3 server on loopback, which counts what it is asked for.
killed: the same with a cluster, a worker is killed in the middle, and the bytes are compared with a run
on files here. memory: the client's, for 1,000, 10,000 and 100,000 planned files and a task that does
nothing; the scheduler is a process of its own.
What was measured before and is not measured now stays in --out; --page writes all of it into the page on
planning. Needs `make setup-cluster`.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import bucket
import client_memory
import cluster_page
from workers import served

HERE = Path(__file__).resolve().parent
PARTS = ("speed", "requests", "killed", "memory")
SMALL, LARGE = (256, 192), (768, 512)
"""Crops for comparing, and those for timing."""
SIC = (sys.executable, "-m", "sic_cli")
RUNS = {
    "-j 1": ("-j", "1"),
    "--cluster local:1": ("--cluster", "local:1"),
    "-j 2": ("-j", "2"),
    "--cluster local:2": ("--cluster", "local:2"),
}
WARM_UP = 12
BUCKETS = ("pictures", "coded")


def crops(folder: Path, pictures: Path, count: int, size: tuple[int, int]) -> dict[str, bytes]:
    """PNG crops by name, also written into a folder; the same for the same arguments."""
    width, height = size
    from PIL import Image

    sources = sorted(pictures.glob("*.png")) or sorted(
        (HERE.parent / "tests/pictures").glob("*.png")
    )
    opened = [Image.open(path).convert("RGB") for path in sources]
    made = {}
    for n in range(count):
        picture = opened[n % len(opened)]
        places = (max(1, picture.width - width), max(1, picture.height - height))
        x, y = (n * 97) % places[0], (n * 61) % places[1]
        data = io.BytesIO()
        picture.crop((x, y, x + width, y + height)).save(data, "PNG", compress_level=1)
        name = f"{n % 10}/{n:04}.png"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data.getvalue())
        made[name] = data.getvalue()
    return made


def timed(*arguments: str) -> dict[str, Any]:
    """Seconds of one command, whole and up to its first picture; pictures a second after the first
    tenth; and the last record."""
    began = time.perf_counter()
    running = subprocess.Popen([*SIC, *arguments, "--json"], stdout=subprocess.PIPE)
    assert running.stdout is not None
    rows = [(time.perf_counter(), row) for row in running.stdout if b'"sic.encode/1"' in row]
    if running.wait():
        raise SystemExit(f"failed: {' '.join(arguments)}")
    ended, first = time.perf_counter(), len(rows) // 10
    return {
        "start_s": round(rows[0][0] - began, 2),
        "pictures_a_s": round((len(rows) - 1 - first) / (rows[-1][0] - rows[first][0]), 3),
        "whole_s": round(ended - began, 2),
        "records": [json.loads(row) for _, row in rows],
    }


def speed(folder: Path, pictures: Path, count: int, minutes: float, rounds: int) -> dict[str, Any]:
    """-j against --cluster local, on files here. Of several rounds the better one counts: what else a
    machine does only ever slows a run down."""
    end = time.perf_counter() + 60 * minutes
    names = sorted(str(folder / "in" / n) for n in crops(folder / "in", pictures, count, LARGE))
    out = iter(range(1000))

    def run(some: list[str], *options: str) -> dict[str, Any]:
        (folder / "list").write_text("\n".join(some))
        named = ("--files-from", str(folder / "list"), "-o", str(folder / f"out{next(out)}"))
        return timed("encode", *named, "--threads", "1", *options)

    warm = run(names[:WARM_UP], "-j", "1")
    share = (end - time.perf_counter()) / rounds  # of a round: 1 + 1 + 1/2 + 1/2 times one process
    fitting = int((share / 3.2 - 2 * warm["start_s"]) * warm["pictures_a_s"])
    some = names[: max(2 * WARM_UP, min(count, fitting))]
    found: dict[str, dict[str, Any]] = {}
    done: list[dict[str, Any]] = []
    for number in range(rounds):
        for name in list(RUNS)[:: -1 if number % 2 else 1]:
            got = run(some, *RUNS[name])
            done = got.pop("records")
            print(f"{name:<20} {got}", flush=True)
            best = found.setdefault(name, got)
            found[name] = {
                "start_s": min(best["start_s"], got["start_s"]),
                "pictures_a_s": max(best["pictures_a_s"], got["pictures_a_s"]),
                "whole_s": min(best["whole_s"], got["whole_s"]),
            }
    over = {}
    for jobs in ("1", "2"):
        ours, theirs = found[f"--cluster local:{jobs}"], found[f"-j {jobs}"]
        over[jobs] = {
            "steady": round(100 * (theirs["pictures_a_s"] / ours["pictures_a_s"] - 1), 1),
            "whole": round(100 * (ours["whole_s"] / theirs["whole_s"] - 1), 1),
        }
    print(f"overhead in percent, with 1 and 2 at a time: {over}", flush=True)
    if has_gpu():
        found["--device cuda"] = run(some, "--device", "cuda")
        del found["--device cuda"]["records"]
    return {
        "crop": "{}x{}".format(*LARGE),
        "megapixels": LARGE[0] * LARGE[1] / 1e6,
        "release": done[0]["model"]["name"],
        "cores": len(os.sched_getaffinity(0)),
        "processor": processor(),
        "rounds": rounds,
        "pictures": len(some),
        "bits_a_pixel": round(sum(row["bpp"] for row in done) / len(done), 3),
        "runs": {name: found[name] for name in (*RUNS, "--device cuda") if name in found},
        "overhead_percent": over,
    }


def processor() -> str:
    """As /proc says it, where there is one."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or platform.machine()
    names = [row.partition(":")[2].strip() for row in text.splitlines() if "model name" in row]
    return names[0] if names else platform.machine()


def requests(folder: Path, pictures: Path) -> dict[str, Any]:
    """What one picture more asks of the store: the difference of two runs, so that what a run asks for
    once does not count."""
    with bucket.served(BUCKETS) as (store, counted):
        for n, data in enumerate(crops(folder / "few", pictures, 9, SMALL).values()):
            store.pipe_file(f"pictures/9/{n}.png", data)
            if n < 3:
                store.pipe_file(f"pictures/3/{n}.png", data)
        asked = []
        for some in (3, 9):
            before = counted.seen.copy()
            encode = (*SIC, "encode", "--quiet", "-l", "1", "-r", f"s3://pictures/{some}")
            subprocess.run([*encode, "-o", f"s3://coded/{some}"], check=True)
            asked.append(counted.since(before))
    few, many = asked
    each = {kind: (many[kind] - few.get(kind, 0)) / 6 for kind in many if kind != "REPORT"}
    found = {
        "each": each,
        "run": {kind: round(few[kind] - 3 * each.get(kind, 0), 3) for kind in few},
    }
    print(found, flush=True)
    return found


def killed(folder: Path, pictures: Path, count: int) -> dict[str, Any]:
    """From bucket to bucket, one of two workers killed after a third of the pictures."""
    made, local = crops(folder / "small", pictures, count, SMALL), folder / "local"
    here = ("encode", "--quiet", "-r", str(folder / "small"), "-o", str(local), "-j", "2")
    subprocess.run([*SIC, *here], check=True)
    with bucket.served(BUCKETS) as (store, _), served(2) as (address, pids):
        for name, data in made.items():
            store.pipe_file(f"pictures/{name}", data)
        encode = ("encode", "-r", "s3://pictures", "-o", "s3://coded", "--cluster", address)
        began = time.perf_counter()
        running = subprocess.Popen([*SIC, *encode, "--json"], stdout=subprocess.PIPE)
        assert running.stdout is not None
        rows = []
        for ended, row in enumerate(running.stdout, 1):
            rows.append(json.loads(row))
            if ended == count // 3:
                os.kill(pids[0], signal.SIGKILL)
        code, taken = running.wait(), time.perf_counter() - began
        done = [row["output"] for row in rows if row["schema"] == "sic.encode/1" and row["ok"]]
        same = sum(
            store.cat_file(f"coded/{name[:-4]}.sic") == (local / f"{name[:-4]}.sic").read_bytes()
            for name in made
        )
        left = [n for n in store.find("coded") if not n.endswith(".sic")]
    found = {
        "code": code,
        "pictures": count,
        "done": len(done),
        "twice": len(done) - len(set(done)),
        "same_bytes_as_here": same,
        "whole_s": round(taken, 2),
        "beside_the_outputs": left,
    }
    print(found, flush=True)
    return found


def has_gpu() -> bool:
    """Whether torch finds one."""
    import torch

    return bool(torch.cuda.is_available())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}")
    parser.add_argument(
        "--pictures", type=int, default=300, help="for killed, and at most for speed"
    )
    parser.add_argument("--minutes", type=float, default=5.5, help="for speed")
    parser.add_argument(
        "--rounds", type=int, default=1, help="of speed, of which the better counts"
    )
    parser.add_argument("--data", type=Path, default=HERE.parent.parent / "shared/data/kodak")
    parser.add_argument(
        "--counts", type=int, nargs="*", default=client_memory.COUNTS, help="for memory"
    )
    parser.add_argument("--seconds", type=float, default=600, help="for each of the counts")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--page", type=Path)
    options = parser.parse_args()
    parts = options.parts or PARTS
    if set(parts) - set(PARTS):
        parser.error(f"parts are {', '.join(PARTS)}")
    found: dict[str, Any] = {}
    if options.out and options.out.exists():
        found = json.loads(options.out.read_text())
    for part in (each for each in PARTS if each in parts):
        with tempfile.TemporaryDirectory() as name:
            found[part] = {
                "speed": lambda at: speed(
                    at, options.data, options.pictures, options.minutes, options.rounds
                ),
                "requests": lambda at: requests(at, options.data),
                "killed": lambda at: killed(at, options.data, options.pictures),
                "memory": lambda _: client_memory.measure(tuple(options.counts), options.seconds),
            }[part](Path(name))
        if options.out:
            options.out.write_text(json.dumps(found, indent=2) + "\n")
    if options.page:
        cluster_page.write(options.page, found)


if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parent))
    os.environ["PYTHONPATH"] = str(HERE.parent)
    main()
