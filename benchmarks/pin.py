"""Pin weights that ship: write the digests of NAME's card and weights into sic_cli/codec/weights/pinned.py.

    python benchmarks/pin.py sic-5

Weights that are no longer in `weights/` lose their pin.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from sic_cli.codec.weights import pinned
from sic_cli.codec.weights.card import CARD, read_card

ROOT = Path(__file__).parent.parent


def main() -> None:
    path = Path(pinned.__file__)
    names = sys.argv[1:] or [p.parent.name for p in (ROOT / "weights").glob(f"*/{CARD}")]
    rows = "\n".join(pinned.line_of(read_card(ROOT / "weights" / name)) for name in sorted(names))
    text = path.read_text(encoding="utf-8")
    new = re.sub(
        r"PINNED = \{\n.*?\n\}\n", "PINNED = {\n" + rows.rstrip() + "\n}\n", text, flags=re.S
    )
    path.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main()
