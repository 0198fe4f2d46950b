"""Each term of the loss on its own, at equal budget: the same start, crops and seed.

    python benchmarks/ablation.py DATA OUT --start sic-5 --crops 4000 --minutes 10 \\
        --backbones DATA/backbones --base stage=both --variants plain lpips_squeeze=0 statistics=0

A variant changes fields of `training/config.py`. PSNR of the MSE decoder and LPIPS of the perceptual one, if there is
one, are of the holdout pictures at the four rates, in estimated code lengths (training/evaluate.py). Call it again
until it says that nothing is left.
"""

from __future__ import annotations

from pathlib import Path

from pieces import Plan, arguments, base_of, config_of, go_on, hours, mean_curve, plan_of, write

from sic_cli.training.evaluate import RATES

VARIANTS = ("plain", "price=1", "even=0", "favour=0", "blocking=0", "encoder_lr=1")


def main() -> None:
    parser = arguments("Terms of the loss, each at the same number of crops.")
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS))
    given = parser.parse_args()
    plan = plan_of(given, ("holdout",))
    base = base_of(plan, given.base)
    runs = {name: config_of(base, name) for name in given.variants}
    if given.runs:
        runs = {name: runs[name] for name in given.runs.split(",")}
    rest = go_on(plan, runs, {})
    report(plan.out, table(plan, given.variants), rest)


def table(plan: Plan, variants: list[str]) -> list[dict[str, object]]:
    """A row for each variant that was measured."""
    rows = []
    for name in variants:
        curve = mean_curve(plan.out / name, plan, "holdout")
        if curve:
            rows.append(
                {"variant": name, "crops": plan.crops, "start": plan.start}
                | {"hours": round(hours(plan.out / name), 3)}
                | {"rates_bpp": list(RATES), "psnr": curve.at(curve.psnr)}
                | ({"lpips": curve.at(curve.lpips)} if curve.lpips else {})
            )
    return rows


def report(out: Path, rows: list[dict[str, object]], rest: list[str]) -> None:
    """Print the table, write `ablation.json` and `ablation.md`."""
    heads = " | ".join(f"{rate:.2f} bpp" for rate in RATES)
    lines = [f"| variant, dB / LPIPS at | {heads} |", "|---" * (1 + len(RATES)) + "|"]
    for row in rows:
        looks = row.get("lpips") or [None] * len(RATES)
        cells = [
            f"{p:.3f}" + ("" if look is None else f" / {look:.4f}")
            for p, look in zip(row["psnr"], looks, strict=True)
        ]
        lines.append(f"| {row['variant']} | " + " | ".join(cells) + " |")
    write(out / "ablation", rows, lines, rest)


if __name__ == "__main__":
    main()
