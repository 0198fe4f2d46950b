"""Put into one folder what a machine with a GPU needs: code, start weights, a loss, a shard of pictures.

    python benchmarks/gpu_pack.py DATA OUT SHARD RUN

DATA holds `train/shard-N`, `holdout` and `backbones`. It goes on from the checkpoint in RUN, or from the
newest weights. The folder stays below 60 MiB. `sh go.sh` in it trains STAGE for MINUTES and leaves under $OUT the
averaged transforms in half precision and the log with the measured crops per second. A second command with another
shard finds pictures and checkpoint of the first on the machine's disk (STATE).
"""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from sic_cli.codec.weights.locate import find
from sic_cli.training.assemble import save_small
from sic_cli.training.checkpoint import (
    NAME,
    TrainingState,
    save,
    transforms_of,
)
from sic_cli.training.lpips_loss import TOGETHER, backbones_of
from sic_cli.training.objective import TERMS

ROOT = Path(__file__).resolve().parent.parent
LIMIT = 60 << 20
PACKAGES = ("click", "pathspec", "platformdirs", "threadpoolctl")
"""Of plain Python, and perhaps not on that machine; torch, NumPy, Pillow and safetensors have to be."""
SCRIPT = """#!/bin/sh
# Trains; resumes if STATE holds a checkpoint. Every limit by its own clock.
set -eu
PYTHON=${PYTHON:-python3} DEVICE=${DEVICE:-cuda} MINUTES=${MINUTES:-8} BATCH=${BATCH:-64}
STATE=${STATE:-/tmp/sic-state} OUT=${OUT:-out} STAGE=${STAGE:-both} EXTRA=${EXTRA:-}
export PYTHONPATH=. PYTHONUNBUFFERED=1
mkdir -p "$STATE/pictures" "$OUT"
cp -n pictures/* "$STATE/pictures/"
$PYTHON -m sic_cli train pack "$STATE/pictures" "$STATE/packed" --workers "$(nproc)"
$PYTHON -m sic_cli train run --packed "$STATE/packed" --validation validation --out "$STATE/$STAGE" \\
    --stage "$STAGE" --start start.safetensors --backbones backbones --device "$DEVICE" \\
    --minutes "$MINUTES" --batch "$BATCH" --evaluate-minutes 2.5 --checkpoint-minutes 1 $EXTRA
$PYTHON -m sic_cli train shrink "$STATE/$STAGE/checkpoint.safetensors" "$OUT/start.safetensors"
cp "$STATE/$STAGE/training.jsonl" "$OUT/"
"""


def copy_package(name: str, out: Path) -> None:
    """Put an installed package of plain Python into a folder."""
    found = importlib.util.find_spec(name)
    assert found is not None and found.origin is not None, name
    origin = Path(found.origin)
    if origin.name == "__init__.py":
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(origin.parent, out / name, ignore=ignored)
    else:
        shutil.copy(origin, out)


def write_start(checkpoint: Path, out: Path) -> None:
    """The transforms of a checkpoint in half precision, or those of the newest weights if there is none."""
    if checkpoint.exists():
        save_small(out, checkpoint)
        return
    model, progress = transforms_of(find().folder)
    whole = out.with_suffix(".whole")
    norms = torch.zeros(TERMS, model.config.levels)
    save(whole, TrainingState(model, {}, [], norms, progress))
    save_small(out, whole)
    whole.unlink()


def make(data: Path, out: Path, shard: str, run: Path) -> int:
    """Write the folder; returns its size in bytes."""
    shutil.rmtree(out, ignore_errors=True)
    (out / "validation").mkdir(parents=True)
    shutil.copytree(ROOT / "sic_cli", out / "sic_cli", ignore=shutil.ignore_patterns("__pycache__"))
    for name in PACKAGES:
        copy_package(name, out)
    shutil.copytree(
        data / "train" / f"shard-{shard}", out / "pictures", copy_function=shutil.copyfile
    )
    (out / "pictures").chmod(0o755)  # the source may be read-only
    for path in sorted((data / "holdout").glob("*.png"))[::5][:8]:
        shutil.copy(path, out / "validation")
    write_start(run / NAME, out / "start.safetensors")
    (out / "backbones").mkdir()
    tensors = {k: v.half().contiguous() for k, v in backbones_of(data / "backbones").items()}
    save_file(tensors, out / "backbones" / TOGETHER)
    (out / "go.sh").write_text(SCRIPT)
    return sum(p.stat().st_size for p in out.rglob("*") if p.is_file())


def main() -> None:
    data, out, shard, run = sys.argv[1:5]
    size = make(Path(data), Path(out), shard, Path(run))
    print(f"{out}: {size / 2**20:.1f} MiB of at most {LIMIT >> 20}")
    if size > LIMIT:
        sys.exit("too large to travel")


if __name__ == "__main__":
    main()
