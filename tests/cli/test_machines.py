"""The same symbols under every instruction set, library switch and thread count that this machine has."""

from __future__ import annotations

import json

import pytest

from tests.conftest import ROOT, run_process

GOLDEN = ROOT / "tests" / "golden"
SETTINGS = [
    {"ATEN_CPU_CAPABILITY": "default", "OMP_NUM_THREADS": "1"},
    {"ATEN_CPU_CAPABILITY": "avx2", "OMP_NUM_THREADS": "2"},
    {"ONEDNN_MAX_CPU_ISA": "SSE41", "OMP_NUM_THREADS": "2"},
    {"ONEDNN_MAX_CPU_ISA": "SSE41", "ATEN_CPU_CAPABILITY": "default", "OMP_NUM_THREADS": "1"},
]


@pytest.mark.parametrize(
    "setting", SETTINGS, ids=lambda s: " ".join(f"{k}={v}" for k, v in s.items())
)
def test_golden_symbols_are_the_same_everywhere(setting: dict[str, str]) -> None:
    """`verify --deep` decodes every symbol and compares with the digests in the file."""
    names = [n for n in json.loads((GOLDEN / "manifest.json").read_text())["good"] if "photo" in n]
    assert len(names) >= 2  # the tiny model and the shipped one
    for name in names:
        got = run_process("verify", "--deep", "--json", str(GOLDEN / "good" / name), env=setting)
        assert got.code == 0, got.err
        assert json.loads(got.out)["ok"]
