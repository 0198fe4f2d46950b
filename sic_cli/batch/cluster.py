"""Dask as the engine of a run: an executor over the workers of a cluster, checked before any work.

Dask does the scheduling, and tries what a lost worker had in hand on others. What is added here: every
worker has this sic and the weights, one that joins later and has not gets no files, an address that does
not answer is reported in a sentence, and a cluster that goes away in the middle ends the run instead of
failing every file.
"""

from __future__ import annotations

import contextlib
import logging
import os
import platform
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

from .._version import __version__
from ..errors import ModelError, Notice, ResourceError, SicError, UsageError
from ..storage.files import printable
from . import gate
from .jobs import workers_of

P = ParamSpec("P")
T = TypeVar("T")

INSTALL = 'pip install "sic[cluster]"'
KEPT = {"MALLOC_TRIM_THRESHOLD_": 64 << 20, "MALLOC_MMAP_THRESHOLD_": 32 << 20}
"""Bytes. Dask has workers give memory back in pieces of 64 KiB, and the processor then fills the next ones
with zeros: pictures took 1.7 times as long (docs/cluster.md). These are where glibc ends up by itself."""
QUIET = {
    "distributed.worker.profile.enabled": False,
    "distributed.admin.system-monitor.interval": "5s",
    "distributed.admin.tick.interval": "200ms",
}
"""Dask profiles its workers a hundred times a second and measures itself, for a dashboard that nobody
opens here: a quarter of the processor's time of a picture (docs/performance.md). How much memory workers
have is still looked at ten times a second."""
CONNECT_SECONDS = 30
FIRST_SECONDS = 10
"""How long the first workers are waited for; a cluster that grows on demand has none before there is
work, and its workers are then asked when they get some."""
WAIT_SECONDS = 300
"""How long a run may be without any worker."""
REFUSED_SECONDS = 10
"""For how long no other worker than refused ones may be there."""
TRIES = 1
"""Further tries of a file on a local cluster after its worker died; then it is tried alone."""
COUNT_SECONDS = 2.0
AHEAD = 2
"""Files in flight for every thread of the cluster, so that no worker waits for the next."""


@dataclass(frozen=True, slots=True)
class Needs:
    """model_id: of the weights (hex), or nothing. gpu: each file needs a worker's resource GPU.
    threads: of each process of a local cluster; 0: its share of the cores."""

    model_id: str = ""
    gpu: bool = False
    threads: int = 0


