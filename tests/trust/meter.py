"""What decoding one file costs: `python -m tests.trust.meter FOLDER` prints a JSON line per file.

Everything is imported and warmed up first, so that the figures are those of the file alone. Linux
only: the peak is read from /proc, where it can be set back.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from sic_cli.codec.inference.parallel import set_threads
from sic_cli.errors import SicError
from sic_cli.pipeline.convert import decode_file
from sic_cli.pipeline.options import DecodeOptions
from tests.trust.goldens_at_hand import good


def resident_kib(name: str) -> int:
    """VmRSS (now) or VmHWM (peak since it was set back)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    raise OSError(f"no {name} in /proc/self/status")


def reset_peak() -> None:
    """Make VmHWM start again from now."""
    Path("/proc/self/clear_refs").write_text("5")


def measure(data: bytes) -> dict[str, object]:
    """How it ended, CPU seconds, and how far the process grew above where it stood."""
    reset_peak()
    before, start = resident_kib("VmRSS"), time.process_time()
    try:
        made = decode_file(data, "x", "PPM", DecodeOptions(device="cpu"))
        name = "decoded"
        del made
    except SicError as error:
        name = error.name
        assert len(str(error)) < 300
    taken = time.process_time() - start
    grown = (resident_kib("VmHWM") - before) / 1024
    return {"name": name, "cpu_s": round(taken, 4), "grown_mib": round(grown, 2)}


def main() -> None:
    set_threads(1)
    for _ in range(2):
        measure(good("tiny")["tiny-made.sic"])
    for path in sorted(Path(sys.argv[1]).iterdir()):
        data = path.read_bytes()
        print(json.dumps(measure(data)), flush=True)


if __name__ == "__main__":
    import tests.conftest  # noqa: F401  sets where the tiny weights are

    main()
