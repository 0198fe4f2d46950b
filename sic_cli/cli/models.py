"""sic models: click and the standard library only."""

from __future__ import annotations

import click

from ..errors import ModelError
from ..release.card import WEIGHTS
from ..release.digest import read_checked
from ..release.locate import releases
from .common import global_options


@click.command()
@click.option("--verify", is_flag=True, help="Read the weights and compare their digests.")
@global_options
def command(verify: bool) -> None:
    """List the weights on this machine, newest first; the first one is what `sic encode` uses."""
    cards = releases()
    if not cards:
        raise ModelError("no weights on this machine", "reinstall sic, or set SIC_MODEL_PATH")
    for card in cards:
        if verify:
            read_checked(card.folder / WEIGHTS, card.digest)
        state = " (digest right)" if verify else ""
        click.echo(
            f"{card.name}  {card.id.hex()}  {card.config.levels} levels  {card.folder}{state}"
        )
