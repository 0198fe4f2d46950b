"""How far a run over many files is: a bar on a terminal, a plain line now and then with -v."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Self

from ..batch.report import Summary, clock
from ..storage.files import printable
from .common import MESSAGES

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

PLAIN_SECONDS = 30.0
UPDATES_A_SECOND = 10


class Display:
    """Shows a run of `total` files; nothing at all where nothing was asked for. rows: how many names
    of files in work are shown."""

    def __init__(self, total: int, rows: int) -> None:
        self.total, self.rows = total, rows
        self.visible = MESSAGES.bars()
        self.last = time.monotonic()
        self.bar: Progress | None = None
        self.task: TaskID | None = None

    def __enter__(self) -> Self:
        if not self.visible:
            return self
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        self.bar = Progress(
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}", markup=False),
            TextColumn("ETA"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[names]}", markup=False),
            console=_console(),
            transient=True,
            refresh_per_second=UPDATES_A_SECOND,
            redirect_stdout=False,
        )
        self.task = self.bar.add_task("", total=self.total, rate="", names="")
        self.bar.start()
        return self

    def __exit__(
        self,
        _: type[BaseException] | None,
        __: BaseException | None,
        ___: TracebackType | None,
    ) -> None:
        if self.bar is not None:
            self.bar.stop()

    def show(self, summary: Summary, names: Iterable[str]) -> None:
        """After each file. names: of the files in work."""
        ended = summary.done + summary.skipped + summary.failed
        seconds = summary.seconds
        each = max(seconds, 1e-3)
        rate = f"{ended / each:.1f} files/s, {summary.pixels / 1e6 / each:.1f} MPx/s"
        if summary.failed:
            rate += f", {summary.failed} failed"
        if self.bar is not None and self.task is not None:
            current = [shorter(name) for _, name in zip(range(self.rows), names, strict=False)]
            self.bar.update(self.task, completed=ended, rate=rate, names=", ".join(current))
        elif MESSAGES.verbose and time.monotonic() - self.last >= PLAIN_SECONDS:
            self.last = time.monotonic()
            left = seconds / max(ended, 1) * (self.total - ended)
            MESSAGES.detail(f"{ended} of {self.total} files, {rate}, {clock(left)} left")


@contextmanager
def searching() -> Iterator[Callable[[float], None]]:
    """A bar for what one picture's search tells, while it does; nothing where nothing may be drawn."""
    bars: list[Progress] = []

    def report_progress(share: float) -> None:
        if not bars:
            from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

            columns = TextColumn("searching"), BarColumn(), TextColumn("ETA"), TimeRemainingColumn()
            bar = Progress(*columns, console=_console(), transient=True, redirect_stdout=False)
            bar.add_task("", total=1.0)
            bar.start()
            bars.append(bar)
        bars[0].update(bars[0].task_ids[0], completed=share)
        if share >= 1:
            bars[0].stop()

    try:
        yield report_progress if MESSAGES.bars() else lambda _: None
    finally:
        for bar in bars:
            bar.stop()


def _console() -> Console:
    from rich.console import Console

    forced = True if MESSAGES.progress == "always" else None
    return Console(stderr=True, force_terminal=forced, markup=False)


def shorter(name: str, most: int = 30) -> str:
    """The end of a name, as a terminal may show it."""
    text = printable(os.path.basename(name))
    return text if len(text) <= most else "…" + text[1 - most :]
