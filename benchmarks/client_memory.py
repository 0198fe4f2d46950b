"""The client's memory by the number of planned files, for a task that does nothing.

python benchmarks/client_memory.py COUNT ADDRESS SECONDS      of a Dask scheduler

On a slow machine not all tasks are done: what is held then is what COUNT files and so many tasks need.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from workers import served

COUNTS = (1_000, 10_000, 100_000)


def nothing(order: Any) -> dict[str, Any]:
    """The task that costs nothing: what is measured is planning and keeping track."""
    return {"status": "done", "output": order.job.output}


def held(count: int, address: str, most_s: float) -> None:
    """Print this process's MiB: before, after planning, at most after all is done, or many seconds."""
    from sic_cli.batch.cluster import Cluster, Needs
    from sic_cli.batch.find import Found
    from sic_cli.batch.plan import OutputLayout, plan
    from sic_cli.batch.run import Runner
    from sic_cli.batch.work import Order

    cluster = Cluster(address, Needs()) if address else None
    threads = ThreadPoolExecutor(4)
    before = peak()
    names = (f"{n // 1000:04}/{n:08}.png" for n in range(count))
    urls = ((f"s3://pictures/{name}", name) for name in names)
    files = (Found(url, "s3://pictures", name, 100_000, 1, ("", url)) for url, name in urls)
    made = plan(files, OutputLayout("s3://coded", ".sic", existing="overwrite"))
    planned, began = peak(), time.perf_counter()
    runner = Runner(nothing, lambda: cluster or threads, lambda: cluster.most if cluster else 8)
    flying = done = 0
    for _ in runner.results(Order(job) for job in made.jobs):
        done += 1
        flying = max(flying, len(runner.flying) + 1)  # and the one that has just ended
        if time.perf_counter() - began > most_s:
            break
    seconds = time.perf_counter() - began
    facts = {
        "files": count,
        "done": done,
        "before_mib": before,
        "planned_mib": planned,
        "after_mib": peak(),
        "most_in_flight": flying,
        "files_a_s": round(done / seconds),
    }
    print(json.dumps(facts), flush=True)
    runner.close()


def peak() -> float:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


def measure(counts: tuple[int, ...], most_s: float) -> list[dict[str, Any]]:
    """One fresh client process for each count."""
    rows = []
    with served(1) as (address, _):
        for count in counts:
            words = [sys.executable, __file__, str(count), address, str(most_s)]
            done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True)
            rows.append(json.loads(done.stdout))
            print(rows[-1], flush=True)
    return rows


if __name__ == "__main__":
    held(int(sys.argv[1]), sys.argv[2], float(sys.argv[3]))
