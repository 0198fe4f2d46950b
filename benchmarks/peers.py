"""WebP and AVIF over Kodak, averaged as `rate.py` averages: the peers' rows of the README.

    python benchmarks/peers.py DATA

DATA holds `kodak/` and `backbones/`. Files are Pillow's: WebP method 6, AVIF 4:4:4 speed 6.
"""

from __future__ import annotations

import io
import os
import sys
import warnings
from pathlib import Path

import numpy as np
from PIL import Image
from rate import at_rates

from sic_cli.metrics.backbones import VARIABLE, alexnet
from sic_cli.metrics.lpips import Lpips
from sic_cli.metrics.psnr import psnr

PEERS = {
    "WEBP": ((0, 1, 10, 30, 50, 65, 75, 85, 90), {"method": 6}),
    "AVIF": ((15, 20, 30, 40, 50, 60, 70, 80), {"speed": 6, "subsampling": "4:4:4"}),
}


def main() -> None:
    warnings.simplefilter("ignore")
    data = Path(sys.argv[1])
    os.environ[VARIABLE] = str(data / "backbones")
    distance = Lpips(alexnet())
    pictures = [Image.open(p).convert("RGB") for p in sorted((data / "kodak").glob("*.png"))]
    for name, (qualities, options) in PEERS.items():
        rows = np.zeros((len(qualities), 3))
        for row, quality in enumerate(qualities):
            for picture in pictures:
                file = io.BytesIO()
                picture.save(file, name, quality=quality, **options)
                a, b = np.array(picture), np.array(Image.open(file).convert("RGB"))
                bpp = len(file.getvalue()) * 8 / (a.shape[0] * a.shape[1])
                rows[row] += np.array((bpp, psnr(a, b), distance(a, b))) / len(pictures)
        print(name, "bpp", rows[:, 0].round(3).tolist())
        print("  PSNR at .15 .30 .45 .70:", [round(v, 2) for v in at_rates(rows[:, 0], rows[:, 1])])
        print("  LPIPS:", [round(v, 3) for v in at_rates(rows[:, 0], rows[:, 2])], flush=True)


if __name__ == "__main__":
    main()
