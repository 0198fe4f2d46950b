"""The training loop: one process or several whose weights are averaged every few steps; stops by the clock.

Every process draws its own crops. Process 0 keeps the moving average of the parameters, evaluates, logs one JSON line
per evaluation and writes checkpoints. A run may be killed at any second: it loses what came after the last
checkpoint, and SIGTERM writes one first. A resumed run goes on to the bit as if it had not stopped: all that is
random in a step follows from the seed, the process and the number of the step.
"""

from __future__ import annotations

import copy
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor, nn

from ..codec.inference.config import ModelConfig
from ..errors import ModelError, UsageError
from .checkpoint import (
    NAME,
    TrainingProgress,
    TrainingState,
    load,
    load_resumable,
    restore,
    save,
    transforms_of,
)
from .config import TrainConfig
from .data import Crops, DeviceCrops, open_packed
from .discriminator import Discriminator, Heads, Patches
from .evaluate import SHOWN, evaluate, table, validation_pictures
from .initialise import PATCHES, new_model
from .lpips_loss import LpipsLoss, perceptual_networks
from .model import TrainModel
from .objective import TERMS, Chance, Losses, Objective
from .optimiser import learning_factor, optimiser_of_discriminator, optimisers_for
from .precision import Precision, choose
from .progress import SAY_SECONDS, catching, say

LOG = "training.jsonl"


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """Where a run reads and writes, and how long it may take.

    packed, validation: folders; out: of the run. minutes: of wall time. crops: the run ends when it has seen so many
    since its stage began, and `final` goes by them; what the minutes end before that goes on from there (0: only the
    minutes count). final: let the rates fall to nothing at the end. start: a file or folder that `transforms_of`
    reads, to begin with if `out` holds no checkpoint; without it, a KLT. resume: a file of `save_resumable`, of a run
    that began with `start`. evaluate_minutes: 0 for never. patches: of
    the KLT.
    """

    packed: str
    out: str
    validation: str
    minutes: float
    crops: int = 0
    final: bool = False
    processes: int = 1
    threads: int = 1
    device: str = "cpu"
    precision: Precision = "auto"
    backbones: str | None = None
    start: str | None = None
    resume: str | None = None
    checkpoint_minutes: float = 3.0
    evaluate_minutes: float = 10.0
    patches: int = PATCHES
    port: int = 29517


def discriminator_for(
    model: TrainModel, config: TrainConfig, networks: nn.ModuleDict | None
) -> Discriminator | None:
    """A new one, the same for the same seed; None in other stages than gan."""
    if config.stage != "gan":
        return None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        if config.discriminator == "patches":
            return Patches(model.config.levels)
        assert networks is not None
        widths = {k: n.widths for k, n in networks.items() if isinstance(n, LpipsLoss)}
        return Heads(model.config.levels, model.config.channels, widths)


