"""The training loop: one process or several that average their gradients; stops by the clock.

Every process draws its own crops. Process 0 keeps the moving average of the parameters, evaluates,
logs one JSON line per evaluation and writes checkpoints. A run may be killed at any second: it loses
what came after the last checkpoint, and SIGTERM writes one first.
"""

from __future__ import annotations

import json
import math
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor

from ..cells.levels import build
from ..model.codec_model import CodecModel
from ..model.config import ModelConfig
from . import start as beginning
from .config import TrainConfig
from .data import Crops, find_pictures, open_packed, read_rgb
from .evaluate import evaluate
from .loss import losses, slope
from .optimiser import Muon
from .state import Progress, load_model, load_optimisers, save

FROZEN = {
    "joint": (),
    "decoder": ("analysis.", "context."),
    "context": ("analysis.", "synthesis.", "centre"),
}


@dataclass(frozen=True, slots=True)
class Run:
    """Where a run reads and writes, and how long it may take. final: let the rate fall to nothing."""

    packed: str
    out: str
    validation: str
    minutes: float
    processes: int = 1
    threads: int = 1
    device: str = "cpu"
    final: bool = False
    backbones: str | None = None
    checkpoint_minutes: float = 3.0
    evaluate_minutes: float = 10.0
    port: int = 29517


def new_model(config: ModelConfig, crops: Crops, patches: int = 300_000) -> CodecModel:
    """A model at stage 1: the KLT, its level table, networks whose last layers are zero."""
    first = beginning.klt(crops, patches)
    table = beginning.level_table(config, first)
    model = CodecModel(config, table)
    std = first.std[: config.channels]
    with torch.no_grad():
        model.analysis.linear.copy_(first.basis[: config.channels])
        model.synthesis.linear.copy_(first.basis[: config.channels].T)
        model.analysis.scale.copy_(0.1 * std + 1)
        model.synthesis.scale.copy_(0.5 * std + 8)
        model.reach.copy_(beginning.reach(table, std))
        after = model.steps[1:]
        laplace = (model.width(after) / (std / math.sqrt(2))).clamp(0.1, 12).nan_to_num(0.0)
        model.context.exit_bias.copy_(torch.cat([laplace, torch.zeros_like(laplace), laplace], 1))
    return model


def optimisers_for(model: CodecModel, config: TrainConfig) -> list[torch.optim.Optimizer]:
    """Muon for matrices inside the networks, AdamW for the rest; slower for the encoder."""
    muon: dict[float, list[Tensor]] = {}
    adam: dict[float, list[Tensor]] = {}
    for name, p in model.named_parameters():
        p.requires_grad_(
            not name.startswith(FROZEN[config.stage]) if FROZEN[config.stage] else True
        )
        if not p.requires_grad:
            continue
        factor = config.encoder_lr if name.startswith("analysis.") else 1.0
        factor = config.linear_lr if name.endswith(".linear") else factor
        inside = p.dim() == 4 and ("blocks" in name or ".mid" in name or ".back" in name)
        (muon if inside else adam).setdefault(factor, []).append(p)
    made: list[torch.optim.Optimizer] = []
    if muon:
        made.append(
            Muon(
                [{"params": ps, "lr": config.muon_lr * f} for f, ps in muon.items()], config.muon_lr
            )
        )
    groups = [{"params": ps, "lr": config.lr * f} for f, ps in adam.items()]
    made.append(torch.optim.AdamW(groups, betas=(0.9, 0.98), weight_decay=1e-4))
    return made


def learning_factor(done: int, part: float, config: TrainConfig, final: bool) -> float:
    """Share of the learning rate: warm-up by steps, then flat, then (if final) down to 2 %."""
    warm = min(1.0, (done + 1) / config.warmup)
    if not final or part < 1 - config.decay:
        return warm
    return warm * max(0.02, math.cos((part - 1 + config.decay) / config.decay * math.pi / 2))


def average_gradients(parameters: list[Tensor], stop: bool, group: int) -> bool:
    """Mean gradients over all processes; True if any process wants to stop."""
    if group == 1:
        return stop
    flat = torch.cat(
        [p.grad.reshape(-1) for p in parameters if p.grad is not None]
        + [torch.tensor([float(stop)])]
    )
    dist.all_reduce(flat)
    flat /= group
    place = 0
    for p in parameters:
        assert p.grad is not None
        p.grad.copy_(flat[place : place + p.numel()].view_as(p))
        place += p.numel()
    return bool(flat[-1] > 0)


