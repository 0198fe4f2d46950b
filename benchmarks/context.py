"""Variants of the context network, each trained anew for the same processor time.

    python benchmarks/context.py runs/packed --start sic-4 --seconds 360 --out runs/context

Transforms are those of a release, frozen. The latents of some training crops are cut once into
`latents.npy`, so that a variant's time is spent on its context network alone; all variants see the
same crops in the same order. Each finished variant is a line of `context.jsonl`: call it again and it
goes on at the next. Rates are of held-out pictures, in floating-point code lengths.

The hyper-latent's layers work in floats, and what it tells is added behind the entry: no less than an
integer network could have. Milliseconds are processor time of the coder's own network
(`codec/inference/context.py`), one thread, random weights of the same shape, a picture of 768x512, all levels.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from context_variants import Net, Variant, fresh, late, products, variants
from numpy.typing import NDArray
from torch import Tensor

from sic_cli.codec.inference.config import STRIDE
from sic_cli.codec.inference.context import ContextRunner
from sic_cli.codec.inference.integer_network import LOGIT_ONE, ContextWeights, context_shapes
from sic_cli.codec.networks.codec_model import CodecModel
from sic_cli.codec.weights.locate import find
from sic_cli.storage.files import replace_file
from sic_cli.training.checkpoint import model_from_weights
from sic_cli.training.config import TrainConfig
from sic_cli.training.data import Crops, find_pictures, open_packed, read_rgb
from sic_cli.training.loop import learning_factor, optimisers_for
from sic_cli.training.loss import dead_zone_indices, layer_bits
from sic_cli.training.objective import Objective, draw_levels, known_norms

LEVELS = (1, 4, 7, 11, 16)
CONFIG = TrainConfig(
    stage="context", batch=8, favour=3.0, lr=3e-3, muon_lr=6e-3, warmup=50, decay=0.5, ema=0.99
)
"""As the trainer, with higher learning rates: they did better in a minute than those of long runs."""
ROUNDS = 20
TIMED = (32, 48)
"""Positions of a picture of 768x512."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Variants of the context network at equal time.")
    parser.add_argument("packed", type=Path, help="folder of `sic train pack`")
    parser.add_argument("--start", default="sic-4", help="release whose transforms are used")
    parser.add_argument("--seconds", type=float, default=360.0, help="processor time of a variant")
    parser.add_argument("--out", type=Path, default=Path("runs/context"))
    parser.add_argument("--only", help="only these variants, by commas")
    parser.add_argument("--crops", type=int, default=8000, help="of 256x256, held in memory")
    parser.add_argument("--holdout", type=Path, default=Path("../shared/data/holdout"))
    parser.add_argument("--every", type=int, default=2, help="measure every n-th picture of it")
    given = parser.parse_args()
    torch.set_num_threads(1)
    start = model_from_weights(find(given.start))
    known = variants(start.config)
    names = given.only.split(",") if given.only else list(known)
    if strange := [name for name in names if name not in known]:
        raise SystemExit(f"no variant {strange[0]}; there are {', '.join(known)}")
    given.out.mkdir(parents=True, exist_ok=True)
    pictures, digest = open_packed(given.packed)
    facts: dict[str, Any] = {"start": given.start, "data": digest, "crops": given.crops}
    facts |= {"seconds": given.seconds}
    latents = crop_latents(start, pictures, given.out, given.crops)
    paths = find_pictures(given.holdout)[:: given.every]
    held = [latent_of(start, read_rgb(path)) for path in paths]
    facts |= {"pictures": [path.name for path in paths]}
    go_on(given.out, {name: known[name] for name in names}, start, latents, held, facts)
    rows = finished(given.out, facts)
    rows = {name: rows[name] for name in known if name in rows}
    times = milliseconds(start, {name: known[name] for name in rows}, held)
    for name, row in rows.items():
        row["ms"], row["products"] = times[name], products(fresh(start, known[name]))
    text = table(rows)
    (given.out / "context.md").write_text(text)
    print(text)


def latent_of(model: CodecModel, pixels: NDArray[np.uint8]) -> Tensor:
    """float (1, C, h, w) of a picture (H, W, 3)."""
    with torch.inference_mode():
        x = torch.from_numpy(np.array(pixels)).permute(2, 0, 1)[None].float() - 127.5
        x = F.pad(x, (0, -x.shape[3] % STRIDE, 0, -x.shape[2] % STRIDE), mode="replicate")
        made: Tensor = model.analysis(x)
        return made


