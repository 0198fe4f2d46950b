"""One file at several levels, side by side, with the bytes of each: the picture of the README.

    python benchmarks/strip.py [OUT.jpg]

The same part of tests/pictures/parrots.png is cut out of what each level decodes to; bytes are of the whole
picture's file, cut behind that level.
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

import sic_cli

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "tests" / "pictures" / "parrots.png"
OUT = ROOT / "docs" / "images" / "levels.jpg"
LEVELS = (1, 3, 6, 10)
PART = (430, 60, 670, 300)
"""Left, upper, right and lower edge of what is shown, in pixels."""
GAP, FOOT = 6, 46


def main() -> None:
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else OUT
    data = sic_cli.encode(PICTURE).data
    sizes = {level.level: level.total_bytes for level in sic_cli.info(data).levels}
    with Image.open(PICTURE) as source:
        area = source.width * source.height
        shown = [(sic_cli.decode(data, level=k), _words(k, sizes[k], area)) for k in LEVELS]
        shown.append((source.convert("RGB"), ("source", f"{3 * area:,} bytes of pixels")))
        side = PART[2] - PART[0]
        strip = Image.new("RGB", (len(shown) * (side + GAP) - GAP, side + FOOT), "white")
        draw = ImageDraw.Draw(strip)
        bold, plain = ImageFont.load_default(17), ImageFont.load_default(14)
        for place, (picture, (first, second)) in enumerate(shown):
            left = place * (side + GAP)
            strip.paste(picture.crop(PART), (left, 0))
            draw.text((left + side / 2, side + 4), first, "black", bold, anchor="ma")
            draw.text((left + side / 2, side + 25), second, "black", plain, anchor="ma")
    strip.save(out, quality=88, optimize=True, subsampling=0)


def _words(level: int, size: int, area: int) -> tuple[str, str]:
    return f"level {level}", f"{size:,} bytes, {size * 8 / area:.2f} bpp"


if __name__ == "__main__":
    main()
