"""Real bytes, PSNR and LPIPS of every level over Kodak, into the model card of the newest weights.

    python benchmarks/rate.py DATA [--release NAME] [--no-lpips]

DATA holds `kodak/` and `backbones/`. Each picture is encoded once; each level is a cut of that file.
Averages are taken over the pictures at each level and then interpolated in log bpp.
"""

from __future__ import annotations

import argparse
import csv
import math
import os
import warnings
from pathlib import Path

import numpy as np

from sic_cli.codec.all_levels import AllLevels
from sic_cli.codec.bitstream.reader import parse
from sic_cli.codec.decode import decode_indices
from sic_cli.codec.encode import encode
from sic_cli.codec.engine import engine
from sic_cli.codec.weights.locate import find
from sic_cli.metrics.curves import RATES
from sic_cli.metrics.psnr import psnr
from sic_cli.picture.load import load
from sic_cli.training.code_length import code_length

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
        from sic_cli.metrics.backbones import VARIABLE, alexnet
        from sic_cli.metrics.lpips import Lpips

        warnings.simplefilter("ignore")
        os.environ[VARIABLE] = str(options.data / "backbones")
        distance = Lpips(alexnet())
    paths = sorted((options.data / options.pictures).glob("*.png"))[:: options.every]
    levels = card.config.levels
    shape = (len(paths), levels)
    rate, ideal, guess = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    quality, lpips = np.zeros((2, *shape)), np.zeros((2, *shape))
    preview = np.zeros(len(paths))
    for row, path in enumerate(paths):
        pixels = load(path.read_bytes(), path.name, 65535, 178_000_000).pixels
        parsed = parse(encode(pixels, card))
        area = pixels.shape[0] * pixels.shape[1]
        indices, _, _ = decode_indices(engine(card), parsed, levels)
        ideal[row] = code_length(engine(card), indices)[1:] / area
        rate[row] = np.array(parsed.ends[1:]) * 8 / area
        preview[row] = parsed.ends[0] * 8 / area
        guess[row] = [layer.psnr / 4 for layer in parsed.layers[1:]]
        all_levels = AllLevels(parsed)
        for k in range(levels):
            for realism in (0, 1):
                out = all_levels.pixels(k + 1, realism)
                quality[realism, row, k] = psnr(pixels, out)
                if distance:
                    lpips[realism, row, k] = distance(pixels, out)
        print(
            path.name,
            *(f"{b:.3f}/{q:.2f}" for b, q in zip(rate[row], quality[0, row], strict=True)),
            flush=True,
        )
    falls = sum(int((np.diff(q) <= 0).any()) for q in quality[0])
    rises = sum(int((np.diff(q) >= 0).any()) for q in lpips[1])
    near = float((np.abs(guess - quality[1]) <= 0.5).mean() * 100)
    bpp, known = rate.mean(0), ideal.mean(0)
    mean = [quality[0].mean(0), lpips[0].mean(0), quality[1].mean(0), lpips[1].mean(0)]
    lines = [
        f"Kodak, {len(paths)} pictures, real bytes of one file per picture cut at each level:",
        "",
        "| level | bpp | PSNR dB, LPIPS-Alex at realism 0 | the same at realism 1 | information bpp | bytes over information |",
        "|---|---|---|---|---|---|",
    ]
    lines.append(f"| 0 | {preview.mean():.4f} | | | | |")
    for k in range(levels):
        over = f"{(bpp[k] / known[k] - 1) * 100:+.2f} %"
        mse_decoder, perceptual = (f"{mean[i][k]:.2f}, {mean[i + 1][k]:.4f}" for i in (0, 2))
        lines.append(
            f"| {k + 1} | {bpp[k]:.4f} | {mse_decoder} | {perceptual} | {known[k]:.4f} | {over} |"
        )
    names = (
        ("realism 0, PSNR dB", 2),
        ("realism 0, LPIPS-Alex", 3),
        ("realism 1, PSNR dB", 2),
        ("realism 1, LPIPS-Alex", 3),
    )
    lines += [
        "",
        "| at bpp | " + " | ".join(f"{r:.2f}" for r in RATES) + " |",
        "|---|---|---|---|---|",
        *(
            f"| {name} | " + " | ".join(f"{v:.{digits}f}" for v in at_rates(bpp, values)) + " |"
            for (name, digits), values in zip(names, mean, strict=True)
        ),
        "",
        f"Pictures whose PSNR at realism 0 does not rise with every level: {falls}; whose LPIPS at "
        f"realism 1 does not fall with every level: {rises}. Expected PSNR in the file within 0.5 dB "
        f"of the true one at realism 1: {near:.0f} % of levels.",
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
            table.writerow(["picture", "level", "bpp", "psnr0", "lpips0", "psnr1", "lpips1"])
            for row, path in enumerate(paths):
                for k in range(levels):
                    both = [
                        text
                        for r in (0, 1)
                        for text in (f"{quality[r, row, k]:.3f}", f"{lpips[r, row, k]:.4f}")
                    ]
                    table.writerow([path.name, k + 1, f"{rate[row, k]:.5f}", *both])


if __name__ == "__main__":
    main()