def crop_latents(
    model: CodecModel, pictures: list[np.ndarray], out: Path, count: int, size: int = 256
) -> NDArray[np.float16]:
    """float16 (count, C, size / 16, size / 16), made once."""
    path, side = out / "latents.npy", size // STRIDE
    shape = (count, model.config.channels, side, side)
    if path.exists():
        known: NDArray[np.float16] = np.load(path, mmap_mode="r")
        if known.shape != shape:
            raise SystemExit(f"{path} holds other crops {known.shape}; name another folder")
        return known
    part, crops = path.with_suffix(".part"), Crops(pictures, size, seed=CONFIG.seed)
    file = np.lib.format.open_memmap(str(part), mode="w+", dtype=np.float16, shape=shape)
    for place in range(count):
        file[place] = latent_of(model, crops.one())[0].numpy()
    file.flush()
    part.rename(path)
    return file


def go_on(
    out: Path,
    runs: dict[str, Variant],
    start: CodecModel,
    latents: NDArray[np.float16],
    held: list[Tensor],
    facts: dict[str, Any],
) -> None:
    """Train and measure what is not finished."""
    for name, variant in runs.items():
        if name in finished(out, facts):
            continue
        model, seen = trained(fresh(start, variant), variant, latents, facts["seconds"])
        side, bpp = rates(model, held)
        row = {"variant": name, "seen": seen, "passes": len(model.pass_level)}
        row |= {"side_bpp": side, "bpp": bpp, "facts": facts}
        text = "".join(json.dumps(r) + "\n" for r in finished(out, facts).values())
        replace_file(str(out / "context.jsonl"), (text + json.dumps(row) + "\n").encode())
        print(f"{name}: {seen} crops, {bpp[0]:.4f} to {bpp[-1]:.4f} bpp", flush=True)


