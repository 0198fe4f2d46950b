"""The same symbols under every instruction set, library switch and thread count that this machine has."""

from __future__ import annotations

import json

import numpy as np
import pytest

from sic_cli.codec.bitstream.reader import parse
from sic_cli.codec.decode import decode
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


@pytest.mark.parametrize(
    "setting", SETTINGS[::2], ids=lambda s: " ".join(f"{k}={v}" for k, v in s.items())
)
def test_pixels_differ_by_one_at_most(setting: dict[str, str]) -> None:
    names = [n for n in json.loads((GOLDEN / "manifest.json").read_text())["good"] if "photo" in n]
    for name in names:
        here = decode(parse((GOLDEN / "good" / name).read_bytes())).pixels.astype(int)
        got = run_process(
            "decode", str(GOLDEN / "good" / name), "-o", "-", "--format", "ppm", env=setting
        )
        assert got.code == 0, got.err
        there = np.frombuffer(got.out[-here.size :], np.uint8).reshape(here.shape).astype(int)
        far = np.abs(here - there)
        assert far.max() <= 1 and (far > 0).mean() < 1e-3
