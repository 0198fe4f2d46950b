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
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor

from ..codec.inference.config import ModelConfig
from ..codec.networks.codec_model import CodecModel
from ..codec.weights.locate import find
from ..errors import UsageError
from . import initialise as beginning
from .checkpoint import (
    TrainingProgress,
    averaged,
    load_model,
    load_optimisers,
    model_from_weights,
    save,
)
from .config import TrainConfig
from .data import Crops, DeviceCrops, open_packed
from .evaluate import report, validation_pictures
from .lpips_loss import LpipsLoss
from .objective import Objective, known_norms
from .optimiser import Muon

FROZEN = {
    "joint": (),
    "both": (),
    "decoder": ("analysis.", "context.", "reconstruction_offset"),
    "decoding": ("analysis.", "reconstruction_offset"),
    "context": ("analysis.", "synthesis.", "perceptual_synthesis.", "reconstruction_offset"),
}


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """Where a run reads and writes, and how long it may take. final: let the rate fall to nothing.
    start: weights, or another run's checkpoint, to begin with if `out` holds none; without it, a
    KLT. crops: the run ends when it has seen so many since its start, and `final` goes by them; what
    the minutes end before that goes on from there (0: only the minutes count). evaluate_minutes: 0
    for never. perceptual_start: checkpoint whose decoder (the perceptual one of two) the second one of stage "both"
    begins with; without it: the perceptual one of the weights or checkpoint, or the first one. context: width
    and blocks of a new context network, None: keep the old one."""

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
    crops: int = 0
    perceptual_start: str | None = None
    context: tuple[int, int] | None = None
    port: int = 29517


def new_model(config: ModelConfig, crops: Crops, patches: int = 300_000) -> CodecModel:
    """A model at stage 1: the KLT, its step-size table, networks whose last layers are zero."""
    first = beginning.klt(crops, patches)
    table = beginning.step_size_table(config, first)
    model = CodecModel(config, table)
    std = first.std[: config.channels]
    with torch.no_grad():
        model.analysis.linear.copy_(first.basis[: config.channels])
        model.synthesis.linear.copy_(first.basis[: config.channels].T)
        model.analysis.scale.copy_(0.1 * std + 1)
        model.synthesis.scale.copy_(0.5 * std + 8)
        model.reach.copy_(beginning.reach(table, std))
        model.context.exit_bias.copy_(beginning.laplace(model, std))
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


def seen(progress: TrainingProgress, crops: int, more: int = 0) -> float:
    """Share of a run of so many crops that is done, or will be after some more; 0 if it has no end."""
    begun = int(progress.notes.get("begun", "0"))
    return (progress.crops + more - begun) / crops if crops else 0.0


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


