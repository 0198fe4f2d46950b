"""A cluster against processes on this machine: the same files, how fast, how much memory, what it costs.

python benchmarks/cluster.py [killed] [speed] [memory] [--pictures 300] [--out results/cluster.json]

killed: crops of the pictures in --data go from bucket to bucket of an S3 server on loopback, a worker is killed in the
middle, and the bytes are compared with a run on files here. speed: half of the crops with -j 1, -j 2,
--cluster local:1 and local:2; the rate is counted after the first tenth, when all weights are loaded.
memory: the client's, for 1,000, 10,000 and 100,000 planned files and a task that does nothing; the
scheduler is a process of its own. --page writes the figures into the page on planning. Needs
`make setup-cluster`.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PARTS = ("killed", "speed", "memory")
WIDTH, HEIGHT = 256, 192
COUNTS = (1_000, 10_000, 100_000)
SIC = (sys.executable, "-m", "sic_cli")
SOME = "[0-4]/*"
"""The half of the crops that speed is measured on."""
BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"
BUCKETS = ("pictures", "coded")


def crops(folder: Path, pictures: Path, count: int) -> dict[str, bytes]:
    """PNG crops by name, also written into a folder; the same for the same arguments."""
    from PIL import Image

    sources = sorted(pictures.glob("*.png")) or sorted(
        (HERE.parent / "tests/pictures").glob("*.png")
    )
    opened = [Image.open(path).convert("RGB") for path in sources]
    made = {}
    for n in range(count):
        picture = opened[n % len(opened)]
        places = (max(1, picture.width - WIDTH), max(1, picture.height - HEIGHT))
        x, y = (n * 97) % places[0], (n * 61) % places[1]
        data = io.BytesIO()
        picture.crop((x, y, x + WIDTH, y + HEIGHT)).save(data, "PNG", compress_level=1)
        name = f"{n % 10}/{n:04}.png"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data.getvalue())
        made[name] = data.getvalue()
    return made


def timed(*arguments: str) -> dict[str, float]:
    """Whole seconds, and pictures a second after the first tenth, of one command."""
    began = time.perf_counter()
    running = subprocess.Popen([*SIC, *arguments, "--json"], stdout=subprocess.PIPE)
    assert running.stdout is not None
    ends = [time.perf_counter() for row in running.stdout if b'"sic.encode/1"' in row]
    if running.wait():
        raise SystemExit(f"failed: {' '.join(arguments)}")
    first = len(ends) // 10
    rate = (len(ends) - 1 - first) / (ends[-1] - ends[first])
    return {"whole_s": round(time.perf_counter() - began, 2), "pictures_a_s": round(rate, 3)}


def speed(folder: Path, source: Path) -> dict[str, Any]:
    """-j against --cluster local, on files here."""
    runs = {"-j 1": ("-j", "1"), "--cluster local:1": ("--cluster", "local:1")}
    runs |= {"-j 2": ("-j", "2"), "--cluster local:2": ("--cluster", "local:2")}
    if has_gpu():
        runs["--device cuda"] = ("--device", "cuda")
    found: dict[str, Any] = {}
    for number, (name, options) in enumerate(runs.items()):
        out = str(folder / f"out{number}")
        encode = ("encode", "-r", str(source), "--glob", SOME, "-o", out, "--threads", "1")
        found[name] = timed(*encode, *options)
        print(f"{name:<20} {found[name]}", flush=True)
    for jobs in (1, 2):
        ours, theirs = (found[n]["pictures_a_s"] for n in (f"--cluster local:{jobs}", f"-j {jobs}"))
        found[f"overhead_percent_{jobs}"] = round(100 * (theirs / ours - 1), 1)
        print(f"overhead with {jobs}: {found[f'overhead_percent_{jobs}']} %")
    return found


@contextmanager
def served(workers: int) -> Iterator[tuple[str, list[int]]]:
    """A scheduler and workers in processes of their own: the address, and the workers' process ids."""
    child = subprocess.Popen(
        [sys.executable, __file__, "--serve", str(workers)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None and child.stdin is not None
    try:
        address, *pids = child.stdout.readline().split()
        yield address, [int(pid) for pid in pids]
    finally:
        child.stdin.close()
        child.wait(30)


def serve(workers: int) -> None:
    """The other side of `served`: until standard input ends."""
    import dask
    import distributed

    dask.config.set({"distributed.deploy.lost-worker-timeout": "5 minutes"})
    with distributed.LocalCluster(
        n_workers=workers, threads_per_worker=1, dashboard_address="127.0.0.1:0", silence_logs=50
    ) as cluster:
        print(cluster.scheduler_address, *(w.pid for w in cluster.workers.values()), flush=True)
        sys.stdin.read()


def killed(folder: Path, source: Path, pictures: dict[str, bytes]) -> dict[str, Any]:
    """From bucket to bucket, one of two workers killed after a third of the pictures."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    os.environ["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{server._server.server_port}"
    os.environ.update(
        dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "loopback"),
        AWS_DEFAULT_REGION="us-east-1",
    )
    import s3fs

    store = s3fs.S3FileSystem(use_listings_cache=False)
    for bucket in BUCKETS:
        store.mkdir(bucket)
    for name, data in pictures.items():
        store.pipe_file(f"pictures/{name}", data)
    local = folder / "local"
    subprocess.run([*SIC, "encode", "-r", str(source), "-o", str(local), "-j", "2"], check=True)
    with served(2) as (address, pids):
        encode = ("encode", "-r", "s3://pictures", "-o", "s3://coded", "--cluster", address)
        began = time.perf_counter()
        running = subprocess.Popen([*SIC, *encode, "--json"], stdout=subprocess.PIPE)
        assert running.stdout is not None
        rows = []
        for ended, row in enumerate(running.stdout, 1):
            rows.append(json.loads(row))
            if ended == len(pictures) // 3:
                os.kill(pids[0], signal.SIGKILL)
        code, taken = running.wait(), time.perf_counter() - began
    done = [row["output"] for row in rows if row["schema"] == "sic.encode/1" and row["ok"]]
    same = sum(
        store.cat_file(f"coded/{name[:-4]}.sic") == (local / f"{name[:-4]}.sic").read_bytes()
        for name in pictures
    )
    left = [n for n in store.find("coded") if not n.endswith(".sic")]
    server.stop()
    found = {
        "code": code,
        "pictures": len(pictures),
        "done": len(done),
        "twice": len(done) - len(set(done)),
        "same_bytes_as_here": same,
        "whole_s": round(taken, 2),
        "beside_the_outputs": left,
    }
    print(found, flush=True)
    return found


def nothing(order: Any) -> dict[str, Any]:
    """The task that costs nothing: what is measured is planning and keeping track."""
    return {"status": "done", "output": order.job.output}


def held(count: int, address: str) -> None:
    """Print this process's MiB: before, after planning, at most after all is done."""
    from sic_cli.batch.cluster import Cluster, Needs
    from sic_cli.batch.find import Found
    from sic_cli.batch.plan import Layout, plan
    from sic_cli.batch.run import Runner
    from sic_cli.batch.work import Order

    cluster = Cluster(address, Needs()) if address else None
    threads = ThreadPoolExecutor(4)
    before = peak()
    names = (f"{n // 1000:04}/{n:08}.png" for n in range(count))
    urls = ((f"s3://pictures/{name}", name) for name in names)
    files = (Found(url, "s3://pictures", name, 100_000, 1, ("", url)) for url, name in urls)
    made = plan(files, Layout("s3://coded", ".sic", existing="overwrite"))
    planned, began = peak(), time.perf_counter()
    runner = Runner(nothing, lambda: cluster or threads, lambda: cluster.most if cluster else 8)
    flying = done = 0
    for _ in runner.results(Order(job) for job in made.jobs):
        done += 1
        flying = max(flying, len(runner.flying))
    seconds = time.perf_counter() - began
    assert done == count
    facts = {
        "files": count,
        "before_mib": before,
        "planned_mib": planned,
        "after_mib": peak(),
        "most_in_flight": flying,
        "files_a_s": round(count / seconds),
    }
    print(json.dumps(facts), flush=True)
    runner.close()


def peak() -> float:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


def memory(counts: tuple[int, ...]) -> list[dict[str, Any]]:
    """One fresh client process for each count."""
    rows = []
    with served(1) as (address, _):
        for count in counts:
            words = [sys.executable, __file__, "--held", str(count), "--address", address]
            done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True)
            rows.append(json.loads(done.stdout))
            print(rows[-1], flush=True)
    return rows


def has_gpu() -> bool:
    """Whether torch finds one."""
    import torch

    return bool(torch.cuda.is_available())


def table(found: dict[str, Any]) -> str:
    """The figures as the page shows them: what a core does, and what a million pictures cost."""
    rows = ["| run | pictures a second | megapixels a second |", "|---|---|---|"]
    megapixels = WIDTH * HEIGHT / 1e6
    speeds = {name: run for name, run in found["speed"].items() if isinstance(run, dict)}
    for name, run in speeds.items():
        rate = run["pictures_a_s"]
        rows.append(f"| `{name}` | {rate:.2f} | {rate * megapixels:.3f} |")
    over = ", ".join(
        f"{found['speed'][f'overhead_percent_{jobs}']} % with {jobs}" for jobs in (1, 2)
    )
    rows += [
        "",
        f"The cluster's overhead: {over}. The runs are of {found['crop']} crops, all levels.",
        "",
    ]
    rows += ["| a million pictures of | core hours | on 100 cores | at 0.04 dollars a core hour |"]
    rows += ["|---|---|---|---|"]
    a_core = speeds["-j 1"]["pictures_a_s"] * megapixels
    for name, pixels in (("256x192", megapixels), ("768x512", 0.393), ("12 megapixels", 12.0)):
        hours = 1e6 * pixels / a_core / 3600
        rows.append(
            f"| {name} | {hours:,.0f} | {hours / 100:,.1f} h | {hours * 0.04:,.0f} dollars |"
        )
    if "killed" in found:
        told = found["killed"]
        rows += [
            "",
            f"{told['pictures']} pictures from bucket to bucket, one of two workers killed: "
            f"{told['done']} done, {told['twice']} twice, {told['same_bytes_as_here']} with the bytes of "
            f"a run on files here, in {told['whole_s']:.0f} s.",
        ]
    for row in found.get("memory", ()):
        rows += [
            "",
            f"{row['files']:,} files: the client held at most {row['before_mib']} MiB before planning, "
            f"{row['planned_mib']} after it, {row['after_mib']} at the end; {row['most_in_flight']} in "
            f"flight, {row['files_a_s']} tasks a second that do nothing.",
        ]
    return "\n".join(rows)


def write_page(page: Path, found: dict[str, Any]) -> None:
    """Put the figures between the page's marks."""
    before, _, rest = page.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n{table(found)}\n{END}{after}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--pictures", type=int, default=300)
    parser.add_argument("--data", type=Path, default=HERE.parent.parent / "shared/data/kodak")
    parser.add_argument("--counts", type=int, nargs="*", default=COUNTS)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--page", type=Path)
    for name, kind in (("--serve", int), ("--held", int), ("--address", str)):
        parser.add_argument(name, type=kind, help=argparse.SUPPRESS)
    options = parser.parse_args()
    parts = options.parts or PARTS
    if set(parts) - set(PARTS):
        parser.error(f"parts are {', '.join(PARTS)}")
    if options.serve:
        return serve(options.serve)
    if options.held:
        return held(options.held, options.address)
    found: dict[str, Any] = {"cores": len(os.sched_getaffinity(0)), "crop": f"{WIDTH}x{HEIGHT}"}
    with tempfile.TemporaryDirectory() as name:
        folder, source = Path(name), Path(name) / "in"
        made = crops(source, options.data, options.pictures)
        if "speed" in parts:
            found["speed"] = speed(folder, source)
        if "killed" in parts:
            found["killed"] = killed(folder, source, made)
    if "memory" in parts:
        found["memory"] = memory(tuple(options.counts))
    if options.out:
        options.out.write_text(json.dumps(found, indent=2) + "\n")
    if options.page and "speed" in found:
        write_page(options.page, found)


if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parent))
    os.environ["PYTHONPATH"] = str(HERE.parent)
    main()
