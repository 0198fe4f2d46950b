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
from sic_cli.codec.decode import decode
from sic_cli.codec.encode import encode
from sic_cli.codec.engine import engine
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
        ideal[row] = information(card, pixels) / area
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


def information(card: object, pixels: np.ndarray) -> np.ndarray:
    """Bits up to each level that the context network's own logits say the cells hold."""
    from sic_cli.cells.quantise import at_octaves
    from sic_cli.model.context import LOGIT_ONE, features, logits, trunk
    from sic_cli.model.exact import exact

    machine = engine(card)  # type: ignore[arg-type]
    cells, table = machine.cells(machine.analyse(pixels)), machine.table
    release, total = machine.release, np.zeros(table.levels)
    for step, level in enumerate(table.step_level):
        before, after = (table.steps[i].astype(np.int32) for i in (step, step + 1))
        parent, child = (
            at_octaves(cells, table, table.steps[step]),
            at_octaves(cells, table, table.steps[step + 1]),
        )
        with exact():
            seen = features(
                torch.from_numpy(parent).float()[None],
                torch.from_numpy(before).float()[None],
                release.reach,
                release.logs,
            )
            which = torch.tensor([step])
            out = logits(release.context, trunk(release.context, seen, which), which)[0] / LOGIT_ONE
        zero, sign, inner = (v.double().numpy() for v in out.chunk(3))
        cost = lambda x: np.logaddexp(0, x) / math.log(2)  # noqa: E731
        cut = (after > before)[:, None, None]
        first = cut & (before < 0)[:, None, None]
        leaving = cut & (parent == 0)
        bits = np.where(leaving, cost(np.where(child == 0, -zero, zero)), 0).sum()
        alive = leaving & (child != 0)
        bits += np.where(alive, cost(np.where(child > 0, -sign, sign)), 0).sum()
        split = cut & (parent != 0)
        outer = np.abs(child) & 1
        bits += np.where(split, cost(np.where(outer == 1, inner, -inner)), 0).sum()
        more = np.maximum(np.abs(child) - 1, 0)
        bits += np.where(first & alive, more * cost(inner) + cost(-inner), 0).sum()
        total[level - 1] += bits
    return total.cumsum()


if __name__ == "__main__":
    main()
