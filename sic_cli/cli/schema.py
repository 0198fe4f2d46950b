"""sic schema: the JSON Schemas that ship with sic."""

from __future__ import annotations

import json

import click

from .. import schemas
from .common import global_options


@click.command()
@click.argument("name", required=False)
@global_options
def command(name: str | None) -> None:
    """Print the JSON Schema NAME (such as info, or sic.info/1); without NAME, list them.

    Every document has the keys schema, ok, input, output, code, error and warnings; its other keys
    are always there too, and null where they are unknown. New keys keep a schema's number.

    \b
    Examples:
      sic schema
      sic schema info
      sic schema verify > verify.schema.json
    """
    if name is not None:
        click.echo(json.dumps(schemas.load(name), indent=2, ensure_ascii=False))
        return
    for known in schemas.names():
        click.echo(f"{known:<20} {schemas.load(known)['description']}")
