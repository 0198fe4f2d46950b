"""Passes computed ahead of the layer coder: the same file, and no trace when coding fails."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import threadpoolctl

from sic_cli.codec import lookahead
from sic_cli.codec.encode import encode
from sic_cli.codec.engine import engine
from sic_cli.codec.entropy.tables import FrequencyTable
from sic_cli.codec.inference import parallel
from sic_cli.codec.inference.context import IncrementalContext
from sic_cli.codec.symbols.class_runs import Symbols
from sic_cli.codec.weights.card import ModelCard

PIXELS = np.random.default_rng(5).integers(0, 256, (75, 90, 3)).astype(np.uint8)


@pytest.fixture(autouse=True)
def threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(parallel, "_CHOSEN", 3)
    yield


@pytest.mark.parametrize("level", [1, 3, 5])
def test_the_file_is_that_of_one_step_after_another(
    tiny: ModelCard, level: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine, indices = engine(tiny), np.zeros((8, 2, 2), np.int16)
    with lookahead.layer_coder_ahead(machine, indices, level) as layer_coder:
        assert not isinstance(layer_coder._context_classes, IncrementalContext)
    made = encode(PIXELS, tiny, level=level)
    monkeypatch.setattr(lookahead, "LARGE", 0)
    with lookahead.layer_coder_ahead(machine, indices, level) as layer_coder:
        assert isinstance(layer_coder._context_classes, IncrementalContext)
    assert encode(PIXELS, tiny, level=level) == made


def test_a_failure_leaves_the_settings(tiny: ModelCard) -> None:
    before = threadpoolctl.threadpool_info()
    with (
        pytest.raises(ZeroDivisionError),
        lookahead.layer_coder_ahead(engine(tiny), np.zeros((8, 2, 2), np.int16), 5) as layer_coder,
    ):
        layer_coder.layer(1, np.zeros((8, 2, 2), np.int16), _Failing())
    assert threadpoolctl.threadpool_info() == before


class _Failing:
    def code(self, table: FrequencyTable, count: int, known: Symbols | None) -> Symbols:
        raise ZeroDivisionError
