"""Training of the context network, behind finished transforms: code length of random passes, nothing else.

The network that learns is the integer network that codes; rounding passes gradients straight through. A step takes
random crops of indices and two random coding passes. A pass is drawn more often where a larger share of all bits is
spent, and its bits are weighted by how many levels hold them, each level by what it costs.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import save as serialise
from torch import Tensor, nn

from ..codec.inference.config import ModelConfig
from ..codec.inference.integer_network import MAGNITUDES, feature_table
from ..codec.networks.context import ContextNetwork, magnitude_logs
from ..codec.quantization.passes import CodingPass
from ..codec.quantization.step_sizes import (
    MEAN_COLOURS,
    NOT_SENT,
    StepSizes,
    planned,
    step_sizes_of,
)
from ..errors import ModelError
from ..storage.files import replace_file
from .checkpoint import read, transforms_of, under
from .data import find_pictures, open_packed, read_rgb
from .export import Tensors, context_tensors
from .indices import IndexCrops, analysis_digest, are_packed, at_depth, indices_of, pack_indices
from .model import TrainModel
from .optimiser import Muon
from .progress import SAY_SECONDS, catching, say

FIRST = ((9, 4), (24, 4), (80, 1), (256, 1))
"""Groups of level 1: up to which channel, in how many phases (docs/experiments.md)."""
CHECKPOINT = "context.safetensors"
SIDE = 16
"""Positions of a crop, each way."""
PASSES = 2
"""Passes of a step."""
EVENLY = 0.15
"""Share of the draws that goes to all passes alike."""
LAYER_0_BITS = 6.3
"""Bits of layer 0 a position, about: what a level costs begins with them."""
LOSS_UNIT = 30.0
"""Bits a position that make a loss of 1."""
BETAS, DECAY = (0.9, 0.98), 1e-4


@dataclass(frozen=True, slots=True)
class ContextConfig:
    """batch: crops of a step; lr, muon_lr: rates; warmup: steps; decay: last part of the run, in which rates fall;
    ema: of the moving average; crops: of the whole run; first: groups of passes of level 1; width, hidden: of the
    network, None: as the transforms' configuration says."""

    batch: int = 16
    lr: float = 3e-3
    muon_lr: float = 6e-3
    warmup: int = 50
    decay: float = 0.65
    ema: float = 0.995
    crops: int = 480_000
    seed: int = 0
    first: tuple[tuple[int, int], ...] = FIRST
    width: int | None = None
    hidden: int | None = None


@dataclass(frozen=True, slots=True)
class Groups:
    """The groups of coding passes as a weights file has them: `level`, `depths`, `phases` of `step_sizes_of`."""

    level: NDArray[np.int8]
    depths: NDArray[np.int8]
    phases: NDArray[np.int8]

    @classmethod
    def of(cls, depths: NDArray[np.int8], first: Sequence[tuple[int, int]]) -> Groups:
        return cls(*planned(depths, first))

    def table(self, unit: NDArray[np.float32], depths: NDArray[np.int8]) -> StepSizes:
        """The checked table of step sizes."""
        return step_sizes_of(unit, depths, self.level, self.depths, self.phases)


@dataclass(frozen=True, slots=True)
class Mask:
    """Which positions of a map a pass codes, and which its earlier phases have coded: bool (h, w)."""

    own: Tensor
    coded: Tensor

    @classmethod
    def of(cls, one: CodingPass, height: int, width: int) -> Mask:
        own = torch.full((height, width), not one.lattices)
        coded = torch.zeros(height, width, dtype=torch.bool)
        for y, x in one.lattices:
            own[y::2, x::2] = True
        for y, x in one.coded:
            coded[y::2, x::2] = True
        return cls(own, coded)


