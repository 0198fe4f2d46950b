"""Variants of the context network: each is trained, measured and timed, and a run goes on where it was."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from sic_cli.training.context import ContextConfig
from sic_cli.training.indices import indices_of, pack_indices
from tests.conftest import ROOT
from tests.tiny import made_picture
from tests.training.made import tiny_model

sys.path.insert(0, str(ROOT / "benchmarks"))
import context

FEW = ContextConfig(batch=2, crops=8, first=((4, 4), (8, 1)), warmup=2)


def test_variants_are_trained_measured_and_timed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny_model()
    pictures = [made_picture(272, 272, s) for s in range(2)]
    assert list(pack_indices(model, pictures, tmp_path, 1))[-1] == 1
    held = [indices_of(model, made_picture(64, 96, 7))]
    monkeypatch.setattr(context, "TIMED", (8, 10))
    runs = {"base": FEW, "one phase": replace(FEW, first=((8, 1),)), "width": replace(FEW, width=4)}
    facts = {"crops": 8}
    first = dict(list(runs.items())[:1])
    context.go_on(tmp_path, first, model, held, facts)
    monkeypatch.setattr(context, "VARIANTS", runs)
    rows = context.go_on(tmp_path, runs, model, held, facts)
    assert list(rows) == list(runs)
    assert rows["one phase"]["passes"] < rows["base"]["passes"]
    assert all(row["ms"] > 0 and len(row["bits"]) == 5 for row in rows.values())
    shown = context.table(rows)
    assert f"{rows['base']['bits'][0] / 256:.4f} bpp" in shown and "%" in shown
    with pytest.raises(SystemExit, match="other options"):
        context.finished(tmp_path, {"crops": 9})


def test_every_variant_has_a_schedule_that_leads_to_all_levels() -> None:
    from sic_cli.codec.inference.config import ModelConfig
    from sic_cli.training.context import Groups
    from sic_cli.training.initialise import step_size_table

    unit, depths = step_size_table(ModelConfig())
    passes = {
        name: len(Groups.of(depths, config.first).table(unit, depths).passes)
        for name, config in context.VARIANTS.items()
    }
    assert passes["base"] > passes["two phases"] > passes["one phase"]
