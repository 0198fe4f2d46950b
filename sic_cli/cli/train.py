"""sic train: pack pictures, run, export. The only command that imports the training folder."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import click

from ..codec.inference.config import STRIDE, ModelConfig
from ..errors import InputError, ModelError, ResourceError, UsageError, has_torch, install_hint
from ..training.config import TrainConfig
from .common import Number, global_options, one_device

F = TypeVar("F", bound=Callable[..., Any])
DEFAULT = TrainConfig()


def _number(
    name: str,
    text: str,
    default: float | None = None,
    *,
    least: float | None = None,
    most: float | None = None,
    open_: bool = False,
) -> Callable[[F], F]:
    """An option that is a number, whole if its default is; the default is that of `TrainConfig`."""
    if default is None:
        default = getattr(DEFAULT, name)
    kind = (
        click.IntRange(int(least or 0), None if most is None else int(most))
        if isinstance(default, int)
        else Number(least, most, min_open=open_)
    )
    dashed = f"--{name.replace('_', '-')}"
    return click.option(dashed, type=kind, default=default, show_default=True, help=text)


@click.group()
@global_options
def command() -> None:
    """Train or continue a model, and export weights.

    \b
    Examples:
      sic train pack pictures packed
      sic train run --packed packed --validation holdout --out runs/a --minutes 90
      sic train export runs/a/checkpoint.safetensors --packed packed --name my-weights
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
@click.option("--packed", required=True, help="Folder from `sic train pack`.")
@click.option("--out", required=True, help="Folder of the run; resumed if it holds a checkpoint.")
@click.option(
    "--validation", help="Folder of pictures to evaluate on (never trained on).", required=True
)
@_number("minutes", "Wall time of this run.", 60.0, least=0.0, open_=True)
@_number("crops", "End of the run in crops, over all its parts (0: minutes alone).", 0, least=0)
@click.option("--final", is_flag=True, help="Let the learning rate fall to nothing at the end.")
@click.option(
    "--stage",
    type=click.Choice(["joint", "both", "decoder", "decoding", "context"]),
    default=DEFAULT.stage,
    show_default=True,
)
@click.option("--device", default="cpu", callback=one_device, show_default=True)
@_number("processes", "CPU processes that average their gradients.", 1, least=1, most=64)
@_number("threads", "Threads per process.", 1, least=1, most=1024)
@_number("batch", "Crops per process and step.", least=1)
@_number("crop", "Side of a crop in pixels.", least=32)
@_number("lr", "Learning rate; the encoder's is a quarter.")
@_number("ema", "The nearer to 1, the longer the average that is kept.", least=0.0, most=1.0)
@_number("decay", "Last part of a --final run, in which the rate falls.", least=0.01, most=1.0)
@_number("seed", "Of crops, levels and samples.")
@_number("lpips", "Weight of LPIPS, for the decoder that it is paid by.", least=0.0)
@_number("statistics", "Weight of the energy of fine structure, so that texture stays.", least=0.0)
@_number("blocking", "Weight of steps over the edges of patches, where they are seen.", least=0.0)
@_number("favour", "Draw the first level e^FAVOUR times as often as the last.")
@_number("even", "Let decibels count: log(EVEN + a crop's share of squared errors).", least=0.0)
@_number("rate_weight", "Factor of the rate in what a level costs.", least=0.0)
@_number("perceptual_decoder", "Weight of the second decoder of stage `both`.", least=0.0)
@_number("only_level", "Train for this level alone (0: for all).", least=0, most=64)
@_number(
    "samples", "Above 1: losses are means over so many samples of the intervals.", least=1, most=64
)
@_number("full", "Weight of the finest level, at which every sample pays as well.", least=0.0)
@_number("consistency", "Weight of encoding the decoded picture to the same latent.", least=0.0)
@click.option(
    "--start",
    help="Weights or checkpoint to begin with, if OUT holds none (default: a KLT).",
)
@click.option("--perceptual-start", help="Checkpoint whose decoder the second one begins with.")
@click.option(
    "--context",
    type=(click.IntRange(1, 512), click.IntRange(0, 16)),
    metavar="WIDTH BLOCKS",
    help="Begin with a new context network of this size.",
)
@click.option("--backbones", help="File of the perceptual network (benchmarks/gpu_pack.py).")
@_number("evaluate_minutes", "How often to evaluate (0: never).", 10.0, least=0.0)
@_number("checkpoint_minutes", "How often to write a checkpoint.", 3.0, least=0.0)
@global_options
def run(**given: Any) -> None:
    """Train for some minutes, or continue the run in --out.

    \b
    Examples:
      sic train run --packed packed --validation holdout --out runs/a --minutes 90
      sic train run --packed packed --validation holdout --out runs/b --start sic-4
    """
    if not (Path(given["packed"]) / "index.json").is_file():
        raise InputError(
            f"{given['packed']}: no packed pictures there", "run `sic train pack` first"
        )
    if not Path(given["validation"]).is_dir():
        raise InputError(f"{given['validation']}: no such folder")
    if given["crop"] % STRIDE:
        raise UsageError(f"--crop {given['crop']}: must be a multiple of {STRIDE}")
    if given["lpips"] and not Path(given["backbones"] or "").is_file():
        raise UsageError("--lpips needs --backbones FILE", "benchmarks/gpu_pack.py writes one")

    if start := given["perceptual_start"]:
        if given["stage"] != "both":
            raise UsageError("--perceptual-start is for --stage both")
        if not Path(start).is_file():
            raise ModelError(f"{start}: no such checkpoint")

    from ..codec.networks.device import pick_device
    from ..training.loop import TrainingRun, train

    device = str(pick_device(given.pop("device")))
    chosen = {f.name: given.pop(f.name) for f in fields(TrainConfig) if f.name in given}
    config = TrainConfig(**chosen, muon_lr=2 * chosen["lr"])
    train(TrainingRun(**given, device=device), config, ModelConfig())


