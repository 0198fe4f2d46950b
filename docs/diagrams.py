"""The two diagrams of the documents, as SVG: the signal graph, and nested dead-zone intervals.

python docs/diagrams.py [--dark FOLDER]

They are written into docs/images and follow the reader's light or dark scheme. `--dark` writes the dark ones
alone into FOLDER, for programs that know one scheme only.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

IMAGES = Path(__file__).parent / "images"
Rules = dict[str, str]

LIGHT: Rules = {
    ".panel": "fill:#ffffff",
    "text": "fill:#1f2328",
    ".small": "fill:#57606a",
    ".line": "stroke:#57606a",
    ".head": "fill:#57606a",
    ".float": "fill:#ddf4ff;stroke:#0969da",
    ".whole": "fill:#dafbe1;stroke:#1a7f37",
    ".data": "fill:#f6f8fa;stroke:#57606a",
    ".first": "fill:#fff1c2;stroke:#9a6700",
    ".significance": "fill:#ffd8b5;stroke:#bc4c00",
    ".refinement": "fill:#c8e1ff;stroke:#0969da",
    ".zero": "fill:#eaeef2;stroke:#57606a",
    ".value": "stroke:#cf222e",
    ".dot": "fill:#cf222e",
}
DARK: Rules = {
    ".panel": "fill:#0d1117",
    "text": "fill:#e6edf3",
    ".small": "fill:#9da7b3",
    ".line": "stroke:#8b949e",
    ".head": "fill:#8b949e",
    ".float": "fill:#0c2d4d;stroke:#4493f8",
    ".whole": "fill:#0f3320;stroke:#3fb950",
    ".data": "fill:#21262d;stroke:#8b949e",
    ".first": "fill:#3d2e00;stroke:#d29922",
    ".significance": "fill:#5a2a0a;stroke:#db6d28",
    ".refinement": "fill:#0c2d5d;stroke:#4493f8",
    ".zero": "fill:#2d333b;stroke:#8b949e",
    ".value": "stroke:#f85149",
    ".dot": "fill:#f85149",
}
SHAPES = (
    "text{font:15px system-ui,'DejaVu Sans',sans-serif;text-anchor:middle}.small{font-size:12px}"
    ".left{text-anchor:start}.bold{font-weight:600}"
    ".line,.value{fill:none;stroke-width:1.5}.dashed{stroke-dasharray:5 4}"
    "rect{stroke-width:1.3}.panel{stroke:none}"
)


def css(rules: Rules) -> str:
    """Rules as one line of a style sheet."""
    return "".join(f"{name}{{{value}}}" for name, value in rules.items())


def document(width: int, height: int, title: str, parts: Iterable[str], dark: bool) -> str:
    """A whole SVG file. dark: the dark scheme alone, else whichever the reader has."""
    style = SHAPES + css(LIGHT)
    style += css(DARK) if dark else f"@media(prefers-color-scheme:dark){{{css(DARK)}}}"
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" role="img" aria-label="{title}">'
    )
    arrow = (
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" '
        'markerHeight="8" orient="auto"><path class="head" d="M0,0 8,4 0,8z"/></marker></defs>'
    )
    panel = f'<rect class="panel" width="{width}" height="{height}" rx="8"/>'
    return "\n".join(
        [head, f"<title>{title}</title><style>{style}</style>", arrow, panel, *parts, "</svg>\n"]
    )


def text(x: float, y: float, words: str, kind: str = "") -> str:
    """Words around (x, y); `_` begins an index, as in `y_k`."""
    base, _, index = words.partition("_")
    inner = base + (f'<tspan dy="4" font-size="70%">{index}</tspan>' if index else "")
    return f'<text class="{kind}" x="{x:g}" y="{y:g}">{inner}</text>'


def box(x: int, y: int, width: int, kind: str, words: str, *below: str, height: int = 58) -> str:
    """A rectangle with words, and smaller ones below them."""
    parts = [
        f'<rect class="{kind}" x="{x}" y="{y}" width="{width}" height="{height}" rx="5"/>',
        text(x + width / 2, y + (38 if not below else 22), words, "bold"),
    ]
    parts += [text(x + width / 2, y + 38 + 14 * i, line, "small") for i, line in enumerate(below)]
    return "\n".join(parts)


def arrow(path: str, kind: str = "", ends: bool = True) -> str:
    """A line along a path of SVG, with a head at its end."""
    end = ' marker-end="url(#head)"' if ends else ""
    return f'<path class="line {kind}" d="{path}"{end}/>'


def signal_graph(dark: bool = False) -> str:
    """x -> g_a -> y -> Q -> layers -> y_k -> g_s -> x_k, with the context loop, search and noise."""
    top, middle, low = 48, 208, 368
    across = [20, 152, 302, 452, 612]
    sizes = [92, 110, 110, 120, 140]
    upper = [
        box(20, top, 92, "data", "x", "picture", "H x W x 3", height=64),
        box(152, top, 110, "float", "g_a", "analysis", "two strides", height=64),
        box(302, top, 110, "data", "y", "256 channels", "H/16 x W/16", height=64),
        box(452, top, 120, "whole", "Q", "dead zone,", "step sizes", height=64),
        box(612, top, 140, "whole", "symbol coder", "coding passes,", "range coder", height=64),
    ]
    lower = [
        box(20, low, 92, "data", "x_k", "picture", "at level k", height=64),
        box(152, low, 110, "float", "g_s", "MSE decoder or", "perceptual", height=64),
        box(302, low, 110, "data", "y_k", "dequantised", height=64),
        box(452, low, 120, "float", "dequantise", "(|q| + offset)", "x step size", height=64),
        box(612, low, 140, "whole", "symbol coder", "the same function,", "reading", height=64),
    ]
    between = [
        box(302, middle, 110, "float", "search", "--effort:", "target indices", height=64),
        box(452, middle, 120, "data", "q so far", "layers before,", "passes before", height=64),
        box(
            606,
            middle,
            152,
            "whole",
            "context network",
            "class of every",
            "symbol's table",
            height=64,
        ),
        box(152, low + 112, 110, "data", "noise", "(seed, map,", "position)", height=64),
    ]
    lines = []
    for row, forward in ((top, True), (low, False)):
        for i in range(4):
            a, b = across[i] + sizes[i] + 3, across[i + 1] - 3
            start, end = (a, b) if forward else (b, a)
            lines.append(arrow(f"M{start},{row + 32} H{end}"))
    lines += [
        arrow("M682,205 V115"),
        arrow("M682,275 V365"),
        text(690, 165, "context classes", "small left"),
        text(690, 325, "context classes", "small left"),
        arrow("M575,240 H603"),
        arrow("M609,98 C560,130 512,150 512,205"),
        arrow("M609,382 C560,350 512,330 512,275"),
        arrow("M207,365 C207,300 240,240 299,240", "dashed"),
        arrow("M357,205 C357,150 420,120 449,98", "dashed"),
        text(190, 300, "gradients", "small"),
        arrow("M207,477 V435"),
        text(66, 38, "encoder", "small"),
        text(66, 358, "decoder", "small"),
        text(905, 48, "file", "small"),
    ]
    rows = [
        ("data", "header", 26),
        ("first", "layer 0", 46),
        ("whole", "layer 1", 34),
        ("whole", "layer 2", 34),
        ("whole", "...", 26),
        ("whole", "layer k", 34),
        ("data dashed", "...", 26),
        ("data dashed", "layer 16", 34),
    ]
    place = 86
    stack = []
    for kind, words, height in rows:
        stack.append(
            f'<rect class="{kind}" x="850" y="{place}" width="110" height="{height}" rx="3"/>'
        )
        stack.append(text(905, place + (18 if words == "layer 0" else height / 2 + 5), words))
        if words == "layer 0":
            stack.append(text(905, place + 36, "mean colours", "small"))
            lines.append(arrow(f"M963,{place + 23} H986 V477"))
        place += height
        if words == "layer k":
            end = place
    lines += [
        arrow("M755,68 H905 V83"),
        arrow(f"M844,88 H838 V{end - 2} H844", ends=False),
        arrow(f"M838,{end - 14} H816 V400 H755"),
        '<text class="small" transform="translate(832 190) rotate(-90)">a prefix: level k</text>',
        box(870, 480, 134, "first", "preview", "3 x 3 matrix,", "H/16 x W/16", height=64),
        text(476, 506, "Blue: floating point; pixels may differ by 1 between machines.", "small"),
        text(476, 524, "Green: integers; the same on every machine.", "small"),
    ]
    title = "Signal graph of sic: analysis, quantiser, layers, synthesis"
    return document(1024, 560, title, [*upper, *lower, *between, *stack, *lines], dark)


def intervals(dark: bool = False) -> str:
    """Three bit planes of one channel: which interval splits how, and what is coded for one value."""
    left, unit, rows, height = 60, 150.0, (96, 196, 296), 44
    centre = left + 2 * unit
    value, offset = 0.82, 0.45
    parts = [
        text(
            centre, 30, "intervals of one latent y, in units of the step size at depth d", "small"
        ),
        text(850, 62, "coded for the marked y", "small"),
    ]
    for number in range(-2, 3):
        parts.append(text(centre + number * unit, 62, f"{number}", "small"))
        parts.append(arrow(f"M{centre + number * unit:g},68 V80", ends=False))
    for plane, y in enumerate(rows):
        step = 2.0**-plane
        label = "depth d" + (f" + {plane}" if plane else "")
        parts.append(text(left + 4 * unit + 14, y + 20, label, "left"))
        parts.append(text(left + 4 * unit + 14, y + 38, f"step {step:g}", "small left"))
        for index in range(-(2 ** (plane + 1)) + 1, 2 ** (plane + 1)):
            low = (index if index > 0 else index - 1) * step
            width = step * (2 if index == 0 else 1)
            parent = abs(index) >> 1
            kind = "zero" if index == 0 else "refinement" if parent else "significance"
            if plane == 0 and index:
                kind = "significance"
            x = centre + low * unit
            parts.append(
                f'<rect class="{kind}" x="{x:g}" y="{y}" width="{width * unit:g}" height="{height}"/>'
            )
            size = "small" if plane == 2 else ""
            parts.append(
                text(x + width * unit / 2, y + 20, f"{index}".replace("-", "\N{MINUS SIGN}"), size)
            )
            point = 0.0 if index == 0 else (1 if index > 0 else -1) * (abs(index) + offset) * step
            parts.append(
                f'<circle class="head" cx="{centre + point * unit:g}" cy="{y + 34}" r="3"/>'
            )
    mark = centre + value * unit
    parts += [
        f'<path class="value dashed" d="M{mark:g},68 V352"/>',
        text(mark, 368, f"y = {value:g}", "small"),
    ]
    for y, first, second in (
        (rows[0], "significance 0", ""),
        (rows[1], "significance 1", "sign +"),
        (rows[2], "refinement 1", "outer half"),
    ):
        parts.append(text(850, y + (20 if second else 27), first))
        if second:
            parts.append(text(850, y + 38, second))
    for x, kind, words in (
        (60, "zero", "dead zone, two steps wide"),
        (260, "significance", "left the dead zone: sign follows"),
        (500, "refinement", "half of an interval of the plane before"),
    ):
        parts.append(f'<rect class="{kind}" x="{x}" y="392" width="18" height="14"/>')
        parts.append(text(x + 26, 404, words, "small left"))
    parts.append('<circle class="head" cx="772" cy="399" r="3"/>')
    parts.append(text(782, 404, "reconstruction", "small left"))
    title = "Nested dead-zone intervals over three bit planes"
    return document(940, 424, title, parts, dark)


DIAGRAMS = {"signal-graph.svg": signal_graph, "dead-zone.svg": intervals}
"""File -> what draws it."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw the diagrams of the documents.")
    parser.add_argument("--dark", type=Path, metavar="FOLDER")
    folder = parser.parse_args().dark
    (folder or IMAGES).mkdir(parents=True, exist_ok=True)
    for name, draw in DIAGRAMS.items():
        (folder or IMAGES).joinpath(name).write_text(draw(folder is not None), encoding="utf-8")


if __name__ == "__main__":
    main()