class Cluster(Executor):
    """Runs functions on the workers of `address`, or of a cluster of its own on this machine.

    A worker that joins later and is not as this process is gets no files; `notice` hears of it.

    Raises UsageError without Dask, ResourceError for a cluster that does not answer, has no workers or
    has other versions of sic, ModelError for workers without the weights.
    """

    def __init__(
        self, address: str, needs: Needs, notice: Callable[[Notice], None] | None = None
    ) -> None:
        number = workers_of(address)
        try:
            import distributed
        except ImportError:
            raise UsageError("--cluster needs Dask, which is not installed", INSTALL) from None
        self.address, self.needs, self.notice = address, needs, notice
        self._wanted = (__version__, platform.python_version(), needs.model_id)
        self._bad: dict[str, SicError] = {}
        self._only_bad_since: float | None = None
        self._dask: Any = distributed
        self._own: Any = None
        self._settings: Any = None
        self._empty_since: float | None = None
        self._looked, self._most = float("-inf"), AHEAD
        self._good: list[str] = []
        for name in ("distributed", "distributed.nanny", "distributed.worker", "asyncio"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        with _without_interrupts():
            self.client = self._local(number) if number else self._connected()
        try:
            self._check_workers()
        except BaseException:
            self.stop()
            raise
        resources = {"GPU": 1} if needs.gpu else None
        self._executor = self.client.get_executor(pure=False, resources=resources)

    def _local(self, number: int) -> Any:
        import dask

        from .jobs import threads_each

        threads = threads_each(number, self.needs.threads)
        settings: dict[str, Any] = {
            "distributed.scheduler.allowed-failures": TRIES,
            # A worker that died is started anew; on a busy machine that takes longer than Dask's 15 s.
            "distributed.deploy.lost-worker-timeout": f"{WAIT_SECONDS} s",
            **QUIET,
        }
        for name, size in KEPT.items():
            settings[f"distributed.nanny.pre-spawn-environ.{name}"] = size
        if threads:
            names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
            for name in names:
                settings[f"distributed.nanny.pre-spawn-environ.{name}"] = threads
        self._settings = dask.config.set(settings)  # Dask reads them again while it runs
        with self._started():
            self._own = self._dask.LocalCluster(
                n_workers=number,
                threads_per_worker=1,
                processes=True,
                host="127.0.0.1",
                dashboard_address="127.0.0.1:0",
                silence_logs=logging.CRITICAL,
                preload=["sic_cli.batch.steady"],
                resources={"GPU": 1} if self.needs.gpu else None,
            )
            return self._dask.Client(self._own, set_as_default=False)

    @contextlib.contextmanager
    def _started(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            if self._own is not None:
                with contextlib.suppress(Exception):
                    self._own.close(timeout=2)
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            raise ResourceError(f"--cluster {self.address}: does not start ({reason})") from None

    def _connected(self) -> Any:
        import asyncio

        try:
            # Dask waits for ever for the first words of what is no scheduler, such as its dashboard.
            asyncio.run(asyncio.wait_for(self._knock(), CONNECT_SECONDS))
            return self._dask.Client(
                self.address, timeout=CONNECT_SECONDS, set_as_default=False, direct_to_workers=False
            )
        except Exception as error:  # whatever Dask raises
            reason = " ".join(str(error).split())[:200] or f"not in {CONNECT_SECONDS} seconds"
            raise ResourceError(
                f"--cluster {printable(self.address)}: does not answer ({reason})",
                "is the scheduler running at this port, and may this machine reach it?",
            ) from None

    async def _knock(self) -> None:
        given = self._dask.Security().get_connection_args("client")
        comm = await self._dask.comm.connect(self.address, timeout=CONNECT_SECONDS, **given)
        await comm.close()

    def _check_workers(self) -> None:
        """Every worker must be as this process is."""
        end = time.monotonic() + FIRST_SECONDS
        while not self._workers() and time.monotonic() < end:
            time.sleep(0.2)
        answers: dict[str, dict[str, Any]] = self.client.run(gate.facts, on_error="return")
        for worker, facts in sorted(answers.items()):
            if isinstance(facts, OSError):  # gone while it was asked; like one that joins later
                continue
            if isinstance(facts, BaseException):
                raise ResourceError(f"worker {worker}: {type(facts).__name__}: {facts}")
            if fault := _fault(worker, facts, self.needs):
                raise fault
        workers = self._workers().values()
        if self.needs.gpu and workers and not any("GPU" in w["resources"] for w in workers):
            raise ResourceError(
                f"--cluster {printable(self.address)}: no worker offers the resource GPU",
                'start the workers that have one with --resources "GPU=1", or use --device cpu',
            )

    def _workers(self) -> dict[str, dict[str, Any]]:
        try:
            found: dict[str, dict[str, Any]] = self.client.scheduler_info(n_workers=-1)["workers"]
        except Exception:  # whatever a broken connection raises
            raise self._gone() from None
        return found

    def _no_workers(self) -> ResourceError:
        return ResourceError(
            f"--cluster {printable(self.address)}: there are no workers",
            "start some; the same command with --resume goes on",
        )

    @property
    def most(self) -> int:
        """How many orders should be in flight; asked anew now and then, for clusters grow and shrink."""
        if time.monotonic() - self._looked > COUNT_SECONDS:
            self._look()
        return self._most

    def _look(self) -> None:
        """See who is there. If that have been refused workers alone for a while, raises what is
        wrong with the first one."""
        self._looked = now = time.monotonic()
        there = self._workers()
        self._good = [address for address in there if address not in self._bad]
        threads = sum(int(there[address]["nthreads"]) for address in self._good)
        self._most = AHEAD * max(1, threads)
        if self._good or not there:
            self._only_bad_since = None
        elif self._only_bad_since is None:
            self._only_bad_since = now
        elif now - self._only_bad_since > REFUSED_SECONDS:
            raise self._bad[next(iter(there))]

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """As any executor's. Raises ResourceError if the cluster is gone."""
        self._check_alive()
        packed = self._dask.protocol.serialize_bytes((fn, args, kwargs))
        options: dict[str, Any] = {"key": f"sic-{os.urandom(16).hex()}"}
        if self._bad and self._good:
            options |= {"workers": self._good, "allow_other_workers": True}
        future: Future[T] = self._executor.submit(gate.enter, self._wanted, packed, **options)
        return future

    def refused(self, outcome: object) -> bool:
        """Whether a call was not begun, for its worker is not as this process is: it joined later."""
        if not (isinstance(outcome, tuple) and outcome and outcome[0] == gate.REFUSED):
            return False
        _, worker, facts = outcome
        if worker not in self._bad:
            fault = _fault(worker, facts, self.needs)
            assert fault is not None
            self._bad[worker] = fault
            if self.notice is not None:
                self.notice(Notice(f"{fault}; it gets no files", "W-worker"))
        self._look()
        return True

    def check(self) -> None:
        """Called while nothing ends: raises ResourceError if nothing ever will."""
        self._check_alive()
        if self._workers():
            self._empty_since = None
            self._look()
        elif self._empty_since is None:
            self._empty_since = time.monotonic()
        elif time.monotonic() - self._empty_since > WAIT_SECONDS:
            raise self._no_workers()

    def _check_alive(self) -> None:
        if self.client.status != "running":
            raise self._gone()

    def _gone(self) -> ResourceError:
        return ResourceError(
            f"--cluster {printable(self.address)}: the scheduler is gone",
            "the same command with --resume goes on",
        )

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Let go of the cluster; one of our own is ended."""
        self.stop()

    def stop(self) -> None:
        """At once: what is not done yet is not done."""
        with _without_interrupts(), contextlib.suppress(Exception):
            self.client.close(timeout=2)
        if self._own is not None:
            with _without_interrupts(), contextlib.suppress(Exception):
                self._own.close(timeout=5)
        if self._settings is not None:
            self._settings.__exit__(None, None, None)
            self._settings = None


@contextlib.contextmanager
def _without_interrupts() -> Iterator[None]:
    """Threads and processes that start here never see Ctrl-C; in this thread it is only delayed."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _fault(worker: str, facts: dict[str, Any], needs: Needs) -> SicError | None:
    """Why a worker would not do what this process does."""
    if facts["sic"] != __version__:
        return _skew(f"worker {worker}", facts["sic"], __version__)
    own = platform.python_version()
    if facts["python"].split(".")[:2] != own.split(".")[:2]:
        return ResourceError(
            f"worker {worker} has Python {facts['python']}, and here is {own}",
            "use the same one on all machines",
        )
    if needs.model_id and needs.model_id not in facts["weights"]:
        names = ", ".join(sorted(facts["weights"].values())) or "none"
        return ModelError(
            f"worker {worker} lacks the weights {needs.model_id}; it has: {names}",
            "sic models import there, or SIC_MODEL_PATH",
        )
    return None


def _skew(worker: str, theirs: str | None, ours: str) -> ResourceError:
    has = f"has sic {theirs}" if theirs else "has no sic"
    return ResourceError(
        f"{worker} {has}, and here is sic {ours}", "install the same version on all machines"
    )
