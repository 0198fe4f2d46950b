"""Learning curves of a run's `training.jsonl` as a picture.

python benchmarks/learning.py runs/main benchmarks/results/learning.png
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

SIDE, MARGIN = 420, 60
COLOURS = (
    *((190, 60, 40), (30, 90, 170), (40, 130, 60), (140, 70, 150), (90, 90, 90)),
    (200, 140, 30),
)
RATES = ("0.15 bpp", "0.30 bpp", "0.45 bpp", "0.70 bpp")

Curves = dict[str, tuple[np.ndarray, np.ndarray]]


def panel(draw: ImageDraw.ImageDraw, left: int, title: str, curves: Curves) -> None:
    """One chart over crops, from 0; names stand where curves do not."""
    falling = all(y[-1] < y[0] for _, y in curves.values())
    names = MARGIN + (10 if falling else SIDE - 80)
    most = max(x.max() for x, _ in curves.values())
    high = float(np.ceil(10 * max(y.max() for _, y in curves.values())) / 10)

    def at(x: float, y: float) -> tuple[float, float]:
        return left + MARGIN + x / most * SIDE, MARGIN + SIDE - y / high * SIDE

    draw.rectangle([left + MARGIN, MARGIN, left + MARGIN + SIDE, MARGIN + SIDE], outline=(0, 0, 0))
    draw.text((left + MARGIN, 12), title, fill=(0, 0, 0))
    for part in (0, 0.25, 0.5, 0.75, 1):
        x, y = at(part * most, part * high)
        draw.text((x - 16, MARGIN + SIDE + 6), f"{part * most / 1000:.0f}k", fill=(0, 0, 0))
        draw.line([left + MARGIN, y, left + MARGIN + SIDE, y], fill=(215, 215, 215))
        draw.text((left + 8, y - 6), f"{part * high:.2f}", fill=(0, 0, 0))
    for row, (colour, (name, (xs, ys))) in enumerate(zip(COLOURS, curves.items(), strict=False)):
        points = [at(x, y) for x, y in zip(xs, ys, strict=True)]
        draw.line(points, fill=colour, width=2)
        for x, y in points:
            draw.ellipse([x - 3, y - 3, x + 3, y + 3], fill=colour)
        draw.text((left + MARGIN + SIDE - 110, names + 14 * row), name, fill=colour)


def main() -> None:
    folder, out = Path(sys.argv[1]), Path(sys.argv[2])
    rows = [json.loads(row) for row in (folder / "training.jsonl").read_text().splitlines()]
    measured = [r for r in rows if "psnr_at" in r]
    crops = np.array([r["crops"] for r in measured]) - measured[0]["crops"]
    psnr = np.array([r["psnr_at"] for r in measured])
    won: Curves = {rate: (crops, psnr[:, i] - psnr[0, i]) for i, rate in enumerate(RATES)}
    charts = [("decibels of the MSE decoder won since the first evaluation, over crops", won)]
    looked = [r for r in measured if "lpips" in r]
    if looked:
        seen = np.array([r["crops"] for r in looked]) - looked[0]["crops"]
        lpips = np.array([r["lpips"] for r in looked])
        levels: Curves = {
            f"level {k}": (seen, lpips[:, i]) for i, k in enumerate(looked[0]["levels"])
        }
        charts.append(("LPIPS-Alex of the perceptual decoder, over crops", levels))
    chart = Image.new("RGB", (len(charts) * (SIDE + 2 * MARGIN), SIDE + 2 * MARGIN), "white")
    draw = ImageDraw.Draw(chart)
    for place, (title, curves) in enumerate(charts):
        panel(draw, place * (SIDE + 2 * MARGIN), title, curves)
    chart.save(out, optimize=True)


if __name__ == "__main__":
    main()
