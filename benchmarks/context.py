"""Variants of the context network and of its coding passes, each trained anew for the same number of crops.

    python benchmarks/context.py runs/packed --start sic-5 --crops 30000 --out runs/context

Transforms are those of --start, frozen. The indices of the training pictures are computed once into OUT; all variants
see the same crops in the same order. Each finished variant is a line of `variants.jsonl`: call it again and it goes
on at the next. Rates are of held-out pictures, in floating-point code lengths, without layer 0. Milliseconds are
processor time of the coder's own network (`codec/inference/context.py`), one thread, a picture of 768x512, all
levels.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sic_cli.codec.inference.config import STRIDE
from sic_cli.codec.inference.context import ContextRunner
from sic_cli.codec.quantization.dead_zone import at_depths
from sic_cli.codec.weights.locate import find
from sic_cli.storage.files import replace_file
from sic_cli.training.checkpoint import transforms_of
from sic_cli.training.context import (
    ContextConfig,
    ContextState,
    Sight,
    code_lengths,
    new_state,
    optimisers_of,
    step,
)
from sic_cli.training.data import find_pictures, open_packed, read_rgb
from sic_cli.training.indices import IndexCrops, are_packed, indices_of, pack_indices
from sic_cli.training.model import TrainModel

LEVELS = (1, 2, 4, 7, 11, 16)
ROUNDS = 5
TIMED = (32, 48)
"""Positions of a picture of 768x512."""
BASE = ContextConfig()
VARIANTS: dict[str, ContextConfig] = {
    "base": BASE,
    "one phase": replace(BASE, first=tuple((end, 1) for end, _ in BASE.first)),
    "two phases": replace(BASE, first=((9, 2), (24, 2), (80, 1), (256, 1))),
    "four phases of 9": replace(BASE, first=((9, 4), (24, 1), (80, 1), (256, 1))),
    "four phases of 80": replace(BASE, first=((9, 4), (24, 4), (80, 4), (256, 1))),
    "one group": replace(BASE, first=((256, 4),)),
    "width 48": replace(BASE, width=48, hidden=48),
    "width 96": replace(BASE, width=96, hidden=96),
    "hidden 32": replace(BASE, hidden=32),
    "base again": replace(BASE, seed=1),
}
"""What is trained, the important ones first."""
Indices = NDArray[np.int16]


def main() -> None:
    parser = argparse.ArgumentParser(description="Variants of the context network at equal crops.")
    parser.add_argument("packed", type=Path, help="folder of `sic train pack`")
    parser.add_argument("--start", default="sic-5", help="weights or run whose transforms are used")
    parser.add_argument("--crops", type=int, default=30_000, help="of 16x16 positions")
    parser.add_argument("--out", type=Path, default=Path("runs/context"))
    parser.add_argument("--only", help="only these variants, by commas")
    parser.add_argument("--holdout", type=Path, default=Path("../shared/data/holdout"))
    parser.add_argument("--every", type=int, default=4, help="measure every n-th picture of it")
    given = parser.parse_args()
    torch.set_num_threads(1)
    names = given.only.split(",") if given.only else list(VARIANTS)
    if strange := [name for name in names if name not in VARIANTS]:
        raise SystemExit(f"no variant {strange[0]}; there are {', '.join(VARIANTS)}")
    start = Path(given.start)
    model, _ = transforms_of(start if start.exists() else find(given.start).folder)
    held = [indices_of(model, read_rgb(p)) for p in find_pictures(given.holdout)[:: given.every]]
    if not are_packed(given.out, model):
        pictures, _ = open_packed(given.packed)
        shown = 0
        for part in pack_indices(model, pictures, given.out, 1):
            if int(100 * part) > shown:
                shown = int(100 * part)
                print(f"\rindices {shown} %", end="", flush=True)
        print()
    chosen = {name: replace(VARIANTS[name], crops=given.crops) for name in names}
    facts = {"start": given.start, "crops": given.crops, "pictures": len(held)}
    rows = go_on(given.out, chosen, model, held, facts)
    text = table({name: rows[name] for name in VARIANTS if name in rows})
    (given.out / "variants.md").write_text(text)
    print(text)


def go_on(
    out: Path,
    runs: dict[str, ContextConfig],
    model: TrainModel,
    held: Sequence[Indices],
    facts: dict[str, Any],
) -> dict[str, dict[str, Any]]:
    """Train and measure what is not finished; all lines by variant."""
    crops = IndexCrops.open(out)
    for name, config in runs.items():
        if name in finished(out, facts):
            continue
        state = trained(model, crops, held, config)
        row = {"variant": name, "bits": rates(state, held), "ms": milliseconds(state, held)}
        row |= {"passes": len(state.network.passes), "facts": facts}
        text = "".join(json.dumps(r) + "\n" for r in finished(out, facts).values())
        replace_file(str(out / "variants.jsonl"), (text + json.dumps(row) + "\n").encode())
        print(f"{name}: {row['bits'][0]:.3f} to {row['bits'][-1]:.3f} bits a position", flush=True)
    return finished(out, facts)


def finished(out: Path, facts: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Variant -> its line. Ends with one sentence if they were made with other options."""
    path = out / "variants.jsonl"
    rows = [json.loads(text) for text in path.read_text().splitlines()] if path.exists() else []
    if any(row["facts"] != facts for row in rows):
        raise SystemExit(f"{path}: begun with other options; name another folder")
    return {row["variant"]: row for row in rows}


