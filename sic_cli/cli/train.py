"""sic train: pack pictures, run, export. The only command that imports the train room."""

from __future__ import annotations

from pathlib import Path

import click

from ..errors import InputError, ModelError, UsageError
from .common import global_options, one_device


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


@command.command()
@click.argument("pictures", type=click.Path(path_type=Path))
@click.argument("packed", type=click.Path(path_type=Path))
@click.option("--workers", type=click.IntRange(1, 256), default=2, show_default=True)
@global_options
def pack(pictures: Path, packed: Path, workers: int) -> None:
    """Decode all pictures below PICTURES into the folder PACKED.

    \b
    Examples:
      sic train pack pictures packed --workers 4
    """
    from ..train.data import pack as pack_pictures

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
@click.option(
    "--minutes",
    type=click.FloatRange(0, min_open=True),
    default=60.0,
    show_default=True,
    help="Wall time of this run.",
)
@click.option("--final", is_flag=True, help="Let the learning rate fall to nothing at the end.")
@click.option(
    "--stage",
    type=click.Choice(["joint", "decoder", "decoding", "context"]),
    default="joint",
    show_default=True,
)
@click.option("--device", default="cpu", callback=one_device, show_default=True)
@click.option(
    "--processes",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="CPU processes that average their gradients.",
)
@click.option(
    "--threads",
    type=click.IntRange(1, 1024),
    default=1,
    show_default=True,
    help="Threads per process.",
)
@click.option(
    "--batch",
    type=click.IntRange(1),
    default=4,
    show_default=True,
    help="Crops per process and step.",
)
@click.option("--crop", type=click.IntRange(32), default=256, show_default=True)
@click.option("--lr", type=float, default=1e-3, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option(
    "--perceptual",
    type=float,
    default=0.0,
    show_default=True,
    help="Weight of the perceptual loss (stage 3).",
)
@click.option(
    "--statistics",
    type=click.FloatRange(0),
    default=0.0,
    show_default=True,
    help="Weight of the energy of fine structure, so that texture stays (0: off).",
)
@click.option(
    "--seams",
    type=click.FloatRange(0),
    default=0.0,
    show_default=True,
    help="Weight of the error's jumps over the edges of patches (0: off).",
)
@click.option(
    "--favour",
    type=float,
    default=0.0,
    show_default=True,
    help="Draw the first level e^FAVOUR times as often as the last.",
)
@click.option(
    "--even",
    type=click.FloatRange(0),
    default=0.0,
    show_default=True,
    help="Let decibels count, not squared errors: log(EVEN + a crop's share); 0: off.",
)
@click.option(
    "--decay",
    type=click.FloatRange(0.01, 1),
    default=0.3,
    show_default=True,
    help="Last part of a --final run, in which the learning rate falls.",
)
@click.option(
    "--start",
    help="Release or checkpoint to begin with, if OUT holds none (default: a KLT).",
)
@click.option("--backbones", help="Folder with the perceptual networks' weights.")
@click.option("--evaluate-minutes", type=float, default=10.0, show_default=True)
@click.option("--checkpoint-minutes", type=float, default=3.0, show_default=True)
@global_options
def run(
    packed: str,
    out: str,
    validation: str,
    minutes: float,
    final: bool,
    stage: str,
    device: str,
    processes: int,
    threads: int,
    batch: int,
    crop: int,
    lr: float,
    seed: int,
    perceptual: float,
    statistics: float,
    seams: float,
    favour: float,
    even: float,
    decay: float,
    start: str | None,
    backbones: str | None,
    evaluate_minutes: float,
    checkpoint_minutes: float,
) -> None:
    """Train for some minutes, or continue the run in --out.

    \b
    Examples:
      sic train run --packed packed --validation holdout --out runs/a --minutes 90
      sic train run --packed packed --validation holdout --out runs/b --start sic-1
    """
    if not (Path(packed) / "index.json").is_file():
        raise InputError(f"{packed}: no packed pictures there", "run `sic train pack` first")
    if not Path(validation).is_dir():
        raise InputError(f"{validation}: no such folder")

    if crop % 16:
        raise UsageError(f"--crop {crop}: must be a multiple of 16")
    from ..codec.engine import pick_device
    from ..model.config import ModelConfig
    from ..train.config import TrainConfig
    from ..train.loop import Run, train

    config = TrainConfig(
        stage=stage,
        batch=batch,
        crop=crop,
        lr=lr,
        muon_lr=2 * lr,
        seed=seed,
        perceptual=perceptual,
        statistics=statistics,
        seams=seams,
        favour=favour,
        even=even,
        decay=decay,
    )
    where = Run(
        packed=packed,
        out=out,
        validation=validation,
        minutes=minutes,
        processes=processes,
        threads=threads,
        device=str(pick_device(device)),
        final=final,
        checkpoint_minutes=checkpoint_minutes,
        evaluate_minutes=evaluate_minutes,
        backbones=backbones,
        start=start,
    )
    train(where, config, ModelConfig())


@command.command()
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option(
    "--packed", required=True, type=click.Path(path_type=Path), help="Folder from `sic train pack`."
)
@click.option("--name", required=True, help="Name of the release.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("weights"), show_default=True)
@click.option(
    "--crops",
    type=click.IntRange(8),
    default=96,
    show_default=True,
    help="Crops that tables are fitted to.",
)
@click.option(
    "--vivid",
    type=click.Path(path_type=Path),
    help="Checkpoint of `--stage decoder --perceptual`, for realism 1.",
)
@global_options
def export(
    checkpoint: Path, packed: Path, name: str, out: Path, crops: int, vivid: Path | None
) -> None:
    """Write the release OUT/NAME from a checkpoint.

    \b
    Examples:
      sic train export runs/a/checkpoint.safetensors --packed packed --name my-weights
    """
    for path in (checkpoint, vivid):
        if path and not path.is_file():
            raise ModelError(f"{path}: no such checkpoint")

    from ..train.data import open_packed
    from ..train.export import export as export_release

    pictures, _ = open_packed(packed)
    card = export_release(checkpoint, pictures, out / name, name, crops, vivid)
    click.echo(f"{card.folder}: {card.id.hex()}")


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

    from ..train.state import save_small

    save_small(out, checkpoint)
