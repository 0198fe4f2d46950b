"""What travels to a machine with a GPU runs here, on the CPU, from its own folder alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from sic_cli.codec.weights.card import ModelCard
from sic_cli.training.checkpoint import transforms_of
from tests.conftest import ROOT
from tests.tiny import made_picture
from tests.training.made import backbones

sys.path.insert(0, str(ROOT / "benchmarks"))
import gpu_pack


def test_the_rehearsal_trains_and_leaves_transforms(
    tiny: ModelCard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIC_MODEL_PATH", str(tiny.folder.parent))
    monkeypatch.setattr(gpu_pack, "find", lambda: tiny)
    data = tmp_path / "data"
    for name in ("train/shard-0", "holdout", "backbones"):
        (data / name).mkdir(parents=True)
    for seed in range(2):
        picture = Image.fromarray(made_picture(96, 80, seed))
        picture.save(data / "train" / "shard-0" / f"{seed}.png")
        picture.save(data / "holdout" / f"{seed}.png")
    backbones(data / "backbones")
    out = tmp_path / "pack"
    assert gpu_pack.make(data, out, "0", tmp_path / "no-run") < gpu_pack.LIMIT
    given = {
        **{"DEVICE": "cpu", "MINUTES": "0.01", "BATCH": "1", "OUT": "out", "STAGE": "gan"},
        **{"STATE": str(tmp_path / "state"), "PYTHON": sys.executable},
        "EXTRA": "--crop 64 --alone 1 --precision float32",
    }
    done = subprocess.run(
        ["sh", "go.sh"], cwd=out, env=os.environ | given, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    line = json.loads((out / "out" / "training.jsonl").read_text().splitlines()[-1])
    assert line["stage"] == "gan" and line["crops"] > 0 and line["crops_per_second"] > 0
    before, after = (
        transforms_of(path)[0] for path in (tiny.folder, out / "out" / "start.safetensors")
    )
    assert before.perceptual is not None and after.perceptual is not None
    assert not (before.perceptual.exit.weight == after.perceptual.exit.weight).all()
    assert (before.mse.exit.weight.half() == after.mse.exit.weight.half()).all()
