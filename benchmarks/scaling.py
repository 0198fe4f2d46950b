"""Time and memory of whole `sic` processes from 0.1 to 50 megapixels, with a straight line fitted.

    python benchmarks/scaling.py [--to MEGAPIXELS] [--out benchmarks/results/scaling]

Writes OUT.csv and OUT.png. The picture is the parrots, mirrored until it is large enough. Processor
seconds are fitted, since they mean the same on a busy machine.
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "tests" / "pictures" / "parrots.png"
SIZES = (0.1, 0.4, 1.5, 6.0, 12.0, 24.0, 50.0)
COLOURS = {"encode": (190, 60, 40), "decode": (30, 90, 170)}
SIDE, MARGIN = 420, 60


def picture(megapixels: float) -> Image.Image:
    """About that many pixels, 4 wide to 3 high."""
    photo = np.asarray(Image.open(PICTURE).convert("RGB"))
    block = np.concatenate([photo, photo[::-1]])
    block = np.concatenate([block, block[:, ::-1]], 1)
    height = int((megapixels * 1e6 * 3 / 4) ** 0.5)
    width = height * 4 // 3
    times = (-(-height // block.shape[0]), -(-width // block.shape[1]), 1)
    return Image.fromarray(np.tile(block, times)[:height, :width])


def one(*arguments: str) -> tuple[float, float, float]:
    """Wall seconds, processor seconds and peak MB of a `sic` process."""
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "sic_cli", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"sic {arguments[0]} ended with {process.returncode}")
    unit = 1e6 if sys.platform == "darwin" else 1e6 / 1024
    return time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / unit


def line(x: np.ndarray, y: np.ndarray) -> tuple[float, float, float]:
    """Slope, offset and R^2 of a straight line; each point counts by its own size."""
    slope, offset = np.polyfit(x, y, 1, w=1 / y)
    left = ((y - slope * x - offset) / y) ** 2
    return float(slope), float(offset), float(1 - left.sum() / ((1 - y.mean() / y) ** 2).sum())


def panel(
    draw: ImageDraw.ImageDraw,
    left: int,
    title: str,
    curves: dict[str, tuple[np.ndarray, np.ndarray]],
) -> None:
    """One double logarithmic chart: points, and the fitted line through them."""
    every = np.concatenate([y for _, y in curves.values()])
    low, high = np.floor(np.log10(every.min())), np.ceil(np.log10(every.max()))

    def at(x: float, y: float) -> tuple[float, float]:
        across = (np.log10(x) + 1) / (np.log10(60) + 1)
        upward = (np.log10(y) - low) / (high - low)
        return left + MARGIN + across * SIDE, MARGIN + SIDE - upward * SIDE

    draw.rectangle([left + MARGIN, MARGIN, left + MARGIN + SIDE, MARGIN + SIDE], outline=(0, 0, 0))
    draw.text((left + MARGIN, 12), title, fill=(0, 0, 0))
    for x in (0.1, 1, 10, 50):
        draw.text((at(x, 10**low)[0] - 8, MARGIN + SIDE + 6), f"{x:g}", fill=(0, 0, 0))
    for power in range(int(low), int(high) + 1):
        y = at(0.1, 10.0**power)[1]
        draw.line([left + MARGIN, y, left + MARGIN + SIDE, y], fill=(215, 215, 215))
        draw.text((left + 8, y - 6), f"{10.0**power:g}", fill=(0, 0, 0))
    for row, (name, (x, y)) in enumerate(curves.items()):
        slope, offset, fit = line(x, y)
        many = np.geomspace(x.min(), x.max(), 60)
        through = [at(a, max(10**low, slope * a + offset)) for a in many]
        draw.line(through, fill=COLOURS[name], width=2)
        for a, b in zip(x, y, strict=True):
            cx, cy = at(a, b)
            draw.ellipse([cx - 4, cy - 4, cx + 4, cy + 4], fill=COLOURS[name])
        text = f"{name}: {offset:.3g} + {slope:.3g} per megapixel, R2 {fit:.4f}"
        print(f"{title}, {text}")
        draw.text((left + MARGIN + 8, MARGIN + 6 + 14 * row), text, fill=COLOURS[name])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--to", type=float, default=50)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "scaling")
    options = parser.parse_args()
    rows: list[tuple[str, float, float, float, float]] = []
    for megapixels in (s for s in SIZES if s <= options.to):
        with tempfile.TemporaryDirectory() as folder:
            source, coded, out = (f"{folder}/{name}" for name in ("a.ppm", "a.sic", "a.ppm"))
            made = picture(megapixels)
            made.save(source)
            count = made.width * made.height / 1e6
            del made
            for name, more in (
                ("encode", (source, "-o", coded)),
                ("decode", (coded, "-o", out, "-f")),
            ):
                rows.append((name, count, *one(name, *more)))
                print("{} {:.2f} MP: {:.2f} s, CPU {:.2f} s, peak {:.0f} MB".format(*rows[-1]))
    with options.out.with_suffix(".csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("command", "megapixels", "wall_s", "cpu_s", "peak_mb"))
        writer.writerows(tuple(v if isinstance(v, str) else round(v, 3) for v in r) for r in rows)
    chart = Image.new("RGB", (2 * (SIDE + 2 * MARGIN), SIDE + 2 * MARGIN), (255, 255, 255))
    draw = ImageDraw.Draw(chart)
    for place, (column, title) in enumerate(((3, "processor seconds"), (4, "peak memory, MB"))):
        curves = {
            name: tuple(np.array([r[c] for r in rows if r[0] == name]) for c in (1, column))
            for name in COLOURS
        }
        panel(draw, place * (SIDE + 2 * MARGIN), f"{title} over megapixels", curves)  # type: ignore[arg-type]
    chart.save(options.out.with_suffix(".png"))


if __name__ == "__main__":
    main()
