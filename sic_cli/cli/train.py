"""sic train: pack pictures, run the stages, train context networks, export. The only command that imports the
training folder."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeVar

import click

from ..codec.inference.config import STRIDE, ModelConfig
from ..errors import InputError, ModelError, ResourceError, UsageError, has_torch, install_hint
from ..training.config import DEFAULTS, JUDGES, STAGES, TrainConfig
from .common import Number, global_options, one_device

F = TypeVar("F", bound=Callable[..., Any])
BACKBONES = "SIC_LPIPS_WEIGHTS"
PACKED = "Folder from `sic train pack`."
VALIDATION = "Folder of pictures to evaluate on (never trained on)."


def _number(
    name: str,
    text: str,
    default: float | None = None,
    *,
    least: float | None = None,
    most: float | None = None,
    open_: bool = False,
) -> Callable[[F], F]:
    """An option that is a number, whole if its default is; without a default it is that of the stage."""
    known = [getattr(config, name) for config in DEFAULTS.values()] if default is None else []
    kind = (
        click.IntRange(int(least or 0), None if most is None else int(most))
        if isinstance(known[0] if known else default, int)
        else Number(least, most, min_open=open_)
    )
    dashed = f"--{name.replace('_', '-')}"
    if default is not None:
        return click.option(dashed, type=kind, default=default, show_default=True, help=text)
    same = len(set(known)) == 1
    said = (
        f"{known[0]:g}"
        if same
        else ", ".join(f"{s}: {v:g}" for s, v in zip(DEFAULTS, known, strict=False))
    )
    return click.option(dashed, type=kind, help=f"{text}  [default: {said}]")


def _path(name: str, text: str, required: bool = True) -> Callable[[F], F]:
    return click.option(name, required=required, type=click.Path(path_type=Path), help=text)


def _check_packed(packed: Path) -> None:
    if not (packed / "index.json").is_file():
        raise InputError(f"{packed}: no packed pictures there", "run `sic train pack` first")


def _check_validation(folder: Path) -> None:
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")


def _check_exists(*paths: Path | None) -> None:
    for path in paths:
        if path and not path.exists():
            raise ModelError(f"{path}: no such file or folder")


@click.group()
@global_options
def command() -> None:
    """Train or continue a model, and export weights.

    \b
    Examples:
      sic train pack pictures packed
      sic train run --packed packed --validation holdout --out runs/a --minutes 90
      sic train context --packed packed --validation holdout --transforms runs/a --out runs/c
      sic train export --packed packed --transforms runs/a --context runs/c --name my-weights
    """
    if not has_torch():
        raise ResourceError("training needs torch, which is not installed", install_hint("train"))


@command.command()
@click.argument("pictures", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.argument("packed", type=click.Path(path_type=Path))
@click.option("--workers", type=click.IntRange(1, 256), default=2, show_default=True)
@global_options
def pack(pictures: tuple[Path, ...], packed: Path, workers: int) -> None:
    """Decode all pictures below the folders PICTURES into the folder PACKED.

    \b
    Examples:
      sic train pack pictures packed --workers 4
      sic train pack pictures wallpapers packed
    """
    from ..training.data import pack as pack_pictures

    try:
        click.echo(pack_pictures(pictures, packed, workers))
    except FileNotFoundError as error:
        raise InputError(str(error)) from None


@command.command()
@_path("--packed", PACKED)
@_path("--out", "Folder of the run; resumed if it holds a checkpoint.")
@_path("--validation", VALIDATION)
@click.option(
    "--stage",
    type=click.Choice(STAGES),
    default="mse",
    show_default=True,
    help="What learns: analysis and MSE decoder, both decoders, or the perceptual one alone.",
)
@_path("--start", "Run, weights or file of transforms to begin with (default: a KLT).", False)
@_path("--resume", "What `sic train shrink --resume` kept of a run that began with --start.", False)
@_number("minutes", "Wall time of this run.", 60.0, least=0.0, open_=True)
@_number("crops", "End of the stage in crops, over all its parts (0: minutes alone).", 0, least=0)
@click.option("--final", is_flag=True, help="Let the learning rate fall to nothing at the end.")
@click.option("--device", default="cpu", callback=one_device, show_default=True)
@click.option(
    "--precision",
    type=click.Choice(["auto", "bfloat16", "float32"]),
    default="auto",
    show_default=True,
    help="Of the networks' products; auto: bfloat16 where the device multiplies it.",
)
@_number("processes", "CPU processes whose weights are averaged.", 1, least=1, most=64)
@_number("threads", "Threads per process.", 1, least=1, most=1024)
@_path(
    "--backbones",
    f"Folder of the perceptual loss's networks, for both and gan (default: {BACKBONES}).",
    False,
)
@_number("batch", "Crops per process and step.", least=1)
@_number("crop", "Side of a crop in pixels.", least=32)
@_number("lr", "Learning rate of Adam; Muon's is twice that.", least=0.0)
@_number("encoder_lr", "Factor of the analysis's rates.", least=0.0)
@_number("ema", "The nearer to 1, the longer the average that is kept.", least=0.0, most=1.0)
@_number("decay", "Last part of a --final run, in which the rate falls.", least=0.01, most=1.0)
@_number("average_every", "Steps between two averages of several processes.", least=1)
@_number("seed", "Of crops, levels and noise.")
@_number("favour", "Draw the first level e^FAVOUR times as often as the last.", least=0.0)
@_number("even", "Let decibels count: log(EVEN + a crop's share of squared errors).", least=0.0)
@_number("only_level", "Train for this level alone (0: for all).", least=0, most=64)
@_number("price", "Factor of the rate in what a level costs.", least=0.0)
@_number("blocking", "Weight of steps over the edges of patches, where they are seen.", least=0.0)
@_number("lpips_alex", "Weight of LPIPS with AlexNet.", least=0.0)
@_number("lpips_squeeze", "Weight of LPIPS with SqueezeNet.", least=0.0)
@_number("statistics", "Weight of the energy of fine structure, so that texture stays.", least=0.0)
@click.option(
    "--discriminator",
    type=click.Choice(JUDGES),
    help=f"What judges in stage gan.  [default: {DEFAULTS['gan'].discriminator}]",
)
@_number("adversarial", "Strength of the discriminator's gradient.", least=0.0)
@_number("alone", "Crops that the discriminator learns before the decoder follows.", least=0)
@_number("discriminator_lr", "Learning rate of the discriminator.", least=0.0)
@_number("evaluate_minutes", "How often to evaluate (0: never).", 10.0, least=0.0)
@_number("checkpoint_minutes", "How often to write a checkpoint.", 3.0, least=0.0)
@global_options
def run(**given: Any) -> None:
    """Train transforms for some minutes, or continue the run in --out.

    \b
    Examples:
      sic train run --packed packed --validation holdout --out runs/a --minutes 90
      sic train run --packed packed --validation holdout --out runs/b --stage both --start runs/a
      sic train run --packed packed --validation holdout --out runs/c --stage gan --start sic-5
    """
    _check_packed(given["packed"])
    _check_validation(given["validation"])
    start = _start(given.pop("start"))
    stage, backbones = given["stage"], given.pop("backbones") or os.environ.get(BACKBONES)
    resume = given.pop("resume")
    _check_exists(resume)
    if resume and not start:
        raise UsageError(
            "--resume needs --start, which has the parts that its stage left as they were"
        )
    if stage != "mse" and not (backbones and Path(backbones).is_dir()):
        raise UsageError(
            f"--stage {stage} needs --backbones FOLDER", "docs/training.md says what it holds"
        )

    from ..codec.networks.device import pick_device
    from ..training.loop import TrainingRun, train

    names = {f.name for f in fields(TrainConfig)}
    chosen = {k: given.pop(k) for k in list(given) if k in names}
    chosen = {k: v for k, v in chosen.items() if v is not None}
    if "lr" in chosen:
        chosen["muon_lr"] = 2 * chosen["lr"]
    config = replace(DEFAULTS[stage], **chosen)
    if config.crop % STRIDE:
        raise UsageError(f"--crop {config.crop}: must be a multiple of {STRIDE}")
    given |= {k: str(given[k]) for k in ("packed", "out", "validation")}
    given["device"] = str(pick_device(given["device"]))
    words = (None if v is None else str(v) for v in (start, resume, backbones))
    given |= dict(zip(("start", "resume", "backbones"), words, strict=True))
    train(TrainingRun(**given), config, ModelConfig())


def _start(start: Path | None) -> Path | None:
    """What to begin with: a path, or weights by their name."""
    if start is None or start.exists():
        return start
    from ..codec.weights.locate import find

    return find(str(start)).folder


@command.command()
@_path("--packed", PACKED)
@_path("--transforms", "Run, weights or file of transforms that the network stands behind.")
@_path("--out", "Folder of the run; resumed if it holds a checkpoint.")
@_path("--validation", VALIDATION)
@_number("minutes", "Wall time of this run.", 120.0, least=0.0, open_=True)
@_number("crops", "End of the run in crops, over all its parts.", 480_000, least=1)
@_number("threads", "Threads.", 1, least=1, most=1024)
@_number(
    "variants", "How often each picture is used, but once smaller, turned.", 2, least=1, most=8
)
@_number("seed", "Of crops and passes.", 0)
@_number("evaluate_minutes", "How often to evaluate (0: never).", 10.0, least=0.0)
@_number("checkpoint_minutes", "How often to write a checkpoint.", 3.0, least=0.0)
@global_options
def context(**given: Any) -> None:
    """Train the context network behind finished transforms, or continue the run in --out.

    \b
    Examples:
      sic train context --packed packed --validation holdout --transforms runs/a --out runs/c
    """
    _check_packed(given["packed"])
    _check_validation(given["validation"])
    given["transforms"] = _start(given["transforms"])

    from ..training.context import ContextConfig, ContextRun, train_context

    config = ContextConfig(crops=given.pop("crops"), seed=given.pop("seed"))
    given |= {k: str(given[k]) for k in ("transforms", "packed", "validation", "out")}
    train_context(ContextRun(**given), config)


@command.command("mean-colours")
@_path("--indices", "Folder of a run of `sic train context`, which has the indices.")
@_path("--transforms", "Run, weights or file of transforms that they are of.")
@click.argument("out", type=click.Path(path_type=Path))
@_number("steps", "Steps of training.", 4000, least=1)
@_number("threads", "Threads.", 1, least=1, most=1024)
@_number("seed", "Of parameters and crops.", 0)
@global_options
def mean_colours(
    indices: Path, transforms: Path, out: Path, steps: int, threads: int, seed: int
) -> None:
    """Train the network of layer 0, fit its tables and write them to OUT.

    They are constants of the format: what the codec has is pinned by a digest.

    \b
    Examples:
      sic train mean-colours --indices runs/c --transforms runs/a mean_colours.safetensors
    """
    start = _start(transforms)
    assert start is not None

    from ..training.mean_colours import train_mean_colours

    click.echo(train_mean_colours(start, indices, out, steps, threads, seed))


@command.command()
@_path("--packed", PACKED)
@_path("--transforms", "Run, weights or file of transforms.")
@_path("--context", "Run or checkpoint of `sic train context`, behind the same analysis.")
@click.option("--name", required=True, help="Name of the weights.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("weights"), show_default=True)
@click.option(
    "--crops",
    type=click.IntRange(8),
    default=96,
    show_default=True,
    help="Crops that tables are fitted to.",
)
@global_options
def export(packed: Path, transforms: Path, context: Path, name: str, out: Path, crops: int) -> None:
    """Write the weights OUT/NAME.

    \b
    Examples:
      sic train export --packed packed --transforms runs/a --context runs/c --name my-weights
    """
    _check_packed(packed)
    start = _start(transforms)
    _check_exists(context)
    assert start is not None

    from ..training.assemble import export as export_weights
    from ..training.data import open_packed

    pictures, _ = open_packed(packed)
    card = export_weights(start, context, pictures, out / name, name, crops)
    click.echo(f"{card.folder}: {card.id.hex()}")
    if re.fullmatch("sic-[0-9]+", card.name):
        from ..codec.weights.pinned import line_of

        click.echo(f"to ship it, its row in sic_cli/codec/weights/pinned.py:\n{line_of(card)}")


@command.command()
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--resume", is_flag=True, help="Keep what learns, its optimisers and the discriminator."
)
@global_options
def shrink(checkpoint: Path, out: Path, resume: bool) -> None:
    """Write the averaged transforms of CHECKPOINT in half precision to OUT, to go on from elsewhere.

    \b
    Examples:
      sic train shrink runs/a/checkpoint.safetensors small.safetensors
      sic train shrink --resume runs/g/checkpoint.safetensors state.safetensors
    """
    _check_exists(checkpoint)

    from ..training.assemble import save_small
    from ..training.checkpoint import save_resumable

    (save_resumable if resume else save_small)(out, checkpoint)
