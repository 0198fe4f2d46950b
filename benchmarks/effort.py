"""What `--effort` is worth and costs, from the rows of `sic eval ... --effort 1,5,9 --realism 0,1`.

    python benchmarks/effort.py REPORT

Seconds are those that the run measured, so give it a free machine; BD-rates are against effort 1, of the
curves of averages over the pictures.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path

import numpy as np

from sic_cli.evaluation.rows import Row, documents, rows_of

CURVES = (("psnr", 0.0), ("lpips", 0.0), ("psnr", 1.0), ("lpips", 1.0))


def main() -> None:
    path = str(Path(sys.argv[1]) / "results.jsonl")
    rows = [row for row in rows_of(documents(path), path).values() if row.effort]
    efforts = sorted({row.effort for row in rows if row.effort})
    print("| effort | seconds | bytes | " + " | ".join(f"{m} at {r:g}" for m, r in CURVES) + " |")
    print("|---|---|---|" + "---|" * len(CURVES))
    plain = [row for row in rows if row.effort == efforts[0]]
    for effort in efforts:
        own = [row for row in rows if row.effort == effort]
        size = sum(r.file_bytes for r in own) / sum(r.file_bytes for r in plain)
        seconds = np.mean([r.encode_s for r in own])
        won = [saved(curve(plain, m, r), curve(own, m, r)) for m, r in CURVES]
        told = " | ".join(f"{w:+.2f} %" for w in won)
        print(f"| {effort} | {seconds:.2f} | {100 * (size - 1):+.2f} % | {told} |")


def curve(rows: list[Row], metric: str, realism: float) -> np.ndarray:
    """(settings, 2): logarithm of bpp and value, averaged over the pictures."""
    points = defaultdict(list)
    for row in rows:
        value = row.values.get(metric)
        if row.realism == realism and value is not None:
            points[row.setting].append((row.bpp, value if metric == "psnr" else -value))
    means = np.array(sorted(np.mean(p, 0).tolist() for p in points.values()))
    return np.stack([np.log(means[:, 0]), means[:, 1]], 1)


def saved(plain: np.ndarray, own: np.ndarray) -> float:
    """Mean difference of rate at equal value, in percent."""
    low, high = max(plain[0, 1], own[0, 1]), min(plain[-1, 1], own[-1, 1])
    at = np.linspace(low, high, 200)
    logs = [np.interp(at, c[:, 1], c[:, 0]) for c in (plain, own)]
    return float(100 * (np.exp((logs[1] - logs[0]).mean()) - 1))


if __name__ == "__main__":
    main()
