"""What was encoded is what is decoded: symbols, size and kind, at every level."""

from __future__ import annotations

import numpy as np

from sic_cli.codec.bitstream.reader import parse
from sic_cli.codec.bitstream.truncate import truncate
from sic_cli.codec.decode import decode, decode_indices
from sic_cli.codec.encode import encode
from sic_cli.codec.engine import engine
from sic_cli.codec.weights.locate import find
from sic_cli.metrics.psnr import psnr
from tests.tiny import made_picture
from tests.trust.campaign import Run, trial

SIDES = (1, 2, 7, 15, 16, 17, 31, 63, 64, 65, 129, 255, 256, 257)


def pictures(run: Run, index: int) -> tuple[str, np.ndarray]:
    """Odd sizes, soft and hard contents."""
    rng = run.rng
    big = 257 if run.scale != "PR" else 129
    height, width = (int(rng.choice([s for s in SIDES if s <= big])) for _ in range(2))
    way = index % 6
    if way == 0:
        return f"flat {width}x{height}", np.full(
            (height, width, 3), int(rng.integers(256)), np.uint8
        )
    if way == 1:
        noise = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        return f"noise {width}x{height}", noise
    if way == 2:
        bits = rng.integers(0, 2, (height, width, 1), dtype=np.uint8) * 255
        return f"black and white {width}x{height}", np.repeat(bits, 3, axis=2)
    return f"made {width}x{height}", made_picture(height, width, int(rng.integers(10**6)))


@trial("T1", "what is encoded decodes to exactly its symbols, at every level", 1, 2)
def round_trips(run: Run) -> None:
    for name, count in (
        ("tiny", run.times(25, 400, 3000)),
        ("sic-5", run.times(2, 40, 300)),
    ):
        card = find(name)
        machine = engine(card)
        for index in range(count):
            what, pixels = pictures(run, index)
            with run.case(f"{name}, {what}"):
                data = encode(pixels, card)
                assert encode(pixels, card) == data, "two encodings differ"
                parsed = parse(data)
                indices = machine.quantise(machine.analyse(pixels))
                got, level, fault = decode_indices(machine, parsed, parsed.level)
                assert fault is None and level == card.config.levels
                assert np.array_equal(got, indices), "other symbols than were encoded"
                level = int(run.rng.integers(0, card.config.levels + 1))
                assert truncate(data, level) == encode(pixels, card, level=level)
                made = decode(parse(data[: parsed.ends[level]]))
                assert made.level == level and made.pixels.shape == pixels.shape
                if what.startswith("made") and min(pixels.shape[:2]) > 64 and name == "tiny":
                    low, high = (psnr(pixels, decode(parsed, level=k).pixels) for k in (1, 5))
                    assert high > low - 0.05
