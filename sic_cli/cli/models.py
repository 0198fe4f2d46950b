"""sic models: weights on this machine. click and the standard library only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..codec.weights.add import add
from ..codec.weights.card import WEIGHTS, ModelCard
from ..codec.weights.locate import find, installed
from ..codec.weights.pinned import read_weights
from ..errors import InputError, ModelError
from ..schemas.documents import failure, head
from .common import MESSAGES, global_options, json_option

SCHEMA = "sic.models/1"


class Listing(click.Group):
    """`sic models` without a word is `sic models list`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        words = [a for a in args if not a.startswith("-")]
        asked = words or {"-h", "--help"} & set(args) or ctx.resilient_parsing
        if not asked:
            args = ["list", *args]
        return super().parse_args(ctx, args)


def facts(card: ModelCard, verified: bool | None = None) -> dict[str, Any]:
    """Weights, as documents show it."""
    weights = card.folder / WEIGHTS
    return {
        "name": card.name,
        "id": card.id.hex(),
        "digest": card.digest,
        "number": card.number,
        "levels": card.config.levels,
        "folder": str(card.folder),
        "weights_bytes": weights.stat().st_size if weights.is_file() else None,
        "verified": verified,
        "facts": card.facts,
    }


def document(rows: list[dict[str, Any]], error: ModelError | None = None) -> dict[str, Any]:
    """`sic.models/1`"""
    code, failed = (error.exit_code, failure(error)) if error else (0, None)
    return {**head(SCHEMA, None, None, code, failed), "models": rows}


def known() -> list[ModelCard]:
    """All weights here. Raises ModelError if there is none."""
    cards = installed()
    if not cards:
        raise ModelError("no weights on this machine", "reinstall sic, or set SIC_MODEL_PATH")
    return cards


@click.group(cls=Listing)
@global_options
def command() -> None:
    """List, check and add the weights on this machine.

    sic models alone is sic models list. Weights are looked for in the folders of SIC_MODEL_PATH, in
    sic itself, and where sic models import puts them.

    \b
    Examples:
      sic models
      sic models verify
      sic models import downloads/sic-5
    """


@command.command("list")
@json_option("models")
@global_options
def list_(as_json: bool) -> None:
    """List weights: name, id, levels and folder. The first one is what sic encode uses.

    \b
    Examples:
      sic models list
      sic models list --json
    """
    cards = known()
    if as_json:
        MESSAGES.document(document([facts(card) for card in cards]))
        return
    for card in cards:
        click.echo(f"{card.name}  {card.id.hex()}  {card.config.levels} levels  {card.folder}")


@command.command()
@click.argument("name", required=False)
@json_option("models")
@global_options
def show(name: str | None, as_json: bool) -> None:
    """Show what the card of the weights NAME says (default: those of sic encode).

    \b
    Examples:
      sic models show
      sic models show sic-5 --json
    """
    row = facts(find(name))
    if as_json:
        MESSAGES.document(document([row]))
        return
    for key, value in {**row, **row["facts"]}.items():
        if key not in ("facts", "verified"):
            click.echo(f"{key:<14} {value}")


@command.command()
@click.argument("name", required=False)
@global_options
def path(name: str | None) -> None:
    """Print the folder of the weights NAME (default: those of sic encode).

    \b
    Examples:
      ls "$(sic models path)"
    """
    click.echo(str(find(name).folder))


@command.command()
@click.argument("names", metavar="[NAME]...", nargs=-1)
@json_option("models")
@global_options
def verify(names: tuple[str, ...], as_json: bool) -> None:
    """Read the weights NAME (default: all) and compare them with their digests.

    \b
    Examples:
      sic models verify
      sic models verify sic-5

    Exit code 6: weights are not what their card says.
    """
    cards = [find(name) for name in names] if names else known()
    rows, wrong = [], list[ModelError]()
    for card in cards:
        try:
            read_weights(card)
        except ModelError as error:
            wrong.append(error)
            rows.append(facts(card, False))
            continue
        rows.append(facts(card, True))
        if not as_json:
            click.echo(f"{card.name}  {card.id.hex()}  digest right")
    failed = ModelError("; ".join(map(str, wrong)), wrong[0].hint) if wrong else None
    if as_json:
        MESSAGES.document(document(rows, failed))
    if failed:
        raise failed


@command.command("import")
@click.argument("folder", metavar="FOLDER")
@json_option("models")
@global_options
def import_(folder: str, as_json: bool) -> None:
    """Copy the weights in FOLDER (card.toml and model.safetensors) to where sic finds them.

    Their digest is checked first. They are used for files that were made with them, and by
    sic encode --model NAME; the default stays what it is.

    \b
    Examples:
      sic models import downloads/sic-5
    """
    from ..storage.places import models_folder

    if not Path(folder).is_dir():
        raise InputError(f"{folder}: no such folder")
    card, copied = add(Path(folder), models_folder())
    if as_json:
        MESSAGES.document(document([facts(card, True)]))
    else:
        click.echo(f"{card.name}: {'copied to' if copied else 'is already in'} {card.folder}")
