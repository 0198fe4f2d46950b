"""Several training runs from one start, each of so many crops, done in pieces of some minutes.

Compute comes in pieces here: call a benchmark again and it goes on where it was, at the next run that
is not done, then at the next picture that was not measured. Every run has a folder of its own with its
checkpoint, and `measured.jsonl`: one line per picture, in estimated code lengths (training/evaluate.py).
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sic_cli.codec.inference.config import ModelConfig
from sic_cli.codec.weights.locate import find
from sic_cli.training.checkpoint import NAME, averaged, load
from sic_cli.training.config import DEFAULTS, STAGES, TrainConfig
from sic_cli.training.data import find_pictures, read_rgb
from sic_cli.training.evaluate import Curve, evaluate
from sic_cli.training.loop import TrainingRun, seen, train
from sic_cli.training.lpips_loss import perceptual_networks


@dataclass(frozen=True, slots=True)
class Plan:
    """What all runs of a benchmark share. sets: name -> folder of pictures that are measured."""

    out: Path
    packed: Path
    start: str
    crops: int
    minutes: float
    processes: int
    device: str
    backbones: str | None
    sets: dict[str, Path]
    every: int


def arguments(about: str) -> argparse.ArgumentParser:
    """What every benchmark of this kind takes."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("data", type=Path, help="holds holdout/ and kodak/")
    parser.add_argument("out", type=Path, help="a folder for each run below it")
    parser.add_argument("--packed", type=Path, default=Path("runs/packed"))
    parser.add_argument("--start", required=True, help="weights or run that all begin with")
    parser.add_argument("--crops", type=int, default=4000, help="that each run sees")
    parser.add_argument("--minutes", type=float, default=10.0, help="of this call, all in all")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--backbones", help="folder of the perceptual networks")
    parser.add_argument("--every", type=int, default=1, help="measure every n-th picture")
    parser.add_argument("--base", default="lr=0.0005", help="what all: stage=both,batch=8")
    parser.add_argument("--runs", help="only these, by commas")
    return parser


def plan_of(given: argparse.Namespace, sets: Sequence[str]) -> Plan:
    """The plan that a command line means."""
    return Plan(
        given.out,
        given.packed,
        given.start if Path(given.start).exists() else str(find(given.start).folder),
        given.crops,
        given.minutes,
        given.processes,
        given.device,
        given.backbones,
        {name: given.data / name for name in sets},
        given.every,
    )


def config_of(base: TrainConfig, text: str) -> TrainConfig:
    """`price=1,even=0` changes two fields of `base`; `plain` none. Ends with one sentence if there
    is no such field."""
    changes: dict[str, Any] = {}
    for part in text.split(",") if text != "plain" else ():
        name, _, value = part.partition("=")
        if not hasattr(base, name):
            raise SystemExit(f"{part}: training has no option {name}")
        kind = type(getattr(base, name))
        try:
            changes[name] = kind(value)
        except ValueError:
            raise SystemExit(f"{part}: not a {kind.__name__}") from None
    if "lr" in changes:
        changes.setdefault("muon_lr", 2 * changes["lr"])
    return replace(base, **changes)


def base_of(plan: Plan, text: str) -> TrainConfig:
    """The configuration of all runs. The average that is kept spans a twentieth of the steps."""
    named = [part.removeprefix("stage=") for part in text.split(",") if part.startswith("stage=")]
    stage = named[-1] if named else "mse"
    if stage not in STAGES:
        raise SystemExit(f"stage={stage}: there are {', '.join(STAGES)}")
    config = config_of(DEFAULTS[stage], text)  # type: ignore[index]
    steps = plan.crops / (config.batch * plan.processes)
    return replace(config, ema=min(0.999, max(0.5, 1 - 20 / steps)))


def go_on(plan: Plan, runs: dict[str, TrainConfig], levels: dict[str, list[int]]) -> list[str]:
    """Train and measure for `plan.minutes`; the names of the runs that are not done.

    levels: name -> levels that are measured, where not all of them are.
    """
    end = time.time() + 60 * plan.minutes
    for name, config in runs.items():
        folder = plan.out / name
        agree(folder, plan, config)
        if not trained(folder, plan) and time.time() < end:
            where = TrainingRun(
                str(plan.packed),
                str(folder),
                "",
                (end - time.time()) / 60,
                processes=plan.processes,
                device=plan.device,
                final=True,
                backbones=plan.backbones,
                start=plan.start,
                evaluate_minutes=0,
                crops=plan.crops,
            )
            train(where, config, ModelConfig())
        if trained(folder, plan):
            measure(folder, plan, levels.get(name), end)
    return [n for n in runs if left(plan.out / n, plan)]


