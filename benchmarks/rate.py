"""Real bytes, PSNR and LPIPS of every level over Kodak, into the model card of the newest weights.

    python benchmarks/rate.py DATA [--release NAME] [--no-lpips]

DATA holds `kodak/` and `backbones/`. Each picture is encoded once; each level is a cut of that file.
Averages are taken over the pictures at each level and then interpolated in log bpp.
"""

from __future__ import annotations

import argparse
import csv
import math
import warnings
from pathlib import Path

import numpy as np
import torch

from sic_cli.bitstream.reader import parse
from sic_cli.codec.decode import decode, decode_cells
from sic_cli.codec.encode import encode
from sic_cli.codec.engine import engine
from sic_cli.codec.information import information
from sic_cli.measure.psnr import psnr
from sic_cli.picture.load import load
from sic_cli.release.locate import find

RATES = (0.15, 0.30, 0.45, 0.70)
HERE = Path(__file__).parent


def at_rates(bpp: np.ndarray, values: np.ndarray) -> list[float]:
    return [float(np.interp(math.log(r), np.log(bpp), values)) for r in RATES]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--release")
    parser.add_argument("--pictures", default="kodak")
    parser.add_argument("--no-lpips", action="store_true")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--dry", action="store_true", help="print only")
    options = parser.parse_args()
    card = find(options.release)
    distance = None
    if not options.no_lpips:
        from sic_cli.measure.lpips import Lpips

        warnings.simplefilter("ignore")
        features = options.data / "backbones" / "alexnet_features_imagenet.pth"
        distance = Lpips(torch.load(features, weights_only=True))
    paths = sorted((options.data / options.pictures).glob("*.png"))[:: options.every]
    levels = card.config.levels
    rate, quality, lpips, ideal = (np.zeros((len(paths), levels)) for _ in range(4))
    guess = np.zeros((len(paths), levels))
    for row, path in enumerate(paths):
        pixels = load(path.read_bytes(), path.name, 65535, 178_000_000).pixels
        parsed = parse(encode(pixels, card))
        area = pixels.shape[0] * pixels.shape[1]
        cells, _, _ = decode_cells(engine(card), parsed, levels)
        ideal[row] = information(engine(card), cells) / area
        for level in range(1, levels + 1):
            out = decode(parsed, level=level).pixels
            rate[row, level - 1] = parsed.ends[level - 1] * 8 / area
            quality[row, level - 1] = psnr(pixels, out)
            guess[row, level - 1] = parsed.layers[level - 1].psnr / 4
            if distance:
                lpips[row, level - 1] = distance(pixels, out)
        print(
            path.name,
            *(f"{b:.3f}/{q:.2f}" for b, q in zip(rate[row], quality[row], strict=True)),
            flush=True,
        )
    falls = sum(int((np.diff(q) <= 0).any()) for q in quality)
    near = float((np.abs(guess - quality) <= 0.5).mean() * 100)
    mean = [a.mean(0) for a in (rate, quality, lpips, ideal)]
    lines = [
        f"Kodak, {len(paths)} pictures, real bytes of one file per picture cut at each level:",
        "",
        "| level | bpp | PSNR dB | LPIPS-Alex | information bpp | bytes over information |",
        "|---|---|---|---|---|---|",
    ]
    for k in range(levels):
        over = f"{(mean[0][k] / mean[3][k] - 1) * 100:+.2f} %"
        lines.append(
            f"| {k + 1} | {mean[0][k]:.4f} | {mean[1][k]:.2f} | {mean[2][k]:.4f} | {mean[3][k]:.4f} | {over} |"
        )
    lines += [
        "",
        "| at bpp | " + " | ".join(f"{r:.2f}" for r in RATES) + " |",
        "|---|---|---|---|---|",
        "| PSNR dB | " + " | ".join(f"{v:.2f}" for v in at_rates(mean[0], mean[1])) + " |",
        "| LPIPS-Alex | " + " | ".join(f"{v:.3f}" for v in at_rates(mean[0], mean[2])) + " |",
        "",
        f"Pictures whose PSNR does not rise with every level: {falls}. "
        f"Expected PSNR in the file within 0.5 dB of the true one: {near:.0f} % of levels.",
    ]
    print("\n".join(lines))
    if not options.dry:
        readme = card.folder / "README.md"
        text = (
            readme.read_text(encoding="utf-8")
            if readme.exists()
            else f"# {card.name}\n\n<!-- table -->\n"
        )
        head, _, _ = text.partition("<!-- table -->")
        readme.write_text(head + "<!-- table -->\n" + "\n".join(lines) + "\n", encoding="utf-8")
        (HERE / "results").mkdir(exist_ok=True)
        with open(HERE / "results" / f"rate-{card.name}.csv", "w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["picture", "level", "bpp", "psnr", "lpips"])
            for row, path in enumerate(paths):
                for k in range(levels):
                    table.writerow(
                        [
                            path.name,
                            k + 1,
                            f"{rate[row, k]:.5f}",
                            f"{quality[row, k]:.3f}",
                            f"{lpips[row, k]:.4f}",
                        ]
                    )


if __name__ == "__main__":
    main()
