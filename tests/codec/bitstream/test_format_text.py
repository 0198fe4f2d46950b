"""FORMAT.md says what the code does: fields, numbers, and an example that both readers read."""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np

from sic_cli.codec.bitstream import fields
from sic_cli.codec.bitstream.reader import parse
from sic_cli.codec.decode import decode
from sic_cli.codec.encode import encode
from sic_cli.codec.weights.card import ModelCard
from tests.conftest import ROOT
from tests.reference import reader as reference

TEXT = (ROOT / "sic_cli" / "codec" / "bitstream" / "FORMAT.md").read_text()


def example() -> bytes:
    block = TEXT.split("## 8. An example")[1].split("```")[1]
    return bytes.fromhex("".join(line.split("  ")[1] for line in block.strip().splitlines()))


def test_every_declared_field_stands_in_the_text() -> None:
    for field in (*fields.HEADER_FIELDS, *fields.CHUNK_FIELDS, *fields.LAYER_FIELDS):
        size = str(field.size) if field.size else "varint"
        row = rf"\| {field.name} \| {size} \|[^|]*\| {re.escape(field.meaning)} \|"
        assert re.search(row, TEXT), field
        if field.high not in (2**32 - 1, 2**64 - 1) and field.name not in ("type",):
            assert re.search(
                rf"\| {field.name} \| {size} \| {field.low}\.\.{field.high} \|", TEXT
            ), field
    assert fields.SIGNATURE.hex(" ").upper() in TEXT
    assert f"{fields.MAX_PIXELS:,}".replace(",", " ") in TEXT


def test_the_example_is_what_the_encoder_writes_and_both_readers_read(tiny: ModelCard) -> None:
    data = example()
    pixel = np.array([[[200, 120, 40]]], np.uint8)
    assert encode(pixel, tiny, level=2) == data
    parsed, other = parse(data), reference.read(data)
    assert [layer.payload for layer in parsed.layers] == [row["payload"] for row in other["layers"]]  # type: ignore[attr-defined]
    assert decode(parsed).pixels.shape == (1, 1, 3)
    rows = re.findall(r"\| (\d+)\.\.(\d+) \| (.*) \|", TEXT.split("## 8.")[1])
    bounds = [0, 8, parsed.header_end - 4, parsed.header_end, *parsed.ends]
    assert [(int(a), int(b) + 1) for a, b, _ in rows] == list(pairwise(bounds))
    for layer, (_, _, words) in zip(parsed.layers, rows[3:], strict=True):
        assert f"layer {layer.level}: " in words and f"digest `{layer.digest:08x}`" in words
        assert f"psnr {layer.psnr} " in words and f"length {len(layer.payload)}" in words
        assert layer.payload.hex() in words
    assert len(data) < 100