def worker(rank: int, run: Run, config: TrainConfig) -> None:
    """One process of a run."""
    torch.set_num_threads(run.threads)
    began, out = time.time(), Path(run.out)
    device = torch.device(run.device)
    stopping = {"now": False}
    signal.signal(signal.SIGTERM, lambda *_: stopping.update(now=True))
    signal.signal(signal.SIGINT, lambda *_: stopping.update(now=True))
    if run.processes > 1:
        os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(run.port))
        dist.init_process_group("gloo", rank=rank, world_size=run.processes)
    checkpoint = out / "checkpoint.safetensors"
    model, average, progress = load_model(checkpoint)
    model.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimisers = optimisers_for(model, config)
    load_optimisers(checkpoint, model, optimisers)
    base = [[g["lr"] for g in o.param_groups] for o in optimisers]
    live = {n: p for n, p in model.named_parameters() if p.requires_grad}
    average = {
        n: average.get(n, p.detach().clone()).to(device) for n, p in model.named_parameters()
    }
    pictures, digest = open_packed(Path(run.packed))
    progress.notes["data"] = digest
    seed = config.seed + 1000 * progress.steps + rank
    crops, chance = Crops(pictures, config.crop, seed), np.random.default_rng(seed)
    valid = [read_rgb(p) for p in find_pictures(Path(run.validation))][::5][:8] if rank == 0 else []
    levels, steps = model.config.levels, len(model.step_level)
    last_of = [
        max(i for i, k in enumerate(model.step_level) if k == level + 1) for level in range(levels)
    ]
    norms = torch.tensor(progress.norms or [0.0] * levels)
    hours, before = progress.hours, began
    saved = tested = time.time()
    history: list[float] = []

    def finish() -> None:
        progress.norms, progress.hours = norms.tolist(), hours + (time.time() - before) / 3600
        save(checkpoint, model, average, optimisers, progress)

    while True:
        part = (time.time() - began) / (60 * run.minutes)
        factor = learning_factor(progress.steps, part, config, run.final)
        for optimiser, rates in zip(optimisers, base, strict=True):
            for group, rate in zip(optimiser.param_groups, rates, strict=True):
                group["lr"] = rate * factor
        pixels = torch.from_numpy(crops.batch(config.batch)).to(device).permute(0, 3, 1, 2)
        pixels = pixels.to(torch.float32).contiguous(memory_format=torch.channels_last) - 127.5
        drawn = (
            chance.permutation(levels)[: config.batch]
            if config.batch <= levels
            else chance.integers(0, levels, config.batch)
        )
        level = torch.as_tensor(drawn, device=device)
        own = torch.tensor([last_of[k] for k in drawn])
        other = torch.from_numpy(chance.integers(0, steps, config.batch))
        counted = torch.stack([own, other], 1).to(device)
        result = losses(model, pixels, level, counted, frozen=config.stage != "joint")
        cost = result.mse + slope(model, level) * result.rate
        for k, value in zip(drawn.tolist(), cost.tolist(), strict=True):
            norms[k] = value if norms[k] == 0 else 0.98 * norms[k] + 0.02 * value
        loss = (
            cost / norms[level.cpu()].to(device)
        ).mean() + config.bits_weight * result.bits.mean()
        loss.backward()  # type: ignore[no-untyped-call]
        stop = stopping["now"] or part >= 1
        stop = average_gradients(list(live.values()), stop, run.processes)
        norm = torch.nn.utils.clip_grad_norm_(live.values(), config.clip)
        if torch.isfinite(norm):
            for optimiser in optimisers:
                optimiser.step()
        model.zero_grad(set_to_none=True)
        progress.steps += 1
        progress.crops += config.batch * run.processes
        weight = 1 - min(config.ema, 1 - 1 / (1 + progress.steps / 10))
        for name, p in live.items():
            average[name].lerp_(p.detach(), weight)
        if rank == 0:
            history.append(float(loss.detach()))
            now = time.time()
            if stop or now - tested > 60 * run.evaluate_minutes:
                report(
                    out,
                    model,
                    average,
                    valid,
                    device,
                    progress,
                    hours + (now - before) / 3600,
                    history,
                )
                history, tested = [], time.time()
            if stop or now - saved > 60 * run.checkpoint_minutes:
                finish()
                saved = time.time()
        if stop:
            break
    if run.processes > 1:
        dist.destroy_process_group()


def report(
    out: Path,
    model: CodecModel,
    average: dict[str, Tensor],
    valid: list[np.ndarray],
    device: torch.device,
    progress: Progress,
    hours: float,
    history: list[float],
) -> None:
    """Evaluate the averaged parameters and append one line to the log."""
    copy = CodecModel(
        model.config,
        build(
            model.unit.cpu().numpy(),
            model.octaves.cpu().to(torch.int8).numpy(),
            model.config.groups,
            model.config.lead,
        ),
    )
    copy.load_state_dict({**model.state_dict(), **average})
    curve = evaluate(copy.to(device), valid, device)
    line = {
        "hours": round(hours, 4),
        "steps": progress.steps,
        "crops": progress.crops,
        "loss": round(sum(history) / max(1, len(history)), 4),
        "psnr_at": [round(v, 3) for v in curve.at()],
        "bpp": [round(v, 4) for v in curve.bpp],
        "psnr": [round(v, 3) for v in curve.psnr],
    }
    with open(out / "training.jsonl", "a") as file:
        file.write(json.dumps(line) + "\n")


def train(run: Run, config: TrainConfig, model_config: ModelConfig) -> None:
    """Start or resume a run in `run.out`."""
    out = Path(run.out)
    out.mkdir(parents=True, exist_ok=True)
    checkpoint = out / "checkpoint.safetensors"
    if not checkpoint.exists():
        torch.manual_seed(config.seed)
        pictures, _ = open_packed(Path(run.packed))
        model = new_model(model_config, Crops(pictures, config.crop, config.seed))
        average = {n: p.detach().clone() for n, p in model.named_parameters()}
        save(checkpoint, model, average, [], Progress())
    if run.processes == 1:
        worker(0, run, config)
    else:
        mp.spawn(worker, (run, config), nprocs=run.processes)  # type: ignore[attr-defined, no-untyped-call]
