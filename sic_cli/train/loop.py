"""The training loop: one process or several that average their gradients; stops by the clock.

Every process draws its own crops. Process 0 keeps the moving average of the parameters, evaluates,
logs one JSON line per evaluation and writes checkpoints. A run may be killed at any second: it loses
what came after the last checkpoint, and SIGTERM writes one first.
"""

from __future__ import annotations

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
from numpy.typing import NDArray
from torch import Tensor

from ..model.codec_model import CodecModel
from ..model.config import ModelConfig
from ..release.locate import find
from . import start as beginning
from .config import TrainConfig
from .data import Crops, DeviceCrops, open_packed
from .evaluate import report, validation_pictures
from .loss import losses, slope
from .optimiser import Muon
from .perceptual import Perceptual
from .state import Progress, averaged, from_release, load_model, load_optimisers, save
from .texture import statistics

FROZEN = {
    "joint": (),
    "decoder": ("analysis.", "context.", "centre"),
    "decoding": ("analysis.", "centre"),
    "context": ("analysis.", "synthesis.", "centre"),
}


@dataclass(frozen=True, slots=True)
class Run:
    """Where a run reads and writes, and how long it may take. final: let the rate fall to nothing.
    start: release, or another run's checkpoint, to begin with if `out` holds none; without it, a
    KLT."""

    packed: str
    out: str
    validation: str
    minutes: float
    processes: int = 1
    threads: int = 1
    device: str = "cpu"
    final: bool = False
    backbones: str | None = None
    start: str | None = None
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
    caught: list[int] = []
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda number, _: caught.append(number))
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
    crops = crops_for(pictures, config.crop, seed, device)
    chance = np.random.default_rng(seed)
    perceptual = None
    if config.perceptual and run.backbones:
        perceptual = Perceptual(Path(run.backbones)).to(device)
    valid = validation_pictures(Path(run.validation)) if rank == 0 else []
    levels, steps = model.config.levels, len(model.step_level)
    last_of = torch.tensor([model.step_level[::-1].index(k + 1) for k in range(levels)])
    last_of = steps - 1 - last_of
    norms = known_norms(progress.norms, levels).to(device)
    hours, saved, tested = progress.hours, time.time(), time.time()
    recent: list[Tensor] = []

    def finish() -> None:
        progress.norms = norms.flatten().tolist()
        progress.hours = hours + (time.time() - began) / 3600
        save(checkpoint, model, average, optimisers, progress)

    while True:
        part = (time.time() - began) / (60 * run.minutes)
        factor = learning_factor(progress.steps, part, config, run.final)
        for optimiser, rates in zip(optimisers, base, strict=True):
            for group, rate in zip(optimiser.param_groups, rates, strict=True):
                group["lr"] = rate * factor
        pixels = next_batch(crops, config.batch, device)
        drawn = torch.from_numpy(draw_levels(chance, levels, config.batch, config.favour))
        other = torch.from_numpy(chance.integers(0, steps, config.batch))
        level = drawn.to(device)
        counted = torch.stack([last_of[drawn], other], 1).to(device)
        if config.stage == "decoder":
            counted = counted[:, :0]
        result = losses(model, pixels, level, counted, frozen=config.stage != "joint")
        cost = result.mse + config.seams * result.seams
        if config.stage not in ("decoder", "decoding"):
            cost = cost + slope(model, level) * result.rate
        follow(norms[0], level, cost.detach())
        share = cost / norms[0][level]
        if config.even:
            share = torch.log(config.even + share)
        loss = share.mean() + config.bits_weight * result.bits.mean()
        if perceptual is not None:
            dy, dx = (int(v) for v in chance.integers(0, 4, 2))
            distance = perceptual.shifted(result.pixels, pixels, dy, dx)
            follow(norms[1], level, distance.detach())
            loss = loss + config.perceptual * (distance / norms[1][level]).mean()
        if config.statistics:
            distance = statistics(result.pixels, pixels)
            follow(norms[2], level, distance.detach())
            loss = loss + config.statistics * (distance / norms[2][level]).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        stop = bool(caught) or part >= 1
        stop = average_gradients(list(live.values()), stop, run.processes)
        norm = torch.nn.utils.clip_grad_norm_(live.values(), config.clip, error_if_nonfinite=False)
        for p in live.values():
            if p.grad is not None:  # a step that went wrong counts for nothing
                p.grad.copy_(torch.where(torch.isfinite(norm), p.grad, 0.0))
        for optimiser in optimisers:
            optimiser.step()
        model.zero_grad(set_to_none=True)
        progress.steps += 1
        progress.crops += config.batch * run.processes
        weight = 1 - min(config.ema, 1 - 1 / (1 + progress.steps / 10))
        torch._foreach_lerp_(
            [average[n] for n in live], [p.detach() for p in live.values()], weight
        )
        recent.append(loss.detach())
        if rank == 0:
            now = time.time()
            if stop or now - tested > 60 * run.evaluate_minutes:
                spent = hours + (now - began) / 3600
                report(out, model, average, valid, device, progress, spent, recent, perceptual)
                recent, tested = [], time.time()
            if stop or now - saved > 60 * run.checkpoint_minutes:
                finish()
                saved = time.time()
        if stop:
            break
    if run.processes > 1:
        dist.destroy_process_group()
    elif caught:
        raise SystemExit(128 + caught[0])