class Worker:
    """One process of a run."""

    def __init__(self, rank: int, run: TrainingRun, config: TrainConfig) -> None:
        self.rank, self.run, self.config = rank, run, config
        self.device = torch.device(run.device)
        self.checkpoint, self.log = (Path(run.out) / name for name in (NAME, LOG))
        model, progress, tensors = load(self.checkpoint)
        model.to(self.device)
        networks = None
        if config.perceptual:
            networks = perceptual_networks(Path(run.backbones or "")).to(self.device)
            assert isinstance(networks, nn.ModuleDict)
        discriminator = discriminator_for(model, config, networks)
        optimisers = optimisers_for(model, config)
        if discriminator is not None:
            discriminator.to(self.device)
            optimisers.append(optimiser_of_discriminator(discriminator, config))
        self.rates = [[g["lr"] for g in o.param_groups] for o in optimisers]
        self.live = {n: p for n, p in model.named_parameters() if p.requires_grad}
        average = {n: p.detach().clone() for n, p in self.live.items()}
        norms = torch.zeros(TERMS, model.config.levels, device=self.device)
        self.state = TrainingState(model, average, optimisers, norms, progress, discriminator)
        restore(self.state, tensors)
        precision = choose(self.device, run.precision)
        self.objective = Objective(model, config, norms, networks, discriminator, precision)
        pictures, digest = open_packed(Path(run.packed))
        progress.notes["data"] = digest
        self.crops = crops_for(pictures, config.crop, config.seed, self.device)
        self.noise = torch.Generator(device=self.device)
        self.looks = rank == 0 and run.evaluate_minutes > 0
        self.valid = validation_pictures(Path(run.validation)) if self.looks else []
        self.hours, self.began = progress.hours, time.time()
        self.first, self.evaluated = progress.crops, 0.0
        self.sums: dict[str, float] = {}
        self.count, self.shown = 0, 0.0
        if rank == 0:
            say(f"computes in {precision}, {run.threads} of {os.cpu_count()} cores a process")

    def work(self, caught: list[int]) -> None:
        """Steps until the end of the run."""
        run, progress = self.run, self.state.progress
        saved = tested = time.time()
        each = self.config.batch * run.processes
        if self.looks and not self.log.exists():
            self.report()  # what it begins with
        while True:
            over = (time.time() - self.began) / (60 * run.minutes)
            self.set_rates(seen(progress, run.crops) if run.crops else over)
            self.step()
            progress.steps += 1
            progress.crops += each
            stop = bool(caught) or over >= 1 or seen(progress, run.crops) >= 1
            if run.processes > 1:
                if progress.steps % self.config.average_every:
                    continue
                stop = self.averaged_weights(stop)
            now = time.time()
            if self.rank == 0:
                if self.looks and (stop or now - tested > 60 * run.evaluate_minutes):
                    self.report()
                    tested = time.time()
                if stop or now - saved > 60 * run.checkpoint_minutes:
                    progress.hours = self.hours + (time.time() - self.began) / 3600
                    save(self.checkpoint, self.state)
                    saved = time.time()
            if stop:
                return

    def set_rates(self, part: float) -> None:
        """Learning rates of the next step. part: share of the run that is done."""
        config, progress = self.config, self.state.progress
        alone = progress.crops - progress.begun
        if config.stage == "gan" and config.discriminator == "heads":
            alone -= config.alone
        steps = max(0, alone) // (config.batch * self.run.processes)
        factor = learning_factor(steps, part, config, self.run.final)
        for optimiser, rates in zip(self.state.optimisers, self.rates, strict=True):
            judging = self.state.discriminator is not None and rates is self.rates[-1]
            for group, rate in zip(optimiser.param_groups, rates, strict=True):
                group["lr"] = rate if judging and not self.run.final else rate * factor

    def step(self) -> None:
        """One optimiser step; the moving average follows."""
        config, progress, state = self.config, self.state.progress, self.state
        seeds = np.random.SeedSequence((config.seed, self.rank, progress.steps))
        crops, numbers, noise = (int(v) for v in seeds.generate_state(3))
        self.crops.reseed(crops)
        pixels = next_batch(self.crops, config.batch, self.device)
        chance = Chance(np.random.default_rng(numbers), self.noise.manual_seed(noise))
        done = progress.crops - progress.begun
        losses = self.objective.backward(pixels, chance, done)
        grown = [p for p in self.live.values() if p.grad is not None]
        if grown:
            norm = nn.utils.clip_grad_norm_(grown, config.clip, error_if_nonfinite=False)
            if not torch.isfinite(norm):  # a step that went wrong counts for nothing
                for p in grown:
                    p.grad = None
                grown = []
        for optimiser in state.optimisers:
            optimiser.step()
        state.model.zero_grad(set_to_none=True)
        if state.discriminator is not None:
            state.discriminator.zero_grad(set_to_none=True)
        if grown:
            steps = progress.steps - progress.begun_steps
            weight = 1 - min(config.ema, 1 - 1 / (1 + steps / 10))
            average = [state.average[n] for n in self.live]
            torch._foreach_lerp_(average, [p.detach() for p in self.live.values()], weight)
        if self.rank == 0:
            self.show(losses)

    def averaged_weights(self, stop: bool) -> bool:
        """Give every process the mean of all weights, optimisers' states and running means; True if any of them
        wants to stop."""
        parts = [p.data for p in self.live.values()]
        if self.state.discriminator is not None:
            parts += [p.data for p in self.state.discriminator.parameters()]
            parts += [b for b in self.state.discriminator.buffers() if b.is_floating_point()]
        for optimiser in self.state.optimisers:
            own = (v for s in optimiser.state.values() for k, v in s.items() if k != "step")
            parts += [v for v in own if isinstance(v, Tensor)]
        parts.append(self.state.norms)
        stopping = torch.tensor([float(stop)], device=self.device)
        flat = torch.cat([p.reshape(-1) for p in parts] + [stopping])
        dist.all_reduce(flat)
        flat /= self.run.processes
        place = 0
        for p in parts:
            p.copy_(flat[place : place + p.numel()].view_as(p))
            place += p.numel()
        return bool(flat[-1] > 0)

    def show(self, losses: Losses) -> None:
        """A line of progress now and then: means since the last line."""
        for name, value in losses.items():
            self.sums[name] = self.sums.get(name, 0.0) + float(value)
        self.count += 1
        progress, now = self.state.progress, time.time()
        if now - self.shown < SAY_SECONDS and progress.steps > progress.begun_steps:
            return
        each = self.config.batch * self.run.processes
        speed = self.count * each / (now - (self.shown or self.began))
        means = " ".join(f"{k} {v / self.count:.4g}" for k, v in self.sums.items())
        say(
            f"{progress.crops + each - progress.begun} crops, {(now - self.began) / 60:.1f} min, "
            f"{speed:.2f} crops/s: {means}"
        )
        self.sums, self.count, self.shown = {}, 0, now

    def report(self) -> None:
        """Evaluate the averaged parameters, print a table and append one line to the log."""
        before = time.time()
        state, progress = self.state, self.state.progress
        same = copy.deepcopy(state.model)
        same.load_state_dict({**same.state_dict(), **state.average})
        levels = [k for k in SHOWN if k <= same.config.levels]
        curve = evaluate(same, self.valid, self.device, self.objective.networks, levels)
        hours = self.hours + (time.time() - self.began) / 3600
        trained = before - self.began - self.evaluated
        self.evaluated += time.time() - before
        line = {
            "stage": self.config.stage,
            "hours": round(hours, 4),
            "steps": progress.steps,
            "crops": progress.crops,
            "crops_per_second": round((progress.crops - self.first) / trained, 3),
            "levels": curve.levels,
            "psnr_at": [round(v, 3) for v in curve.at(curve.psnr)],
            "bpp": [round(v, 4) for v in curve.bpp],
            "psnr": [round(v, 3) for v in curve.psnr],
        }
        if curve.perceptual_psnr is not None:
            line["perceptual_psnr"] = [round(v, 3) for v in curve.perceptual_psnr]
        if curve.lpips is not None:
            line["lpips"] = [round(v, 4) for v in curve.lpips]
        with open(self.log, "a") as file:
            file.write(json.dumps(line) + "\n")
        print(f"{progress.crops} crops, {hours:.2f} hours\n{table(curve)}", flush=True)