@contextmanager
def catching() -> Iterator[list[int]]:
    """Inside, SIGTERM and SIGINT only put their numbers into the list; behind it all is as before."""
    caught: list[int] = []
    before = {
        name: signal.signal(name, lambda number, _: caught.append(number))
        for name in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield caught
    finally:
        for name, handler in before.items():
            signal.signal(name, signal.SIG_DFL if handler is None else handler)


def worker(rank: int, run: TrainingRun, config: TrainConfig) -> None:
    """One process of a run."""
    with catching() as caught:
        _work(rank, run, config, caught)


def _work(rank: int, run: TrainingRun, config: TrainConfig, caught: list[int]) -> None:
    torch.set_num_threads(run.threads)
    began, out = time.time(), Path(run.out)
    device = torch.device(run.device)
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
    lpips_loss = None
    if config.lpips and run.backbones:
        lpips_loss = LpipsLoss(Path(run.backbones)).to(device)
    looks = rank == 0 and run.evaluate_minutes > 0
    valid = validation_pictures(Path(run.validation)) if looks else []
    norms = known_norms(progress.norms, model.config.levels).to(device)
    sampler = torch.Generator(device=device).manual_seed(seed)
    objective = Objective(model, config, norms, lpips_loss, sampler)
    hours, saved, tested = progress.hours, time.time(), time.time()
    recent: list[Tensor] = []

    def finish() -> None:
        progress.norms = norms.flatten().tolist()
        progress.hours = hours + (time.time() - began) / 3600
        save(checkpoint, model, average, optimisers, progress)

    while True:
        part = seen(progress, run.crops)
        over = (time.time() - began) / (60 * run.minutes)
        factor = learning_factor(progress.steps, part if run.crops else over, config, run.final)
        for optimiser, rates in zip(optimisers, base, strict=True):
            for group, rate in zip(optimiser.param_groups, rates, strict=True):
                group["lr"] = rate * factor
        pixels = next_batch(crops, config.batch, device)
        loss = objective(pixels, chance)
        loss.backward()  # type: ignore[no-untyped-call]
        each = config.batch * run.processes
        stop = bool(caught) or over >= 1 or seen(progress, run.crops, each) >= 1
        stop = average_gradients(list(live.values()), stop, run.processes)
        norm = torch.nn.utils.clip_grad_norm_(live.values(), config.clip, error_if_nonfinite=False)
        for p in live.values():
            if p.grad is not None:  # a step that went wrong counts for nothing
                p.grad.copy_(torch.where(torch.isfinite(norm), p.grad, 0.0))
        for optimiser in optimisers:
            optimiser.step()
        model.zero_grad(set_to_none=True)
        progress.steps += 1
        progress.crops += each
        weight = 1 - min(config.ema, 1 - 1 / (1 + progress.steps / 10))
        torch._foreach_lerp_(
            [average[n] for n in live], [p.detach() for p in live.values()], weight
        )
        recent.append(loss.detach())
        if rank == 0:
            now = time.time()
            if looks and (stop or now - tested > 60 * run.evaluate_minutes):
                spent = hours + (now - began) / 3600
                report(out, model, average, valid, device, progress, spent, recent, lpips_loss)
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


def train(run: TrainingRun, config: TrainConfig, model_config: ModelConfig) -> None:
    """Start or resume a run in `run.out`."""
    out = Path(run.out)
    out.mkdir(parents=True, exist_ok=True)
    checkpoint = out / "checkpoint.safetensors"
    if not checkpoint.exists():
        torch.manual_seed(config.seed)
        progress = TrainingProgress()
        if run.start and Path(run.start).is_file():
            model, progress = averaged(Path(run.start))
        elif run.start:
            card = find(run.start)
            model = model_from_weights(card, perceptual=config.stage == "decoder")
            if config.stage == "both":
                model.add_perceptual_synthesis().load_state_dict(
                    model_from_weights(card, perceptual=True).synthesis.state_dict()
                )
            done = {k: card.facts[k] for k in ("steps", "crops", "hours") if k in card.facts}
            progress = TrainingProgress(**done, notes={"start": card.digest})
        else:
            pictures, _ = open_packed(Path(run.packed))
            model = new_model(model_config, Crops(pictures, config.crop, config.seed))
        if run.context:
            model = beginning.new_context(model, *run.context)
        if config.stage == "both":
            second = model.perceptual_synthesis or model.add_perceptual_synthesis()
            if run.perceptual_start:
                other, _ = averaged(Path(run.perceptual_start))
                second.load_state_dict((other.perceptual_synthesis or other.synthesis).state_dict())
        progress.notes["begun"] = str(progress.crops)
        average = {n: p.detach().clone() for n, p in model.named_parameters()}
        save(checkpoint, model, average, [], progress)
    known, _, progress = load_model(checkpoint)
    if config.stage != "context" and (config.stage == "both") != (
        known.perceptual_synthesis is not None
    ):
        raise UsageError(
            f"{checkpoint} has {'two decoders' if known.perceptual_synthesis else 'one decoder'}, and --stage "
            f"{config.stage} is not for that",
            "begin a new run with --start",
        )
    if config.only_level > known.config.levels:
        raise UsageError(f"--only-level {config.only_level}: the model has {known.config.levels}")
    if seen(progress, run.crops) >= 1:
        return
    if run.processes == 1:
        worker(0, run, config)
    else:
        together(run, config)


def together(run: TrainingRun, config: TrainConfig) -> None:
    """Run several processes; a signal to this one reaches them, and they write a checkpoint first."""
    started = mp.start_processes(  # type: ignore[attr-defined, no-untyped-call]
        worker, (run, config), nprocs=run.processes, join=False, start_method="spawn"
    )
    with catching() as caught:
        while not started.join(timeout=1):
            if caught:
                for process in started.processes:
                    process.terminate()
                started.join()
                break
    if caught:
        raise SystemExit(128 + caught[0])
