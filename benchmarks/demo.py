"""The first five minutes: encode a photograph, look at four levels of the one file, on one page.

python benchmarks/demo.py OUT [PICTURE]
"""

from __future__ import annotations

import html
import sys
from pathlib import Path

from sic_cli.codec.bitstream.reader import parse
from sic_cli.codec.decode import decode
from sic_cli.codec.encode import encode
from sic_cli.codec.weights.locate import find
from sic_cli.metrics.psnr import psnr
from sic_cli.picture.load import load
from sic_cli.picture.save import save

LEVELS = (2, 6, 11, 16)
PICTURE = Path(__file__).resolve().parent.parent / "tests" / "pictures" / "parrots.png"
PAGE = """<!doctype html><meta charset="utf-8"><title>sic: one file, four levels</title>
<style>body{{font:16px system-ui;margin:2rem auto;max-width:1600px;background:#111;color:#eee}}
figure{{margin:0 0 2rem}}img{{max-width:100%;display:block}}figcaption{{padding:.4rem 0;color:#bbb}}
main{{display:grid;grid-template-columns:repeat(auto-fit,minmax(500px,1fr));gap:1.5rem}}</style>
<h1>One file, four of its 16 levels</h1><p>{name}: {width}x{height}, cut from one file of {size} bytes.
What a level does not send is filled in by the decoder.</p><main>{figures}</main>
"""


def main() -> None:
    out = Path(sys.argv[1] if len(sys.argv) > 1 else "demo")
    source = Path(sys.argv[2]) if len(sys.argv) > 2 else PICTURE
    out.mkdir(parents=True, exist_ok=True)
    picture = load(source.read_bytes(), source.name, 65535, 178_000_000)
    height, width = picture.pixels.shape[:2]
    data = encode(picture.pixels, find(), grey=picture.grey)
    (out / "picture.sic").write_bytes(data)
    parsed = parse(data)
    (out / "original.png").write_bytes(save(picture.pixels, "PNG", None))
    figures = []
    print(f"{source.name}: {width}x{height}\n{'level':>5} {'bytes':>8} {'bpp':>7} {'PSNR':>6}")
    for level in LEVELS:
        pixels = decode(parse(data[: parsed.ends[level]])).pixels
        (out / f"level{level:02}.png").write_bytes(save(pixels, "PNG", None))
        size = parsed.ends[level]
        reference = picture.pixels[:, :, 0] if picture.grey else picture.pixels
        text = f"{level:>5} {size:>8} {size * 8 / (width * height):>7.3f} {psnr(reference, pixels):>6.2f}"
        print(text)
        figures.append(
            (
                f"level{level:02}.png",
                f"level {level}: {size} bytes, {text.split()[2]} bpp, {text.split()[3]} dB",
            )
        )
    figures.append(("original.png", f"original: {width * height * 3} bytes of pixels"))
    blocks = "".join(
        f'<figure><img src="{f}" alt=""><figcaption>{html.escape(t)}</figcaption></figure>'
        for f, t in figures
    )
    page = PAGE.format(
        name=html.escape(source.name), width=width, height=height, size=len(data), figures=blocks
    )
    (out / "index.html").write_text(page, encoding="utf-8")
    print(f"pictures and page: {out / 'index.html'}")


if __name__ == "__main__":
    main()