def seen(progress: TrainingProgress, crops: int) -> float:
    """Share of a run of so many crops that is done; 0 if it has no end."""
    return (progress.crops - progress.begun) / crops if crops else 0.0


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


def begin(run: TrainingRun, config: TrainConfig, model_config: ModelConfig) -> None:
    """Write the first checkpoint of a run."""
    if run.start and run.resume:
        load_resumable(Path(run.out) / NAME, Path(run.resume), Path(run.start))
        return
    if run.start:
        path = Path(run.start)
        if not path.exists():
            raise ModelError(f"{path}: no such file or folder")
        model, progress = transforms_of(path)
        progress.notes["start"] = path.name
    else:
        if config.stage != "mse":
            raise UsageError(f"stage {config.stage} needs --start", "stage mse begins with nothing")
        say("no start: the KLT of the pictures' patches")
        torch.manual_seed(config.seed)
        pictures, _ = open_packed(Path(run.packed))
        crops = crops_for(pictures, config.crop, config.seed, torch.device("cpu"))
        model, progress = new_model(model_config, crops, run.patches), TrainingProgress()
    if config.stage == "mse":
        model.perceptual = None
    elif model.perceptual is None:
        if config.stage == "gan":
            raise UsageError(f"{run.start} has no perceptual decoder", "stage both grows one")
        torch.manual_seed(config.seed)
        model.perceptual = model.grown()
    progress.begun, progress.begun_steps = progress.crops, progress.steps
    progress.stage = config.stage
    norms = torch.zeros(TERMS, model.config.levels)
    save(Path(run.out) / NAME, TrainingState(model, {}, [], norms, progress))


def train(run: TrainingRun, config: TrainConfig, model_config: ModelConfig) -> None:
    """Start or resume a run in `run.out`. Raises UsageError, ModelError."""
    out = Path(run.out)
    out.mkdir(parents=True, exist_ok=True)
    checkpoint = out / NAME
    if not checkpoint.exists():
        begin(run, config, model_config)
    model, progress, _ = load(checkpoint)
    if config.only_level > model.config.levels:
        raise UsageError(f"--only-level {config.only_level}: the model has {model.config.levels}")
    if progress.stage != config.stage:
        raise UsageError(
            f"{checkpoint} is of stage {progress.stage}, not {config.stage}",
            f"begin a new run with --start {out}",
        )
    say(f"{checkpoint}: stage {config.stage}, {progress.crops} crops so far")
    if seen(progress, run.crops) >= 1:
        return
    if run.processes == 1:
        work(0, run, config)
    else:
        together(run, config)


def work(rank: int, run: TrainingRun, config: TrainConfig) -> None:
    """One process of a run, from the checkpoint to its end."""
    torch.set_num_threads(run.threads)
    with catching() as caught:
        if run.processes > 1:
            os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(run.port))
            dist.init_process_group("gloo", rank=rank, world_size=run.processes)
        Worker(rank, run, config).work(caught)
        if run.processes > 1:
            dist.destroy_process_group()
    if caught and run.processes == 1:
        raise SystemExit(128 + caught[0])


def together(run: TrainingRun, config: TrainConfig) -> None:
    """Run several processes; a signal to this one reaches them, and they write a checkpoint first."""
    started = mp.start_processes(  # type: ignore[attr-defined, no-untyped-call]
        work, (run, config), nprocs=run.processes, join=False, start_method="spawn"
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