@command.command()
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option(
    "--packed", required=True, type=click.Path(path_type=Path), help="Folder from `sic train pack`."
)
@click.option("--name", required=True, help="Name of the weights.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("weights"), show_default=True)
@click.option(
    "--crops",
    type=click.IntRange(8),
    default=96,
    show_default=True,
    help="Crops that tables are fitted to.",
)
@click.option(
    "--perceptual",
    type=click.Path(path_type=Path),
    help="Checkpoint of `--stage decoder --lpips`, for realism 1, if CHECKPOINT has no second decoder.",
)
@click.option(
    "--context",
    type=click.Path(path_type=Path),
    help="Checkpoint of `--stage context`, whose context network is taken.",
)
@global_options
def export(
    checkpoint: Path,
    packed: Path,
    name: str,
    out: Path,
    crops: int,
    perceptual: Path | None,
    context: Path | None,
) -> None:
    """Write the weights OUT/NAME from a checkpoint.

    \b
    Examples:
      sic train export runs/a/checkpoint.safetensors --packed packed --name my-weights
    """
    for path in (checkpoint, perceptual, context):
        if path and not path.is_file():
            raise ModelError(f"{path}: no such checkpoint")

    from ..training.data import open_packed
    from ..training.export import export as export_weights

    pictures, _ = open_packed(packed)
    card = export_weights(checkpoint, pictures, out / name, name, crops, perceptual, context)
    click.echo(f"{card.folder}: {card.id.hex()}")
    if re.fullmatch("sic-[0-9]+", card.name):
        from ..codec.weights.pinned import line_of

        click.echo(f"to ship it, its row in sic_cli/codec/weights/pinned.py:\n{line_of(card)}")


@command.command()
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@global_options
def shrink(checkpoint: Path, out: Path) -> None:
    """Write the averaged weights of CHECKPOINT in half precision to OUT, to go on from elsewhere.

    \b
    Examples:
      sic train shrink runs/a/checkpoint.safetensors small.safetensors
    """
    if not checkpoint.is_file():
        raise ModelError(f"{checkpoint}: no such checkpoint")

    from ..training.checkpoint import save_small

    save_small(out, checkpoint)