class Sight:
    """What the network sees of indices: values and logarithms, by tables. reach: int (C,)."""

    def __init__(self, table: StepSizes, reach: NDArray[np.int32]) -> None:
        self.table, self.reach = table, reach
        self.last = torch.from_numpy(table.depths[-1].astype(np.int16))
        self.logs = magnitude_logs().numpy().astype(np.int32)
        self.most = MAGNITUDES - 1
        self.base = torch.arange(table.channels) * (2 * self.most + 1) + self.most
        self._known: dict[bytes, Tensor] = {}

    def features(self, indices: Tensor, one: CodingPass, mask: Mask) -> Tensor:
        """float (B, h, w, 2 C) before a pass. indices: int16 (B, h, w, C) at the last level."""
        seen = self._seen(at_depth(indices, self.last, one.before), one.before)
        if one.phase:
            chosen = torch.from_numpy(one.channels)
            now = at_depth(indices, self.last, one.after)[..., chosen]
            newer = self._seen(now, one.after, chosen)
            coded = mask.coded[..., None, None]
            seen[..., chosen, :] = torch.where(coded, newer, seen[..., chosen, :])
        return seen.transpose(-1, -2).flatten(-2)

    def _seen(self, indices: Tensor, depth: NDArray[np.int8], rows: Tensor | None = None) -> Tensor:
        """(..., C, 2) of indices at `depth`."""
        key = depth.tobytes()
        if key not in self._known:
            number = np.arange(-self.most, self.most + 1)
            table = feature_table(self.reach, depth.astype(np.int32), self.logs, number)
            self._known[key] = torch.from_numpy(table.reshape(-1, 2))
        base = self.base if rows is None else self.base[rows]
        return self._known[key][indices.clamp(-self.most, self.most).long() + base]

    def bits(self, logit: Tensor, indices: Tensor, one: CodingPass, mask: Mask) -> Tensor:
        """(R,): bits of the channels of a pass. logit: (B, h, w, 3, R)."""
        chosen = torch.from_numpy(one.channels)
        before = at_depth(indices, self.last, one.before)[..., chosen][:, mask.own]
        value = at_depth(indices, self.last, one.after)[..., chosen][:, mask.own].float()
        was, size = before.abs().float(), value.abs()
        significance, sign, refinement = (logit[:, mask.own][..., kind, :] for kind in range(3))
        alive, leaving = size > 0, was == 0
        bits = torch.where(
            leaving, F.softplus(torch.where(alive, significance, -significance)), 0.0
        )
        bits = bits + torch.where(leaving & alive, F.softplus(-sign * value.sign()), 0.0)
        outer, stop = refinements(was, size, torch.from_numpy(one.before[one.channels]))
        bits = bits + outer * F.softplus(refinement) + stop * F.softplus(-refinement)
        total: Tensor = bits.sum((0, 1)) / math.log(2)
        return total


