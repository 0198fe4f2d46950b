"""The model card's tables say what `sic eval` measured, and are replaced whole."""

from __future__ import annotations

import sys
from dataclasses import replace

from sic_cli.codec.weights.card import ModelCard
from sic_cli.evaluation.rows import Row
from tests.conftest import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))
import card


def row(picture: str, codec: str, setting: str, size: int, value: float, title: str = "") -> Row:
    return Row(
        *(f"{picture}.png", picture, 100, 80, codec, title or codec.upper(), setting),
        *(None, None, "1", codec == "sic", size, 0.1, 0.2, 1, {"psnr": value}),
    )


ROWS = [
    row(picture, codec, setting, size, value + lift, title)
    for picture in ("a", "b")
    for codec, lift, title in (
        ("sic", 2.0, "sic (w, realism 0)"),
        ("sic", 1.0, "sic (w, realism 1)"),
        ("jpeg", 0.0, "JPEG"),
    )
    for setting, size, value in (("1", 100, 20.0), ("2", 400, 26.0), ("3", 1600, 32.0))
]


def test_both_ways_both_decoders_and_every_peer_are_there() -> None:
    text = card.tables(ROWS, {"JPEG": "progressive"}, "abc1234")
    assert "2 pictures" in text and "commit abc1234" in text and "- JPEG: progressive" in text
    rates = [line for line in text.splitlines() if line.startswith("| ")]
    names = [line.split(" | ")[0] for line in rates]
    assert names[1:4] == ["| sic (w, realism 0)", "| sic (w, realism 1)", "| JPEG"]
    assert "| sic (w, realism 0) against JPEG | -37.0 % (-37.0) |" in rates
    first = rates[1].split(" | ")[2]
    assert first == "26.75 / 26.75", "equal pictures: both ways give the same"


def test_rows_of_other_weights_are_left_out_and_titles_state_realism(tiny: ModelCard) -> None:
    here = replace(ROWS[0], model_id=tiny.id.hex(), realism=1.0, title="sic (tiny)")
    other = replace(ROWS[0], model_id="00" * 8, realism=1.0)
    assert [r.title for r in card.own([here, other, ROWS[-1]], tiny)] == [
        "sic (tiny, realism 1)",
        "JPEG",
    ]


def test_a_level_that_is_no_better_is_counted() -> None:
    worse = [*ROWS, row("a", "sic", "4", 3200, 30.0, "sic (w, realism 1)")]
    worse.append(row("b", "sic", "4", 3200, 40.0, "sic (w, realism 1)"))
    counts = [line for line in card.falls(worse) if "realism 1" in line]
    assert counts == [
        "Pictures that do not get better with every level, sic (w, realism 1): PSNR (dB) 1."
    ]


def test_tables_are_replaced_and_the_rest_of_the_card_stays() -> None:
    old = "# w\n\nWords.\n\n<!-- table -->\nlevels\n"
    first = card.put(old, "one\n")
    assert first.startswith("# w\n\nWords.\n") and first.endswith("<!-- table -->\nlevels\n")
    second = card.put(first, "two\n")
    assert "two" in second and "one" not in second
    assert card.put(second, "one\n") == first
    assert card.put("# w\n", "one\n").count("<!-- report -->") == 1