def finished(out: Path, facts: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Variant -> its line. Ends with one sentence if they were made with other options."""
    path = out / "context.jsonl"
    rows = [json.loads(text) for text in path.read_text().splitlines()] if path.exists() else []
    if any(row["facts"] != facts for row in rows):
        raise SystemExit(f"{path}: begun with other options; name another folder")
    return {row["variant"]: row for row in rows}


def trained(
    model: CodecModel, variant: Variant, latents: NDArray[np.float16], seconds: float
) -> tuple[CodecModel, int]:
    """The model with the average of its parameters, and the crops that it saw."""
    config, net, passes = replace(CONFIG, seed=variant.seed), model.context, len(model.pass_level)
    assert isinstance(net, Net)
    optimisers = optimisers_for(model, config)
    rates = [[group["lr"] for group in o.param_groups] for o in optimisers]
    live = [p for p in model.parameters() if p.requires_grad]
    average = [p.detach().clone() for p in live]
    norms = known_norms([], model.config.levels)
    objective = Objective(model, config, norms, None, torch.Generator())
    chance, order = (np.random.default_rng(config.seed + i) for i in (0, 1000))
    paid = share_of_first(model.config.levels, config.favour) + 1 / passes
    area, turn, done = (latents.shape[2] * STRIDE) ** 2, np.zeros(0, np.int64), 0
    began = time.process_time()
    while (part := (time.process_time() - began) / seconds) < 1:
        factor = learning_factor(done, part, config, final=True)
        for optimiser, known in zip(optimisers, rates, strict=True):
            for group, rate in zip(optimiser.param_groups, known, strict=True):
                group["lr"] = rate * factor
        if len(turn) < config.batch:
            turn = order.permutation(len(latents))
        mine, turn = turn[: config.batch], turn[config.batch :]
        latent = torch.from_numpy(latents[mine].astype(np.float32))
        _, drawn = objective.choose_levels(len(latent), chance)
        bits = paid * net.look(model, latent)
        for i in range(drawn.shape[1]):
            bits = bits + layer_bits(model, latent, drawn[:, i])
        (config.bits_weight * bits.mean() / area).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(live, config.clip)
        for optimiser in optimisers:
            optimiser.step()
        model.zero_grad(set_to_none=True)
        done += 1
        torch._foreach_lerp_(average, [p.detach() for p in live], 1 - config.ema)
    with torch.no_grad():
        for p, mean in zip(live, average, strict=True):
            p.copy_(mean)
    return model, done * config.batch


def share_of_first(levels: int, favour: float) -> float:
    """How often level 1 is drawn: what the hyper-latent, which is part of it, pays per crop."""
    drawn = draw_levels(np.random.default_rng(0), levels, 10_000, favour)
    return float((drawn == 0).mean())


@torch.no_grad()
def rates(model: CodecModel, held: list[Tensor]) -> tuple[float, list[float]]:
    """Bits per pixel of the hyper-latent, and of all up to each level with it, means over pictures."""
    net, total, side = model.context, np.zeros(model.config.levels), 0.0
    assert isinstance(net, Net)
    for latent in held:
        area = latent.shape[2] * latent.shape[3] * STRIDE**2 * len(held)
        side += net.look(model, latent).item() / area
        for coding_pass, level in enumerate(model.pass_level):
            total[level - 1] += layer_bits(model, latent, torch.tensor([coding_pass])).item() / area
    total[0] += side
    return side, [round(v, 6) for v in total.cumsum().tolist()]


def milliseconds(
    start: CodecModel, runs: dict[str, Variant], held: list[Tensor]
) -> dict[str, float | None]:
    """Processor time of all passes, the least of some rounds. None for what the coder cannot run."""
    latent = max(held, key=lambda one: one.shape[2] * one.shape[3])[0]
    height, width = TIMED
    tiles = (1, -(-height // latent.shape[1]), -(-width // latent.shape[2]))
    latent = latent.repeat(*tiles)[None, :, :height, :width]
    shapes = {n: replace(v, whole=True, side=0, seed=0) for n, v in runs.items() if runs_there(v)}
    works = {v: Passes.of(fresh(start, v), v, latent) for v in shapes.values()}
    best = dict.fromkeys(works, math.inf)
    for _ in range(ROUNDS):
        for shape, passes in works.items():
            before = time.process_time()
            passes.run()
            best[shape] = min(best[shape], 1000 * (time.process_time() - before))
    return {n: round(best[shapes[n]], 1) if n in shapes else None for n in runs}


def runs_there(variant: Variant) -> bool:
    """Can the coder's network do it?"""
    return variant.learns and variant.kernel == 3


@dataclass(frozen=True, slots=True)
class Passes:
    """All passes over one picture. full: the network; bare: without its blocks, for the passes `late`;
    indices: after each pass, of the channels that it refines."""

    full: ContextRunner
    bare: ContextRunner
    late: tuple[bool, ...]
    indices: tuple[NDArray[np.int32], ...]
    sees: bool

    @classmethod
    def of(cls, model: CodecModel, variant: Variant, latent: Tensor) -> Passes:
        """What is to be done for a latent (1, C, h, w)."""
        passes = torch.arange(len(model.pass_level))
        skips = late(passes, model.config) & torch.tensor(variant.stale)
        full, bare = context_runner(model, model.config.context_blocks), context_runner(model, 0)
        indices = (
            dead_zone_indices(latent, model.step_sizes(depth)[None])[0].numpy()
            for depth in model.pass_depths[1:]
        )
        fine = tuple(
            c[full.refined_channels(coding_pass)].astype(np.int32)
            for coding_pass, c in enumerate(indices)
        )
        return cls(full, bare, tuple(skips.tolist()), fine, variant.sees)

    def run(self) -> None:
        sums = self.full.empty_sums(*self.indices[0].shape[1:])
        for coding_pass, skip in enumerate(self.late):
            if coding_pass and self.sees:
                sums = self.full.update(
                    sums, self.indices[coding_pass - 1], coding_pass - 1, threads=1
                )
            what = self.bare if skip else self.full
            what.classes_from_sums(
                sums, coding_pass, self.full.refined_channels(coding_pass), threads=1
            )


def context_runner(model: CodecModel, blocks: int) -> ContextRunner:
    """The coder's own network, of random weights."""
    rng = np.random.default_rng(0)
    passes = model.pass_depths.to(torch.int8).numpy()
    shapes = context_shapes(replace(model.config, context_blocks=blocks), len(passes) - 1)

    def drawn(name: str) -> NDArray[np.float32]:
        most = LOGIT_ONE if "bias" in name else 40
        return rng.integers(-most, most + 1, shapes[name]).astype(np.float32)

    def many(name: str) -> tuple[NDArray[np.float32], ...]:
        return tuple(drawn(f"{name}.{i}") for i in range(blocks))

    weights = ContextWeights(
        *(drawn("entry"), drawn("entry_bias"), many("mid"), many("mid_bias"), many("back")),
        *(drawn("exit"), drawn("exit_bias")),
    )
    return ContextRunner(weights, model.reach.numpy(), model.logs.numpy(), passes)


def table(rows: dict[str, dict[str, Any]]) -> str:
    """Bits up to a level in percent above those of the base, where it is there."""
    base = rows.get("base", next(iter(rows.values())))
    levels = [k for k in LEVELS if k <= len(base["bpp"])]
    heads = " | ".join(f"level {k}" for k in levels)
    lines = [
        f"| variant | crops seen | passes | products | ms | {heads} |",
        "|---" * (5 + len(levels)) + "|",
    ]
    for name, row in rows.items():
        columns = [f"{row['bpp'][k - 1]:.4f} bpp" for k in levels]
        if row is not base:
            columns = [
                f"{100 * (row['bpp'][k - 1] / base['bpp'][k - 1] - 1):+.2f} %" for k in levels
            ]
        ms = "-" if row["ms"] is None else f"{row['ms']:.0f}"
        shape = f"{row['seen']} | {row['passes']} | {row['products'] / 1000:.0f}k | {ms}"
        lines.append(f"| {name} | {shape} | {' | '.join(columns)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