def trained(
    model: TrainModel, crops: IndexCrops, held: Sequence[Indices], config: ContextConfig
) -> ContextState:
    """A network that has seen all its crops."""
    state = new_state(model, crops, held, config)
    optimisers, sight = optimisers_of(state.network, config), Sight(state.table, state.reach)
    while state.crops < config.crops:
        step(state, sight, optimisers, crops, config)
    return state


def rates(state: ContextState, held: Sequence[Indices]) -> list[float]:
    """Bits a position up to each level, without layer 0."""
    bits = code_lengths(state.averaged(), Sight(state.table, state.reach), held)
    level = np.array([one.level for one in state.network.passes])
    upto = np.cumsum([bits[level == k].sum() for k in range(1, state.table.levels + 1)])
    return [round(float(v), 4) for v in upto]


def milliseconds(state: ContextState, held: Sequence[Indices]) -> float:
    """Processor time of all passes over one picture, the least of some rounds."""
    height, width = TIMED
    largest = max(held, key=lambda one: one.shape[0] * one.shape[1])
    tiles = (-(-height // largest.shape[0]), -(-width // largest.shape[1]), 1)
    indices = np.tile(largest, tiles)[:height, :width].transpose(2, 0, 1)
    table = state.table
    with torch.no_grad():
        weights = state.averaged().weights().map(lambda v: v.numpy())
    runner = ContextRunner(
        weights,
        state.reach.astype(np.float32),
        state.tensors()["logs"].astype(np.float32),
        table.passes,
    )
    before = [at_depths(indices, table, one.before) for one in table.passes]
    best = math.inf
    for _ in range(ROUNDS):
        began = time.process_time()
        incremental = runner.incremental()
        for number, now in enumerate(before):
            incremental(now, number)
        best = min(best, 1000 * (time.process_time() - began))
    return round(best, 1)


def table(rows: dict[str, dict[str, Any]]) -> str:
    """Bits up to a level in percent above those of the base, where it is there."""
    base = rows.get("base", next(iter(rows.values())))
    levels = [k for k in LEVELS if k <= len(base["bits"])]
    heads = " | ".join(f"level {k}" for k in levels)
    lines = [f"| variant | passes | ms | {heads} |", "|---" * (3 + len(levels)) + "|"]
    for name, row in rows.items():
        columns = [f"{row['bits'][k - 1] / STRIDE**2:.4f} bpp" for k in levels]
        if row is not base:
            columns = [
                f"{100 * (row['bits'][k - 1] / base['bits'][k - 1] - 1):+.2f} %" for k in levels
            ]
        lines.append(f"| {name} | {row['passes']} | {row['ms']:.0f} | {' | '.join(columns)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
