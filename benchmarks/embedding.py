"""The price of embedding: what it costs that one file holds all levels.

    python benchmarks/embedding.py DATA OUT --start sic-5 --crops 4000 --minutes 10

From one start the transforms are trained on for all levels, and for each of some levels alone: the
same crops, the same number of them. The price at a level is the rate that the transforms for all levels
need for the PSNR that the other ones reach there, in percent above the others' rate. Both have the same
step sizes, so the price is that of shared networks alone. Code lengths are estimates (training/evaluate.py). Call it again until it says that nothing is left (pieces.py).
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
from pieces import Plan, arguments, base_of, go_on, mean_curve, plan_of, write

from sic_cli.training.evaluate import Curve

SETS = ("holdout", "kodak")


def price(joint: Curve, alone: Curve) -> float | None:
    """Percent of rate; `alone` has one level. None outside the range of the joint curve."""
    (rate,), (quality,) = alone.bpp, alone.psnr
    if not joint.psnr[0] <= quality <= joint.psnr[-1]:
        return None
    same = math.exp(float(np.interp(quality, joint.psnr, np.log(joint.bpp))))
    return 100 * (same / rate - 1)


def main() -> None:
    parser = arguments("The price of embedding, in pieces of some minutes.")
    parser.add_argument("--levels", default="4,8,12")
    given = parser.parse_args()
    levels = [int(part) for part in given.levels.split(",")]
    plan = plan_of(given, SETS)
    base = base_of(plan, given.base)
    runs = {"joint": base} | {f"level-{k}": replace(base, only_level=k) for k in levels}
    if given.runs:
        runs = {name: runs[name] for name in given.runs.split(",")}
    rest = go_on(plan, runs, {f"level-{k}": [k] for k in levels})
    report(plan.out, table(plan, levels), rest)


def table(plan: Plan, levels: list[int]) -> list[dict[str, object]]:
    """A row for each set and level of which both runs were measured."""
    rows = []
    for name in plan.sets:
        joint = mean_curve(plan.out / "joint", plan, name)
        for level in levels:
            alone = mean_curve(plan.out / f"level-{level}", plan, name)
            if joint and alone:
                rows.append(
                    {"set": name, "level": level, "crops": plan.crops, "start": plan.start}
                    | {"bpp_alone": alone.bpp[0], "psnr_alone": alone.psnr[0]}
                    | {"bpp_joint": joint.bpp[level - 1], "psnr_joint": joint.psnr[level - 1]}
                    | {"price_percent": price(joint, alone)}
                )
    return rows


def report(out: Path, rows: list[dict[str, object]], rest: list[str]) -> None:
    """Print the table, write `embedding.json` and `embedding.md`."""
    lines = [
        "| pictures | level | for all levels: bpp, dB | for this level alone: bpp, dB | price |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        cost = row["price_percent"]
        lines.append(
            f"| {row['set']} | {row['level']} | {row['bpp_joint']:.4f}, {row['psnr_joint']:.3f} "
            f"| {row['bpp_alone']:.4f}, {row['psnr_alone']:.3f} "
            f"| {'-' if cost is None else f'{cost:+.2f} %'} |"
        )
    write(out / "embedding", rows, lines, rest)


if __name__ == "__main__":
    main()