def refinements(was: Tensor, size: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
    """How many outer and inner halves are coded of magnitudes (..., R): of channels that are new, an index is
    counted upwards; of others, that were not 0, it lies in one half or the other."""
    first, leaving, begun = before == NOT_SENT, was == 0, (size > 0).float()
    outer = torch.where(first, size - begun, (size - 2 * was) * ~leaving)
    return outer, torch.where(first, begun, (~leaving).float() - outer)


def biases(table: StepSizes, last: Tensor, indices: Tensor) -> Tensor:
    """(S, 3 C): logits of what is met on average, for a start."""
    out = torch.zeros(len(table.passes), 3 * table.channels)
    for number, one in enumerate(table.passes):
        chosen = torch.from_numpy(one.channels)
        was = at_depth(indices, last, one.before)[..., chosen].abs().float()
        size = at_depth(indices, last, one.after)[..., chosen].abs().float()
        leaving = was == 0
        met, began = leaving.sum((0, 1, 2)), (leaving & (size > 0)).sum((0, 1, 2))
        out[number, chosen] = torch.log((met - began + 1) / (began + 0.5)).clamp(-6, 8)
        outer, stop = refinements(was, size, torch.from_numpy(one.before[one.channels]))
        share = (stop.sum((0, 1, 2)) + 1) / (outer.sum((0, 1, 2)) + 1)
        out[number, chosen + 2 * table.channels] = torch.log(share).clamp(-4, 4)
    return out


def reach_of(table: StepSizes, indices: Tensor) -> NDArray[np.int32]:
    """(C,): depth at which 2 |index| + 1 is 16 for a latent of one standard deviation; of the mean colours, their
    first depth."""
    spread = indices.double().square().mean((0, 1, 2)).sqrt().numpy().clip(1e-3)
    spread = spread * table.step_sizes(table.levels)
    reach: NDArray[np.int32] = np.round(np.log2(table.unit / (2 * spread) * 16)).astype(np.int32)
    mean = list(MEAN_COLOURS)
    reach[mean] = table.depths[0, mean]
    return reach


def shares(table: StepSizes, bits: NDArray[np.float64]) -> tuple[Tensor, NDArray[np.float64]]:
    """Weights of the passes, and how often each is drawn, from what each costs now (S,), in bits a position.

    A bit of level k is part of all files of k and above; there it is worth its share of all bits.
    """
    level = np.array([one.level for one in table.passes])
    upto = np.cumsum([bits[level == k].sum() for k in range(1, table.levels + 1)]) + LAYER_0_BITS
    worth = np.cumsum((1 / upto)[::-1])[::-1]
    weight = worth[level - 1]
    drawn = weight * bits
    drawn = (1 - EVENLY) * drawn / drawn.sum() + EVENLY / len(drawn)
    return torch.from_numpy(weight), drawn


@torch.no_grad()
def code_lengths(
    network: ContextNetwork, sight: Sight, pictures: Sequence[NDArray[np.int16]]
) -> NDArray[np.float64]:
    """Bits a position of every pass, mean over pictures int16 (h, w, C)."""
    total = np.zeros(len(network.passes))
    for picture in pictures:
        indices = torch.from_numpy(np.array(picture))[None]
        height, width = picture.shape[:2]
        for number, one in enumerate(network.passes):
            mask = Mask.of(one, height, width)
            logit = network(sight.features(indices, one, mask), number, mask.coded)
            total[number] += float(sight.bits(logit, indices, one, mask).sum()) / (height * width)
    return total / len(pictures)


@dataclass(slots=True)
class ContextState:
    """A context network and all that training changes. weight, drawn: of `shares`; digest: of the analysis in
    front of it (`analysis_digest`)."""

    config: ModelConfig
    unit: NDArray[np.float32]
    depths: NDArray[np.int8]
    groups: Groups
    reach: NDArray[np.int32]
    network: ContextNetwork
    average: dict[str, Tensor]
    weight: Tensor
    drawn: NDArray[np.float64]
    digest: str
    steps: int = 0
    crops: int = 0
    hours: float = 0.0

    @property
    def table(self) -> StepSizes:
        return self.groups.table(self.unit, self.depths)

    def averaged(self) -> ContextNetwork:
        """The network of the moving averages, which is what is released."""
        network = ContextNetwork(self.config, self.network.passes)
        network.load_state_dict(self.average)
        return network

    def tensors(self) -> Tensors:
        """Arrays of a weights file."""
        with torch.no_grad():
            whole = self.averaged().weights().map(lambda v: v.numpy())
        return context_tensors(whole) | {
            "groups.level": self.groups.level,
            "groups.depths": self.groups.depths,
            "groups.phases": self.groups.phases,
            "reach": self.reach.astype(np.int8),
            "logs": magnitude_logs().numpy().astype(np.int16),
        }


def new_state(
    model: TrainModel, crops: IndexCrops, valid: Sequence[NDArray[np.int16]], config: ContextConfig
) -> ContextState:
    """A network that has learned nothing but averages."""
    depths, unit = model.depths.numpy(), model.unit.numpy()
    groups = Groups.of(depths, config.first)
    table = groups.table(unit, depths)
    shape = replace(
        model.config,
        context_width=config.width or model.config.context_width,
        context_hidden=config.hidden or model.config.context_hidden,
    )
    some = crops.batch(np.random.default_rng(config.seed), 512, SIDE, SIDE)
    torch.manual_seed(config.seed)
    network, reach = ContextNetwork(shape, table.passes), reach_of(table, some)
    network.show_directly(MEAN_COLOURS)
    sight = Sight(table, reach)
    with torch.no_grad():
        network.exit_bias.copy_(biases(table, sight.last, some[:256]))
    weight, drawn = shares(table, code_lengths(network, sight, valid[:3]))
    average = {k: v.detach().clone() for k, v in network.state_dict().items()}
    return ContextState(
        shape, unit, depths, groups, reach, network, average, weight, drawn, analysis_digest(model)
    )


def optimisers_of(network: ContextNetwork, config: ContextConfig) -> list[torch.optim.Optimizer]:
    """Muon for the two matrices inside, AdamW for the rest."""
    inside = [network.mid, network.back]
    rest = [p for p in network.parameters() if all(p is not q for q in inside)]
    muon = Muon([{"params": inside, "lr": config.muon_lr}], config.muon_lr)
    return [muon, torch.optim.AdamW(rest, config.lr, betas=BETAS, weight_decay=DECAY)]


def step(
    state: ContextState,
    sight: Sight,
    optimisers: list[torch.optim.Optimizer],
    crops: IndexCrops,
    config: ContextConfig,
) -> float:
    """One step; returns its loss."""
    part = state.crops / config.crops
    factor = min(1.0, (state.steps + 1) / config.warmup)
    if part > 1 - config.decay:
        factor *= max(0.005, math.cos((part - 1 + config.decay) / config.decay * math.pi / 2))
    for optimiser, rate in zip(optimisers, (config.muon_lr, config.lr), strict=True):
        for group in optimiser.param_groups:
            group["lr"] = rate * factor
    rng = np.random.default_rng((config.seed, state.steps))
    network, passes = state.network, state.network.passes
    indices = crops.batch(rng, config.batch, SIDE, SIDE)
    loss = torch.zeros(())
    count = min(PASSES, len(passes))
    for number in rng.choice(len(passes), count, p=state.drawn, replace=False):
        one, mask = passes[number], Mask.of(passes[number], SIDE, SIDE)
        logit = network(sight.features(indices, one, mask), int(number), mask.coded)
        bits = sight.bits(logit, indices, one, mask).sum() / (config.batch * SIDE**2)
        share = float(state.weight[number]) / (float(state.drawn[number]) * len(passes))
        loss = loss + share * bits / LOSS_UNIT
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    for optimiser in optimisers:
        optimiser.step()
    network.zero_grad(set_to_none=True)
    state.steps += 1
    state.crops += config.batch
    weight = 1 - min(config.ema, 1 - 1 / (1 + state.steps / 10))
    for name, p in network.named_parameters():
        state.average[name].lerp_(p.detach(), weight)
    return float(loss.detach())


def save_context(path: Path, state: ContextState, optimisers: list[torch.optim.Optimizer]) -> None:
    """Write a checkpoint, whole or not at all."""
    tensors = {f"model.{k}": v for k, v in state.network.state_dict().items()}
    tensors |= {f"average.{k}": v for k, v in state.average.items()}
    names: dict[Tensor, str] = {p: n for n, p in state.network.named_parameters()}
    for index, optimiser in enumerate(optimisers):
        for parameter, own in optimiser.state.items():
            for key, value in own.items():
                name = f"optimiser{index}.{key}.{names[parameter]}"
                tensors[name] = torch.as_tensor(value)
    arrays = {
        "unit": state.unit,
        "depths": state.depths,
        "groups.level": state.groups.level,
        "groups.depths": state.groups.depths,
        "groups.phases": state.groups.phases,
        "reach": state.reach,
        "drawn": state.drawn,
    }
    tensors |= {k: torch.from_numpy(np.ascontiguousarray(v)) for k, v in arrays.items()}
    tensors["weight"] = state.weight
    facts = {
        "context": json.dumps(
            {k: getattr(state, k) for k in ("steps", "crops", "hours", "digest")}
        ),
        "config": json.dumps(state.config.to_dict()),
    }
    data = serialise({k: v.detach().clone().contiguous() for k, v in tensors.items()}, facts)
    replace_file(str(path), data)


def context_of(path: Path) -> ContextState:
    """The state that `save_context` wrote, without optimisers. Raises ModelError."""
    if path.is_dir():
        path = path / CHECKPOINT
    tensors, facts = read(path)
    if "context" not in facts:
        raise ModelError(f"{path}: not a checkpoint of `sic train context`")
    config = ModelConfig.from_dict(json.loads(facts["config"]))
    array = {k: v.numpy() for k, v in tensors.items() if v.dtype != torch.bfloat16}
    groups = Groups(*(array[f"groups.{k}"] for k in ("level", "depths", "phases")))
    table = groups.table(array["unit"], array["depths"])
    network = ContextNetwork(config, table.passes)
    network.load_state_dict(under(tensors, "model."))
    return ContextState(
        config,
        array["unit"],
        array["depths"],
        groups,
        array["reach"].astype(np.int32),
        network,
        under(tensors, "average."),
        tensors["weight"],
        array["drawn"],
        **json.loads(facts["context"]),
    )


def restore_optimisers(
    path: Path, network: ContextNetwork, optimisers: list[torch.optim.Optimizer]
) -> None:
    """Give optimisers what a checkpoint holds of them."""
    tensors, _ = read(path)
    parameters = dict(network.named_parameters())
    for index, optimiser in enumerate(optimisers):
        for rest, value in under(tensors, f"optimiser{index}.").items():
            key, _, name = rest.partition(".")
            optimiser.state[parameters[name]][key] = value


@dataclass(frozen=True, slots=True)
class ContextRun:
    """transforms: what `transforms_of` reads; packed, validation: folders; out: of the run, resumed if it holds a
    checkpoint, and of the indices; minutes: of wall time; variants: of each picture."""

    transforms: str
    packed: str
    validation: str
    out: str
    minutes: float
    threads: int = 1
    variants: int = 2
    checkpoint_minutes: float = 3.0
    evaluate_minutes: float = 10.0


def prepare(run: ContextRun, model: TrainModel) -> IndexCrops:
    """The indices of all training pictures, computed if they are not there."""
    out = Path(run.out)
    if not are_packed(out, model):
        pictures, _ = open_packed(Path(run.packed))
        shown = time.time()
        say(f"computes the indices of {len(pictures)} pictures, {run.variants} times")
        for part in pack_indices(model, pictures, out, run.variants):
            if time.time() - shown > SAY_SECONDS:
                shown = time.time()
                say(f"{100 * part:.0f} %")
    return IndexCrops.open(out)


def train_context(run: ContextRun, config: ContextConfig) -> ContextState:
    """Start or resume a run. Raises ModelError."""
    torch.set_num_threads(run.threads)
    out, path = Path(run.out), Path(run.out) / CHECKPOINT
    model, _ = transforms_of(Path(run.transforms))
    crops = prepare(run, model)
    pictures = find_pictures(Path(run.validation))[::4]
    valid = [indices_of(model, read_rgb(p)) for p in pictures]
    if path.exists():
        state = context_of(path)
        if state.digest != analysis_digest(model):
            raise ModelError(f"{path} was trained behind another analysis", "give another --out")
    else:
        state = new_state(model, crops, valid, config)
    optimisers = optimisers_of(state.network, config)
    if path.exists():
        restore_optimisers(path, state.network, optimisers)
    sight = Sight(state.table, state.reach)
    hours, began, shown, crops_then = state.hours, time.time(), time.time(), state.crops
    saved = tested = began

    def finish() -> None:
        state.hours = hours + (time.time() - began) / 3600
        save_context(path, state, optimisers)

    def report() -> None:
        bits = code_lengths(state.averaged(), sight, valid)
        level = np.array([one.level for one in state.network.passes])
        upto = np.cumsum([bits[level == k].sum() for k in range(1, state.table.levels + 1)])
        line = {
            "crops": state.crops,
            "hours": round(hours + (time.time() - began) / 3600, 4),
            "bits_of_levels": [round(float(v), 3) for v in upto],
        }
        with open(out / "context.jsonl", "a") as file:
            file.write(json.dumps(line) + "\n")
        chosen = [k for k in (1, 2, 4, 6, 9, 12, 16) if k <= len(upto)]
        bpp = " ".join(f"{k}: {upto[k - 1] / 256:.4f}" for k in chosen)
        print(f"{state.crops} crops, bpp without layer 0 up to level {bpp}", flush=True)

    with catching() as caught:
        while state.crops < config.crops:
            loss = step(state, sight, optimisers, crops, config)
            now = time.time()
            stop = bool(caught) or now - began > 60 * run.minutes or state.crops >= config.crops
            if now - shown > SAY_SECONDS or state.steps == 1:
                speed = (state.crops - crops_then) / (now - began)
                say(f"{state.crops} of {config.crops} crops, {speed:.0f} a second: loss {loss:.3f}")
                shown = now
            if run.evaluate_minutes and (stop or now - tested > 60 * run.evaluate_minutes):
                report()
                tested = now
            if stop or now - saved > 60 * run.checkpoint_minutes:
                finish()
                saved = now
            if stop:
                break
    if caught:
        raise SystemExit(128 + caught[0])
    return state
