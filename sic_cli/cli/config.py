"""sic config: what options are set to when they are not typed, and where that comes from."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import click

from ..errors import UsageError
from ..schemas.documents import head
from .common import MESSAGES, global_options, json_option
from .settings import BUILT_IN, ConfigFile, leaves, open_config, options_of, settings

SCHEMA = "sic.config/1"


@dataclass(frozen=True, slots=True)
class SettingRow:
    """One option of one command."""

    command: str
    key: str
    value: Any
    origin: str


def rows(context: click.Context, config: ConfigFile) -> list[SettingRow]:
    """Every option of every command."""
    root = context.find_root()
    assert isinstance(root.command, click.Group)
    out = []
    for words, command in leaves(root.command, root):
        found = settings(words, command, config)
        for key, option in options_of(command).items():
            name = ".".join(words)
            if key in found:
                out.append(SettingRow(name, key, found[key].value, found[key].origin))
            else:
                out.append(SettingRow(name, key, _built_in(option), BUILT_IN))
    return out


def _built_in(option: click.Option) -> Any:
    if option.is_flag and option.is_bool_flag:
        return bool(option.default) if isinstance(option.default, bool) else False
    value = option.to_info_dict()["default"]
    return value if isinstance(value, (str, int, float, list, tuple)) else None


def _shown(value: Any) -> str:
    return "-" if value is None else json.dumps(value, ensure_ascii=False)


@click.group()
@global_options
def command() -> None:
    """Show what options are set to, and where.

    An option that is not typed is looked for, in this order, in the variables SIC_<COMMAND>_<OPTION>
    and SIC_<OPTION>, then in a TOML file: --config FILE, the variable SIC_CONFIG, or the user's own
    file (sic config path). No file is read from the current folder. Unknown keys end in exit code 2.

    \b
    A file:
      device = "cpu"            # for all commands
      [encode]
      target-size = "200k"      # for sic encode

    \b
    Examples:
      sic config show
      sic config get encode.device
      SIC_ENCODE_LEVEL=8 sic config show --json
    """


@command.command()
@click.option("--all", "everything", is_flag=True, help="Also what is built in.")
@json_option("config")
@global_options
@click.pass_context
def show(context: click.Context, everything: bool, as_json: bool) -> None:
    """List options that are set by variables or by the file: command, option, value, origin.

    \b
    Examples:
      sic config show
      sic config show --all --json
    """
    config = open_config(context)
    found = [r for r in rows(context, config) if everything or r.origin != BUILT_IN]
    if as_json:
        MESSAGES.document(_document(found, config))
        return
    for row in found:
        click.echo(f"{row.command}.{row.key} = {_shown(row.value)}  ({row.origin})")
    if not found:
        click.echo("nothing is set; sic config show --all lists what is built in")


@command.command()
@json_option("config")
@global_options
@click.pass_context
def path(context: click.Context, as_json: bool) -> None:
    """Print which file is read, whether it is there or not.

    \b
    Examples:
      sic config path
    """
    from ..storage.places import config_file

    config = open_config(context)
    where = str(config.path or config_file())
    if as_json:
        MESSAGES.document({**_document([], config), "path": where})
    else:
        click.echo(where)


@command.command()
@click.argument("key", metavar="KEY")
@json_option("config")
@global_options
@click.pass_context
def get(context: click.Context, key: str, as_json: bool) -> None:
    """Print the value of KEY: COMMAND.OPTION, or OPTION for each command that has it.

    \b
    Examples:
      sic config get encode.level
      sic config get device
    """
    config = open_config(context)
    where, _, name = key.replace("_", "-").rpartition(".")
    found = [r for r in rows(context, config) if r.key == name and where in ("", r.command)]
    if not found:
        raise UsageError(f"no option is named {key}", "see sic config show --all")
    if as_json:
        MESSAGES.document(_document(found, config))
    elif where:
        click.echo(_shown(found[0].value))
    else:
        for row in found:
            click.echo(f"{row.command}.{row.key} = {_shown(row.value)}  ({row.origin})")


def _document(found: list[SettingRow], config: ConfigFile) -> dict[str, Any]:
    return {
        **head(SCHEMA, None),
        "path": str(config.path) if config.path else None,
        "settings": [
            {"command": r.command, "key": r.key, "value": r.value, "origin": r.origin}
            for r in found
        ],
    }
