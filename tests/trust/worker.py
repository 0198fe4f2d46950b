"""One process of the identity matrix: `python -m tests.trust.worker SCALE` prints digests as JSON.

Its environment is the setting under test. SIC_TRUST_MKLDNN=0 and SIC_TRUST_CHANNELS_LAST=1 stand for
switches that torch takes from a program only.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import sys

import numpy as np
import torch
import torch.nn.functional as F

from sic_cli.bitstream.reader import parse
from sic_cli.codec.decode import decode
from sic_cli.entropy import coder_name
from sic_cli.model.exact import check_machine, exact
from tests.trust.goldens_at_hand import good
from tests.trust.identity import feature_table, symbols

EXACT = 2**24


def operations(count: int, channels_last: bool) -> str:
    """SHA-256 over `count` convolutions of whole numbers, each also checked against float64."""
    rng, total = np.random.default_rng(11), hashlib.sha256()
    for _ in range(count):
        inputs, outputs = (int(rng.choice([3, 8, 64, 96, 128])) for _ in range(2))
        size, side = int(rng.choice([1, 3, 5])), int(rng.integers(1, 40))
        batch = int(rng.choice([1, 1, 2, 8]))
        most = int(min(127, (EXACT - 1) // (255 * inputs * size * size)))
        x = torch.from_numpy(rng.integers(0, 256, (batch, inputs, side, side))).float()
        w = torch.from_numpy(rng.integers(-most, most + 1, (outputs, inputs, size, size))).float()
        if channels_last:
            x = x.contiguous(memory_format=torch.channels_last)
        with exact():
            got = F.conv2d(x, w, padding=size // 2)
            want = F.conv2d(x.double(), w.double(), padding=size // 2)
        if not torch.equal(got.double(), want):
            raise SystemExit(
                f"inexact: {inputs}->{outputs}, {size}x{size}, side {side}, batch {batch}"
            )
        total.update(got.contiguous().numpy().tobytes())
    return total.hexdigest()


def main() -> None:
    if "OMP_NUM_THREADS" in os.environ:
        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    if os.environ.get("SIC_TRUST_MKLDNN") == "0":
        torch.backends.mkldnn.enabled = False
    scale = sys.argv[1]
    prefix = "tiny" if scale == "PR" else ""
    check_machine()
    count = {"PR": 12, "N": 60, "R": 1000}[scale]
    last = os.environ.get("SIC_TRUST_CHANNELS_LAST") == "1"
    facts = {
        "versions": {
            "Python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
            "coder": coder_name(),
        },
        "capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "operations": operations(count, last),
        "features": feature_table(),
        "symbols": symbols(prefix),
        "pixels": {n: decode(parse(d)).pixels.tobytes().hex() for n, d in good(prefix).items()},
    }
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