def known_norms(known: list[float], levels: int) -> Tensor:
    """Running means (3, K) of the squared error, LPIPS and statistics; 0 where there is none yet,
    as in checkpoints from before there was a term."""
    return torch.tensor((known + [0.0] * 3 * levels)[: 3 * levels]).view(3, levels)


def crops_for(
    pictures: list[np.ndarray], size: int, seed: int, device: torch.device
) -> Crops | DeviceCrops:
    """Crops cut where the model trains."""
    if device.type == "cuda":
        return DeviceCrops(pictures, size, seed, device)
    return Crops(pictures, size, seed)


def next_batch(crops: Crops | DeviceCrops, count: int, device: torch.device) -> Tensor:
    """float (count, 3, size, size) in [-127.5, 127.5]."""
    if isinstance(crops, DeviceCrops):
        pixels = crops.batch(count)
    else:
        pixels = torch.from_numpy(crops.batch(count)).to(device).permute(0, 3, 1, 2).float()
    return pixels.contiguous(memory_format=torch.channels_last) - 127.5


def draw_levels(
    chance: np.random.Generator, levels: int, count: int, favour: float = 0.0
) -> NDArray[np.int64]:
    """`count` levels from 0, spread evenly over their shares: the first has e^favour times the last's."""
    share = np.exp(-favour * np.arange(levels) / max(1, levels - 1))
    edges = np.cumsum(share) / share.sum()
    drawn = np.searchsorted(edges, (np.arange(count) + chance.random(count)) / count, side="right")
    return chance.permutation(np.minimum(drawn, levels - 1))


def follow(norms: Tensor, level: Tensor, value: Tensor) -> None:
    """Running mean of a loss by level; its first value counts in full."""
    total = torch.zeros_like(norms).index_add_(0, level, value)
    count = torch.zeros_like(norms).index_add_(0, level, torch.ones_like(value))
    mean = total / count.clamp_min(1)
    moved = torch.where(norms == 0, mean, norms.lerp(mean, 0.02))
    norms.copy_(torch.where(count > 0, moved, norms))


def train(run: Run, config: TrainConfig, model_config: ModelConfig) -> None:
    """Start or resume a run in `run.out`."""
    out = Path(run.out)
    out.mkdir(parents=True, exist_ok=True)
    checkpoint = out / "checkpoint.safetensors"
    if not checkpoint.exists():
        torch.manual_seed(config.seed)
        progress = Progress()
        if run.start and Path(run.start).is_file():
            model, progress = averaged(Path(run.start))
        elif run.start:
            card = find(run.start)
            model = from_release(card, vivid=config.stage == "decoder")
            done = {k: card.facts[k] for k in ("steps", "crops", "hours") if k in card.facts}
            progress = Progress(**done, notes={"start": card.digest})
        else:
            pictures, _ = open_packed(Path(run.packed))
            model = new_model(model_config, Crops(pictures, config.crop, config.seed))
        average = {n: p.detach().clone() for n, p in model.named_parameters()}
        save(checkpoint, model, average, [], progress)
    if run.processes == 1:
        worker(0, run, config)
    else:
        together(run, config)


def together(run: Run, config: TrainConfig) -> None:
    """Run several processes; a signal to this one reaches them, and they write a checkpoint first."""
    started = mp.start_processes(  # type: ignore[attr-defined, no-untyped-call]
        worker, (run, config), nprocs=run.processes, join=False, start_method="spawn"
    )
    caught: list[int] = []
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda number, _: caught.append(number))
    while not started.join(timeout=1):
        if caught:
            for process in started.processes:
                process.terminate()
            started.join()
            break
    if caught:
        raise SystemExit(128 + caught[0])
