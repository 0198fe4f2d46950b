"""A scheduler and workers in processes of their own, as a cluster is: python benchmarks/workers.py NUMBER"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def served(workers: int) -> Iterator[tuple[str, list[int]]]:
    """A scheduler and workers in processes of their own: the address, and the workers' process ids."""
    child = subprocess.Popen(
        [sys.executable, __file__, str(workers)],
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


if __name__ == "__main__":
    serve(int(sys.argv[1]))
