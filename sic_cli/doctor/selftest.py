"""Files that every sic must decode to the same symbols, and a picture that must go round.

The files lie in `golden/`: made once with each release, with the digests of their symbols in
`manifest.json`, so that a slip of this machine shows even where a file agrees with itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ..codec.bitstream.reader import Parsed, parse
from ..codec.weights.card import ModelCard
from ..errors import SicError
from .environment import Finding

GOLDEN = Path(__file__).resolve().parent / "golden"
PICTURE = "picture.png"
MEAN_TOLERANCE = 0.05
"""How far the mean of a golden picture's pixels may be from what it was."""
PSNR_TOLERANCE = 1.5
"""Decibels that decoding may give less than the encoder expected."""
REPORT = "please report this with the output of sic doctor --json --self-test"

Outcome = tuple[str | None, str]
"""What is wrong, if anything; what to say if nothing is."""


@dataclass(frozen=True, slots=True)
class Golden:
    """digests: of the symbols of every level; mean: of all samples of the decoded pixels."""

    name: str
    data: bytes
    digests: tuple[int, ...]
    shape: tuple[int, ...]
    mean: float


def golden() -> list[Golden]:
    """Every bundled file."""
    rows: dict[str, Any] = json.loads((GOLDEN / "manifest.json").read_text(encoding="utf-8"))
    return [
        Golden(
            name,
            (GOLDEN / name).read_bytes(),
            tuple(row["digests"]),
            tuple(row["shape"]),
            row["mean"],
        )
        for name, row in rows.items()
    ]


def run(cards: list[ModelCard], devices: list[str]) -> Iterator[Finding]:
    """Golden files of these releases, and a round trip with each, on every device."""
    files = golden()
    for device in devices:
        for card in cards:
            mine = [g for g in files if parse(g.data).header.model == card.id]
            for one in mine:
                yield _tried(f"golden {one.name} on {device}", partial(_decode, one, device))
            if not mine:
                text = f"no golden files for {card.name} in this sic"
                yield Finding(f"golden {card.name} on {device}", "skipped", text)
            yield _tried(f"round trip {card.name} on {device}", partial(_round_trip, card, device))


def _tried(name: str, work: Callable[[], Outcome]) -> Finding:
    try:
        wrong, text = work()
    except (SicError, RuntimeError, OSError) as error:
        return Finding(name, "failed", str(error), REPORT)
    return Finding(name, "failed" if wrong else "ok", wrong or text, REPORT if wrong else None)


def _symbols(parsed: Parsed, device: str) -> str | None:
    """What is wrong with a file's symbols, if anything."""
    from ..codec.decode import decode_indices, file_engine

    return decode_indices(file_engine(parsed, device), parsed, parsed.level)[2]


def _decode(one: Golden, device: str) -> Outcome:
    """Decode a golden file, and compare symbols and pixels with the manifest."""
    from ..codec.decode import decode

    parsed = parse(one.data)
    wrong = parsed.fault or _symbols(parsed, device)
    if tuple(layer.digest for layer in parsed.layers) != one.digests:
        wrong = wrong or "the file is not the one that the manifest describes"
    if wrong:
        return wrong, ""
    pixels = decode(parsed, device=device).pixels
    if pixels.shape != one.shape:
        return f"shape {pixels.shape}, expected is {one.shape}", ""
    mean = float(pixels.mean())
    if abs(mean - one.mean) > MEAN_TOLERANCE:
        return f"mean of the pixels is {mean:.2f}, expected is {one.mean:.2f}", ""
    return None, f"symbols of levels 0 to {parsed.level} and pixels as they should be"


def _round_trip(card: ModelCard, device: str) -> Outcome:
    """Encode the bundled picture, cut the file, and decode both."""
    from ..codec.bitstream.truncate import truncate
    from ..codec.decode import decode
    from ..codec.encode import encode
    from ..metrics.psnr import psnr
    from ..picture.load import load

    pixels = load((GOLDEN / PICTURE).read_bytes(), PICTURE, 1 << 12, 1 << 20).pixels
    data = encode(pixels, card, device=device)
    parsed = parse(data)
    wrong = parsed.fault or _symbols(parsed, device)
    if wrong:
        return wrong, ""
    last = parsed.layers[-1]
    got = psnr(pixels, decode(parsed, device=device).pixels)
    if last.psnr and got < last.psnr / 4 - PSNR_TOLERANCE:
        return f"PSNR is {got:.2f} dB, the encoder expected {last.psnr / 4:.2f}", ""
    cut = truncate(data, 1, parsed)
    low = decode(parse(cut), device=device)
    if low.level != 1 or low.fault:
        return f"cut to level 1: {low.fault or 'another level'}", ""
    return None, f"{len(data)} bytes, {got:.2f} dB; cut to level 1: {len(cut)} bytes"
