"""Write golden files for weights: `python -m tests.golden.make NAME`.

Those of NAME are made anew. From the first release on, files of released weights are only ever added: they
must decode for ever. A few of the files of shipped weights also go into the wheel, for `sic doctor
--self-test`.
"""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sic_cli.codec.bitstream.fields import CHUNK_ICC, Chunk, Layer
from sic_cli.codec.bitstream.reader import parse
from sic_cli.codec.bitstream.writer import write
from sic_cli.codec.decode import decode
from sic_cli.codec.encode import encode
from sic_cli.codec.weights.locate import find
from sic_cli.doctor.selftest import GOLDEN, PICTURE
from tests.tiny import made_picture

HERE = Path(__file__).parent
BUNDLED = ("photo", "grey", "level3-icc")


def good(name: str) -> dict[str, bytes]:
    card = find(name)
    photo = np.asarray(Image.open(HERE.parent / "pictures" / "parrots.png").convert("RGB"))
    grey = np.repeat(photo[100:180, 200:297, 1:2], 3, axis=2)
    return {
        f"{name}-photo.sic": encode(np.ascontiguousarray(photo[150:310, 250:460]), card),
        f"{name}-grey.sic": encode(grey, card, grey=True),
        f"{name}-one-pixel.sic": encode(photo[:1, :1], card),
        f"{name}-level3-icc.sic": encode(
            photo[:33, :65], card, level=3, chunks=(Chunk(CHUNK_ICC, b"a profile"),)
        ),
        f"{name}-noise.sic": encode(
            np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8), card
        ),
        f"{name}-made.sic": encode(made_picture(64, 120, 4), card),
        f"{name}-preview.sic": encode(made_picture(64, 120, 4), card, level=0),
    }


def bad(whole: bytes) -> dict[str, tuple[bytes, int]]:
    """Name -> (file, exit code of `sic decode`)."""
    parsed = parse(whole)
    ends, first = parsed.ends, parsed.header_end
    flip, other = bytearray(whole), bytearray(whole)
    flip[ends[2] + 12] ^= 4
    other[first + 12] ^= 4
    swapped = whole[:first] + whole[ends[0] : ends[1]] + whole[first : ends[0]] + whole[ends[1] :]

    def wrong(level: int) -> list[Layer]:
        return [
            replace(layer, digest=layer.digest ^ 1) if layer.level == level else layer
            for layer in parsed.layers
        ]

    header = parsed.header
    return {
        "empty.sic": (b"", 5),
        "signature-only.sic": (whole[:8], 5),
        "text-mode.sic": (whole.replace(b"\r\n", b"\n"), 5),
        "not-sic.sic": (b"\x89PNG\r\n\x1a\n" + whole[8:], 5),
        "future-version.sic": (whole[:8] + b"\x09" + whole[9:], 5),
        "unknown-flag.sic": (whole[:9] + b"\x80" + whole[10:], 5),
        "damaged-header.sic": (whole[:11] + bytes((whole[11] ^ 1,)) + whole[12:], 5),
        "header-only.sic": (whole[:first], 5),
        "cut-in-layer-0.sic": (whole[: ends[0] - 1], 5),
        "cut-in-layer-1.sic": (whole[: ends[1] - 1], 3),
        "cut-in-layer-3.sic": (whole[: ends[3] - 1], 3),
        "flipped-in-layer-0.sic": (bytes(other), 5),
        "flipped-in-layer-3.sic": (bytes(flip), 3),
        "swapped-layers.sic": (swapped, 5),
        "wrong-digest-0.sic": (write(header, [], wrong(0)), 11),
        "wrong-digest-1.sic": (write(header, [], wrong(1)), 3),
        "wrong-digest-3.sic": (write(header, [], wrong(3)), 3),
        "unknown-model.sic": (write(replace(header, model=bytes(8)), [], parsed.layers), 6),
        "critical-chunk.sic": (write(header, [Chunk(b"Evil", b"")], parsed.layers), 5),
        "huge.sic": (write(replace(header, width=65535, height=65535), [], parsed.layers), 7),
        "long-varint.sic": (whole[:10] + b"\xff" * 6 + whole[10:], 5),
        "trailing.sic": (whole + b"rubbish", 0),
    }


def main() -> None:
    name = sys.argv[1]
    path = HERE / "manifest.json"
    manifest = json.loads(path.read_text())
    for file in [f for f in manifest["good"] if f.startswith(f"{name}-")]:
        del manifest["good"][file]
        (HERE / "good" / file).unlink(missing_ok=True)
    for file, data in good(name).items():
        (HERE / "good" / file).write_bytes(data)
        parsed = parse(data)
        made = decode(parsed)
        manifest["good"][file] = {
            "level": made.level,
            "shape": list(made.pixels.shape),
            "mean": round(float(made.pixels.mean()), 2),
            "digests": [layer.digest for layer in parsed.layers],
        }
    if name == "tiny":
        manifest["bad"] = {}
        for old in (HERE / "bad").glob("*.sic"):
            old.unlink()
        for file, (data, code) in bad(encode(made_picture(70, 93, 5), find(name))).items():
            (HERE / "bad" / file).write_bytes(data)
            manifest["bad"][file] = code
    path.write_text(json.dumps(manifest, indent=1) + "\n")
    if name != "tiny":
        bundle(name, manifest)


def bundle(name: str, manifest: dict[str, Any]) -> None:
    """Copy what `sic doctor` tries into the package."""
    path = GOLDEN / "manifest.json"
    rows: dict[str, Any] = {}
    for old in GOLDEN.glob("*.sic"):
        old.unlink()
    for kind in BUNDLED:
        file = f"{name}-{kind}.sic"
        shutil.copyfile(HERE / "good" / file, GOLDEN / file)
        rows[file] = manifest["good"][file]
    path.write_text(json.dumps(rows) + "\n")
    with Image.open(HERE.parent / "pictures" / "parrots.png") as photo:
        photo.convert("RGB").crop((250, 150, 346, 214)).save(GOLDEN / PICTURE, optimize=True)


if __name__ == "__main__":
    main()
