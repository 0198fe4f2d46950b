"""The loop of `run` on workers elsewhere: one picture an order, its rows come back and are kept here.

A worker builds the codecs once, from their names, and must have the same ones in the same versions.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..batch.plan import Job
from ..batch.run import Runner
from ..batch.work import Order, as_error
from ..errors import ResourceError, SicError
from ..release.locate import find_id
from ..remote.names import is_url
from .contenders import Contender, contenders
from .rows import Results, Row
from .run import Plan, keep_file, measured, read_source


@dataclass(frozen=True, slots=True)
class Recipe:
    """What `contenders` takes, as it travels. model_id: hex, or nothing without sic. versions: of
    each codec that is measured, as the client has it. base: the folder that paths are relative to."""

    names: tuple[str, ...]
    model_id: str
    device: str
    levels: tuple[int, ...] | None
    steps: int
    versions: tuple[tuple[str, str], ...]
    base: str


@dataclass(frozen=True, slots=True)
class Asked(Order):
    """rows: of this picture, that an earlier run measured. keep: whether its files are wanted."""

    rows: tuple[Row, ...] = ()
    keep: bool = False


@dataclass(frozen=True, slots=True)
class Measure:
    """Called on a worker with an `Asked`: its rows, and the files to keep by name."""

    recipe: Recipe
    metrics: tuple[str, ...]
    repeat: int

    def __call__(self, order: Order) -> dict[str, Any]:
        assert isinstance(order, Asked)
        path = order.job.source
        files: dict[str, bytes] = {}
        plan = Plan(_built(self.recipe), self.metrics, self.repeat, Path(), frozenset())
        if order.keep:
            plan = replace(plan, kept=frozenset([path]), keeper=files.__setitem__)
        at = path if is_url(path) else os.path.join(self.recipe.base, path)
        source = replace(read_source(at), path=path)
        known = {row.key: row for row in order.rows}
        rows = [row for who in plan.contenders for row in measured(source, who, plan, known)]
        return {"rows": rows, "files": files}


_BUILT: dict[Recipe, list[Contender]] = {}


def _built(recipe: Recipe) -> list[Contender]:
    if recipe not in _BUILT:
        card = find_id(bytes.fromhex(recipe.model_id)) if recipe.model_id else None
        levels = list(recipe.levels) if recipe.levels is not None else None
        found, _ = contenders(recipe.names, card, recipe.device, levels, recipe.steps)
        own = tuple((who.name, who.version) for who in found)
        if own != recipe.versions:
            here, there = (", ".join(f"{n} ({v})" for n, v in x) for x in (recipe.versions, own))
            raise ResourceError(f"a worker has other codecs: {there}; and here are: {here}")
        _BUILT[recipe] = found
    return _BUILT[recipe]


def spread(
    paths: Sequence[str],
    plan: Plan,
    recipe: Recipe,
    runner: Callable[[Measure], Runner],
    results: Results,
    progress: Callable[[int, int, str], None],
) -> tuple[list[Row], dict[str, SicError]]:
    """As `run.evaluate`, the pictures side by side. Raises ResourceError if the workers go away."""
    before: dict[str, list[Row]] = {}
    for row in results.rows.values():
        before.setdefault(row.input, []).append(row)
    old = set(results.rows)

    def orders() -> Iterator[Order]:
        for index, path in enumerate(paths, 1):
            known = tuple(before.get(path, ()))
            yield Asked(Job(index, path, None), None, known, path in plan.kept)

    done: dict[str, list[Row]] = {}
    failed: dict[str, SicError] = {}
    running = runner(Measure(recipe, tuple(plan.names), plan.repeat))
    try:
        for order, outcome in running.results(orders()):
            path = order.job.source
            if isinstance(outcome, BaseException):
                failed[path] = as_error(outcome, path)
            else:
                done[path] = outcome["rows"]
                for row in done[path]:
                    if row.key not in old or results.rows[row.key] != row:
                        results.add(row)
                for name, data in outcome["files"].items():
                    keep_file(plan.keep / name, data)
            progress(len(done) + len(failed), len(paths), path)
    finally:
        running.close()
    return [row for path in paths for row in done.get(path, [])], failed
