"""The loop of `run` on workers elsewhere: one picture an order, its rows come back and are kept here.

A worker builds the codecs once, from their names, and must have the same ones in the same versions.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ..batch.plan import Job
from ..batch.run import Runner
from ..batch.work import Order, as_error
from ..codec.weights.locate import find_id
from ..errors import ResourceError, SicError
from ..storage.urls import is_url
from .contenders import Contender, contenders
from .rows import Results, Row
from .run import EvaluationPlan, file_name, keep_file, picture_rows, read_source


@dataclass(frozen=True, slots=True)
class Recipe:
    """What `contenders` takes, as it travels. model_id: hex, or nothing without sic. versions: of
    each codec that is measured, as the client has it. base: the folder that paths are relative to."""

    names: tuple[str, ...]
    model_id: str
    device: str
    levels: tuple[int, ...] | None
    steps: int
    decoders: tuple[float, ...]
    efforts: tuple[int, ...]
    versions: tuple[tuple[str, str], ...]
    base: str


@dataclass(frozen=True, slots=True)
class Asked(Order):
    """rows: of this picture, that an earlier run measured. keep: whether its files are wanted."""

    rows: tuple[Row, ...] = ()
    keep: bool = False


@dataclass(slots=True)
class Taken:
    """Rows on a worker: what was known, and what is new."""

    rows: dict[tuple[Any, ...], Row]
    new: list[Row] = field(default_factory=list)

    def add(self, row: Row) -> None:
        """As `Results.add`."""
        self.rows[row.key] = row
        self.new.append(row)


@dataclass(frozen=True, slots=True)
class Measure:
    """Called on a worker with an `Asked`: all its rows, the new ones, and the files to keep by name."""

    recipe: Recipe
    metrics: tuple[str, ...]
    repeat: int

    def __call__(self, order: Order) -> dict[str, Any]:
        assert isinstance(order, Asked)
        path = order.job.source
        at = path if is_url(path) else os.path.join(self.recipe.base, path)
        taken = Taken({row.key: row for row in order.rows})
        with TemporaryDirectory() as folder:
            kept = frozenset([path]) if order.keep else frozenset()
            plan = EvaluationPlan(
                _built(self.recipe), self.metrics, self.repeat, Path(folder), kept
            )
            source = replace(read_source(at), path=path)
            rows = [
                row for who in plan.contenders for row in picture_rows(source, who, plan, taken)
            ]
            files = {file.name: file.read_bytes() for file in Path(folder).iterdir()}
        return {"rows": rows, "new": taken.new, "files": files}


_BUILT: dict[Recipe, list[Contender]] = {}


def _built(recipe: Recipe) -> list[Contender]:
    if recipe not in _BUILT:
        card = find_id(bytes.fromhex(recipe.model_id)) if recipe.model_id else None
        levels = list(recipe.levels) if recipe.levels is not None else None
        theirs = recipe.steps, recipe.decoders, recipe.efforts
        found, _ = contenders(recipe.names, card, recipe.device, levels, *theirs)
        own = tuple((who.name, who.version) for who in found)
        if own != recipe.versions:
            here, there = (", ".join(v for _, v in x) for x in (recipe.versions, own))
            raise ResourceError(f"a worker has other codecs: {there}; and here are: {here}")
        _BUILT[recipe] = found
    return _BUILT[recipe]


def spread(
    paths: Sequence[str],
    plan: EvaluationPlan,
    recipe: Recipe,
    runner: Callable[[Measure], Runner],
    results: Results,
    progress: Callable[[int, int, str], None],
) -> tuple[list[Row], dict[str, SicError]]:
    """As `run.evaluate`, the pictures side by side. Raises ResourceError if the workers go away."""
    known: dict[str, list[Row]] = {}
    for row in results.rows.values():
        known.setdefault(row.input, []).append(row)
    done: dict[str, list[Row]] = {}
    failed: dict[str, SicError] = {}
    running = runner(Measure(recipe, tuple(plan.names), plan.repeat))
    try:
        for order, outcome in running.results(_orders(paths, plan, known)):
            path = order.job.source
            if isinstance(outcome, BaseException):
                failed[path] = as_error(outcome, path)
            else:
                done[path] = outcome["rows"]
                for row in outcome["new"]:
                    results.add(row)
                for name, data in outcome["files"].items():
                    keep_file(plan.keep / name, data)
            progress(len(done) + len(failed), len(paths), path)
    finally:
        running.close()
    return [row for path in paths for row in done.get(path, [])], failed


def _orders(
    paths: Sequence[str], plan: EvaluationPlan, known: dict[str, list[Row]]
) -> Iterator[Order]:
    codecs = {who.name: who for who in plan.contenders}
    for index, path in enumerate(paths, 1):
        rows = tuple(known.get(path, ()))
        files = (
            plan.keep / file_name(row.picture, codecs[row.codec], row.setting)
            for row in rows
            if row.codec in codecs
        )
        keep = path in plan.kept and not (rows and all(file.is_file() for file in files))
        yield Asked(Job(index, path, None), None, rows, keep)
