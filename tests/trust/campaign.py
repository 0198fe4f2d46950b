"""What every test of the campaign shares: a name, a scale, and an honest count of what was tried.

A test is a function of one `Run`. The same code runs small inside `make test` (scale PR), longer in
`make trust` (N) and long in `make trust-release` (R); only the number of tries differs. What could not
be run on a machine is listed as such and never counted as good.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

SCALES = ("PR", "N", "R")
SHOWN_FAILURES = 5


@dataclass(slots=True)
class Run:
    """One run of one test: what it may ask, and what it counts.

    failures: sentences; notes: figures worth printing; untested: what this machine could not run.
    """

    scale: str
    seed: int = 0
    tried: int = 0
    failed: int = 0
    failures: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    untested: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)

    rng: np.random.Generator = field(init=False)

    def times(self, pr: int, night: int, release: int) -> int:
        """The number of tries at this scale."""
        return dict(zip(SCALES, (pr, night, release), strict=True))[self.scale]

    @contextmanager
    def case(self, what: str) -> Iterator[None]:
        """One try. Whatever is raised inside makes it a failed one, described by `what`."""
        self.tried += 1
        try:
            yield
        except (KeyboardInterrupt, GeneratorExit, SystemExit):  # a signal ends the campaign
            raise
        except BaseException as error:  # a panic of a native library is no Exception
            self.failed += 1
            if len(self.failures) < SHOWN_FAILURES:
                self.failures.append(f"{what}: {type(error).__name__}: {error}"[:300])

    def note(self, text: str) -> None:
        """A figure or fact that belongs beside the counts."""
        self.notes.append(text)

    def not_run(self, what: str) -> None:
        """Something that this machine cannot try."""
        self.untested.append(what)

    def line(self, name: str, title: str) -> str:
        """`T3  every flipped bit ...  tried 900  ok 900  failed 0  (< 0.0033)  1.2 s`."""
        bound = f"< {3 / self.tried:.1e}" if self.tried and not self.failed else "-"
        head = f"{name:<5}{title:<62}"
        return (
            f"{head} tried {self.tried:>8}  ok {self.tried - self.failed:>8}  "
            f"failed {self.failed:>4}  rate {bound:>9}  {self.seconds:>7.1f} s"
        )


@dataclass(frozen=True, slots=True)
class Trial:
    """A registered test. promises: numbers of the promises in docs/trust.md that would break with it."""

    name: str
    title: str
    promises: tuple[int, ...]
    function: Callable[[Run], None]

    def run(self, scale: str, seed: int = 0) -> Run:
        """Run it; an error outside of any case counts as one failed try."""
        run = Run(scale, seed)
        start = time.perf_counter()
        try:
            self.function(run)
        except (KeyboardInterrupt, GeneratorExit, SystemExit):
            raise
        except BaseException as error:
            run.tried += 1
            run.failed += 1
            run.failures.append(f"outside of a case: {type(error).__name__}: {error}"[:300])
        run.seconds = time.perf_counter() - start
        return run


TRIALS: list[Trial] = []


def trial(name: str, title: str, *promises: int) -> Callable[[Callable[[Run], None]], Trial]:
    """Register a test of the campaign under its number."""

    def register(function: Callable[[Run], None]) -> Trial:
        made = Trial(name, title, promises, function)
        TRIALS.append(made)
        return made

    return register
