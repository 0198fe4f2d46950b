"""Put into one folder what a machine with a GPU needs: code, start weights, a loss, a shard of pictures.

    python benchmarks/gpu_pack.py DATA OUT SHARD RUN

DATA holds `train/shard-N`, `holdout` and `backbones`. It goes on from the checkpoint in RUN, or from the
newest release. The folder stays below 60 MiB. `sh go.sh` in it trains for MINUTES and leaves under $OUT the averaged
weights in half precision, the log, and the measured crops per second. A second command with another
shard finds pictures and checkpoint of the first on the machine's disk (STATE).
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from pathlib import Path

from safetensors.torch import save_file

from sic_cli.codec.weights.locate import find
from sic_cli.metrics.backbones import VARIABLE, alexnet
from sic_cli.metrics.lpips import Lpips
from sic_cli.training.checkpoint import TrainingProgress, model_from_weights, save, save_small

ROOT = Path(__file__).resolve().parent.parent
LIMIT = 60 << 20
PACKAGES = ("click", "pathspec", "platformdirs", "threadpoolctl")
"""Of plain Python, and perhaps not on that machine; torch, NumPy, Pillow and safetensors have to be."""
SCRIPT = """#!/bin/sh
# Trains; resumes if STATE holds a checkpoint. Every limit by its own clock.
set -eu
PYTHON=${PYTHON:-python3} DEVICE=${DEVICE:-cuda} MINUTES=${MINUTES:-8} BATCH=${BATCH:-64}
STATE=${STATE:-/tmp/sic-state} OUT=${OUT:-out} LR=${LR:-1e-3} EXTRA=${EXTRA:-}
export PYTHONPATH=. PYTHONUNBUFFERED=1
mkdir -p "$STATE/pictures" "$STATE/run" "$OUT"
cp -n pictures/* "$STATE/pictures/"
$PYTHON -m sic_cli train pack "$STATE/pictures" "$STATE/packed" --workers "$(nproc)"
if [ ! -f "$STATE/run/checkpoint.safetensors" ] && [ -f start.safetensors ]; then
    cp start.safetensors "$STATE/run/checkpoint.safetensors"
fi
$PYTHON -m sic_cli train run --packed "$STATE/packed" --validation validation --out "$STATE/run" \\
    --device "$DEVICE" --minutes "$MINUTES" --batch "$BATCH" --lr "$LR" --backbones lpips.safetensors \\
    --evaluate-minutes 2.5 --checkpoint-minutes 1 $EXTRA
$PYTHON -m sic_cli train shrink "$STATE/run/checkpoint.safetensors" "$OUT/start.safetensors"
cp "$STATE/run/training.jsonl" "$OUT/"
tail -n 3 "$OUT/training.jsonl"
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


def main() -> None:
    data, out, shard, run = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], Path(sys.argv[4])
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
    checkpoint = run / "checkpoint.safetensors"
    if not checkpoint.exists():
        card = find()
        model = model_from_weights(card)
        average = {n: p.detach().clone() for n, p in model.named_parameters()}
        done = TrainingProgress(card.facts["steps"], card.facts["crops"], card.facts["hours"])
        checkpoint = out / "release.safetensors"
        save(checkpoint, model, average, [], done)
    save_small(out / "start.safetensors", checkpoint)
    (out / "release.safetensors").unlink(missing_ok=True)
    os.environ[VARIABLE] = str(data / "backbones")
    net = alexnet()
    heads = Lpips(net).net.state_dict()
    tensors = {k: v.half().contiguous() for k, v in net.items()}
    tensors |= {f"lin{i}": heads[f"lin{i}.model.1.weight"].half().contiguous() for i in range(5)}
    save_file(tensors, out / "lpips.safetensors")
    (out / "go.sh").write_text(SCRIPT)
    size = sum(p.stat().st_size for p in out.rglob("*") if p.is_file())
    print(f"{out}: {size / 2**20:.1f} MiB of at most {LIMIT >> 20}")
    if size > LIMIT:
        sys.exit("too large to travel")


if __name__ == "__main__":
    main()