def agree(folder: Path, plan: Plan, config: TrainConfig) -> None:
    """Note what a run is made with; end with one sentence if it was begun with something else."""
    facts = {"start": plan.start, "crops": plan.crops, "processes": plan.processes}
    text = json.dumps(facts | asdict(config), indent=1)
    folder.mkdir(parents=True, exist_ok=True)
    known = folder / "made-with.json"
    if known.exists() and known.read_text() != text:
        raise SystemExit(f"{folder}: begun with other options ({known.name}); name another folder")
    known.write_text(text)


def trained(folder: Path, plan: Plan) -> bool:
    """Has a run seen all its crops?"""
    path = folder / NAME
    return path.exists() and seen(load(path)[1], plan.crops) >= 1


def pictures(plan: Plan) -> Iterator[tuple[str, Path]]:
    """(set, path) of all that is measured."""
    for name, folder in plan.sets.items():
        for path in find_pictures(folder)[:: plan.every]:
            yield name, path


def measured(folder: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """(set, picture) -> its line. A torn last line counts for none."""
    path, found = folder / "measured.jsonl", {}
    for text in path.read_text().split("\n")[:-1] if path.exists() else ():
        row = json.loads(text)
        found[row["set"], row["picture"]] = row
    return found


def left(folder: Path, plan: Plan) -> bool:
    """Is there anything to train or to measure?"""
    known = measured(folder)
    return not trained(folder, plan) or any((s, p.name) not in known for s, p in pictures(plan))


def measure(folder: Path, plan: Plan, levels: list[int] | None, end: float) -> None:
    """Measure what was not measured, picture by picture, until `end`."""
    known = measured(folder)
    wanted = [(s, p) for s, p in pictures(plan) if (s, p.name) not in known]
    if not wanted or time.time() >= end:
        return
    device = torch.device(plan.device)
    model = averaged(folder / NAME)[0].to(device)
    look = perceptual_networks(Path(plan.backbones)).to(device) if plan.backbones else None
    path = folder / "measured.jsonl"
    rest = "".join(json.dumps(row) + "\n" for row in known.values())
    path.write_text(rest)
    with open(path, "a") as file:
        for name, source in wanted:
            if time.time() >= end:
                return
            curve = evaluate(model, [read_rgb(source)], device, look, levels)
            row = {"set": name, "picture": source.name, "levels": curve.levels}
            row |= {"bpp": curve.bpp, "psnr": curve.psnr}
            row |= {"lpips": curve.lpips} if curve.lpips else {}
            file.write(json.dumps(row) + "\n")
            file.flush()


def mean_curve(folder: Path, plan: Plan, name: str) -> Curve | None:
    """Means over the pictures of a set at each level; None before all of them were measured."""
    known = measured(folder)
    rows = [known.get((s, p.name)) for s, p in pictures(plan) if s == name]
    there = [row for row in rows if row is not None]
    if not there or len(there) < len(rows):
        return None
    means = {
        key: np.mean([row[key] for row in there], axis=0).tolist()
        for key in ("bpp", "psnr", "lpips")
        if key in there[0]
    }
    return Curve(there[0]["levels"], means["bpp"], means["psnr"], lpips=means.get("lpips"))


def write(path: Path, rows: list[dict[str, object]], lines: list[str], rest: list[str]) -> None:
    """Print a table; write it to `path`.md, and its rows to `path`.json."""
    text = "\n".join(lines) + "\n"
    path.with_suffix(".json").write_text(json.dumps({"rows": rows, "left": rest}, indent=1) + "\n")
    path.with_suffix(".md").write_text(text)
    print(text + (f"not done yet: {', '.join(rest)}" if rest else "nothing is left to do"))


def hours(folder: Path) -> float:
    """Wall time of the training of a run."""
    path = folder / NAME
    return load(path)[1].hours if path.exists() else 0.0
