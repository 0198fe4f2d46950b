"""Symbols by class and in blocks, against the words of FORMAT.md, section 6.3."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from sic_cli.codec.encode import encode
from sic_cli.codec.entropy.tables import FrequencyTable, binary, whole_weights
from sic_cli.codec.symbols import class_runs
from sic_cli.codec.symbols.class_runs import ABSENT, Symbols, by_class, singles
from sic_cli.codec.symbols.coding_tables import BlockTables
from sic_cli.codec.symbols.zero_blocks import leaving
from sic_cli.codec.weights.card import ModelCard
from tests.tiny import made_picture


class Script:
    """A coder that notes symbols by table when they are known, and else tells what was noted."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, list[int]]] = []

    def code(self, table: FrequencyTable, count: int, known: Symbols | None) -> Symbols:
        if known is None:
            told: list[int] = []
            while len(told) < count:
                noted, symbols = self.calls.pop(0)
                assert noted == id(table)
                told += symbols
            assert len(told) == count
            return np.array(told, np.int32)
        assert known.dtype == np.int32 and len(known) == count
        self.calls.append((id(table), known.tolist()))
        return known

    def flat(self) -> list[tuple[int, int]]:
        """All symbols, each with its table."""
        return [(table, symbol) for table, symbols in self.calls for symbol in symbols]


def tables(sizes: list[int]) -> list[BlockTables]:
    flagged = [
        BlockTables(n, binary(9), binary(10), FrequencyTable(whole_weights(np.ones(n))))
        if n > 1
        else BlockTables(1, binary(11))
        for n in sizes
    ]
    assert len({id(t.single) for t in flagged}) == len(sizes)
    return flagged


def in_words(
    own: list[BlockTables], classes: NDArray[np.uint8], symbols: NDArray[np.uint8]
) -> list[tuple[int, int]]:
    """Section 6.3, point 1, symbol by symbol."""
    said = []
    for index, table in enumerate(own):
        mine = symbols[classes == index].tolist()
        size = table.size
        whole = len(mine) // size if size > 1 else 0
        lines = [mine[i * size : (i + 1) * size] for i in range(whole)]
        said += [(id(table.flag), int(any(line))) for line in lines]
        busy = [line for line in lines if any(line)]
        said += [(id(table.first), line.index(1)) for line in busy]
        said += [(id(table.single), s) for line in busy for s in line[line.index(1) + 1 :]]
        said += [(id(table.single), s) for s in mine[whole * size :]]
    return said


@pytest.mark.parametrize("piece", [1 << 20, 7])
@pytest.mark.parametrize("share", [0.0, 0.03, 0.5, 1.0])
@pytest.mark.parametrize("sizes", [[1, 8, 32, 16, 1, 64], [1, 1], [8]])
@pytest.mark.parametrize("count", [0, 1, 8, 700])
def test_blocks_are_coded_as_the_format_says(
    count: int, sizes: list[int], share: float, piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(class_runs, "PIECE", piece)
    rng, own, script = np.random.default_rng(count), tables(sizes), Script()
    classes = rng.choice([*range(len(sizes)), ABSENT], count).astype(np.uint8)
    symbols = ((rng.random(count) < share) & (classes != ABSENT)).astype(np.uint8)
    places = leaving(script, own, classes, symbols)
    assert places.tolist() == np.flatnonzero(symbols).tolist()
    assert script.flat() == in_words(own, classes, symbols)
    assert leaving(script, own, classes, None).tolist() == places.tolist()
    assert not script.calls


@pytest.mark.parametrize("piece", [1 << 20, 7])
@pytest.mark.parametrize("count", [0, 1, 100])
def test_single_symbols_are_coded_class_by_class(
    count: int, piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(class_runs, "PIECE", piece)
    rng, script = np.random.default_rng(count), Script()
    own = [binary(n) for n in (5, 6, 7, 8)]
    classes, symbols = (rng.integers(0, n, count).astype(np.uint8) for n in (4, 2))
    assert singles(script, own, classes, symbols).tolist() == symbols.tolist()
    assert script.flat() == [(id(own[k]), int(s)) for k in range(4) for s in symbols[classes == k]]
    assert singles(script, own, classes, None).tolist() == symbols.tolist()
    assert not script.calls


@pytest.mark.parametrize("count", [0, 1, 50])
def test_the_order_by_class_does_not_depend_on_pieces(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    classes = np.random.default_rng(count).choice([0, 3, 200, ABSENT], count).astype(np.uint8)
    order, starts = by_class(classes)
    assert order.tolist() == np.argsort(classes, kind="stable").tolist()
    assert starts.tolist() == [int((classes < k).sum()) for k in range(256)]
    monkeypatch.setattr(class_runs, "PIECE", 7)
    assert [v.tolist() for v in by_class(classes)] == [order.tolist(), starts.tolist()]


def test_the_file_does_not_depend_on_pieces(
    tiny: ModelCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = made_picture(70, 90, 4)
    whole = encode(pixels, tiny)
    monkeypatch.setattr(class_runs, "PIECE", 64)
    assert encode(pixels, tiny) == whole
