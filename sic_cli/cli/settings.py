"""Options that were not given: from the environment, then from a TOML file, then built in.

A key is an option's long name without its dashes. The order, first come first:
the command line, SIC_<COMMAND>_<OPTION>, SIC_<OPTION>, [command] in the file, top level of the file.
Light: a TOML reader is loaded only where there is a file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from ..errors import UsageError
from ..storage.files import printable

BUILT_IN = "built-in"
NAMED, NO_FILE, ORIGINS = "sic.config", "sic.no-config", "sic.origins"
"""Keys of `click.Context.meta`."""

Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Setting:
    """origin: the name of the variable, or the file."""

    value: Any
    origin: str


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """path: None if no file is read. values: its contents."""

    path: Path | None
    values: Values


def key_of(option: click.Option) -> str | None:
    """`target-size` for --target-size; None for options that have no long name."""
    return next((o[2:] for o in option.opts if o.startswith("--")), None)


def options_of(command: click.Command) -> dict[str, click.Option]:
    """The options of a command that may be set elsewhere, by key."""
    found = {}
    for param in command.params:
        if isinstance(param, click.Option) and not param.is_eager:
            key = key_of(param)
            if key:
                found[key] = param
    return found


def leaves(
    group: click.Group, context: click.Context, words: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command that is no group, with the words that call it."""
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from leaves(command, context, (*words, name))
        elif command is not None:
            yield (*words, name), command


def words_of(context: click.Context) -> tuple[str, ...]:
    """("train", "run") for the context of `sic train run`."""
    words = []
    at: click.Context | None = context
    while at is not None and at.parent is not None:
        words.append(at.info_name or "")
        at = at.parent
    return tuple(reversed(words))


def open_config(context: click.Context) -> ConfigFile:
    """The file that holds for this run, read and checked. Raises UsageError."""
    meta = context.meta
    if meta.get(NO_FILE):
        return ConfigFile(None, {})
    named = meta.get(NAMED) or os.environ.get("SIC_CONFIG")
    if named:
        path = Path(named)
    else:
        from ..storage.places import config_file

        path = config_file()
        if not path.is_file():
            return ConfigFile(None, {})
    values = _read(path)
    _check(path, values, context.find_root())
    return ConfigFile(path, values)


def _read(path: Path) -> Values:
    import tomllib

    name = printable(str(path))
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"configuration {name}: {error.strerror}", "see --no-config") from None
    except ValueError as error:  # not UTF-8, or not TOML
        raise UsageError(f"configuration {name}: {error}", "see --no-config") from None


def _check(path: Path, values: Values, root: click.Context) -> None:
    """Raise UsageError for a key that no command has, or a value that cannot be an option's."""
    group = root.command
    assert isinstance(group, click.Group)
    known: dict[tuple[str, ...], set[str]] = {(): set()}
    for words, command in leaves(group, root):
        keys = set(options_of(command))
        known[words] = keys
        known[()] |= keys
        for end in range(1, len(words)):
            known.setdefault(words[:end], set()).add(words[end])
    _check_table(printable(str(path)), values, (), known)


def _check_table(
    name: str, table: Values, words: tuple[str, ...], known: dict[tuple[str, ...], set[str]]
) -> None:
    for key, value in table.items():
        inner = (*words, key)
        where = ".".join(inner)
        if isinstance(value, dict):
            if inner not in known:
                raise UsageError(f"configuration {name}: there is no command {where}")
            _check_table(name, value, inner, known)
        elif key.replace("_", "-") not in known[words]:
            import difflib

            close = difflib.get_close_matches(key, known[words], 1)
            raise UsageError(
                f"configuration {name}: unknown key {printable(where)}",
                f"did you mean {close[0]}?" if close else "see sic config show --all",
            )
        elif not _plain(value):
            raise UsageError(f"configuration {name}: {where} is no text, number, flag or list")


def _plain(value: Any) -> bool:
    if isinstance(value, list):
        return all(isinstance(v, (str, int, float)) for v in value)
    return isinstance(value, (str, int, float))


def settings(
    words: tuple[str, ...], command: click.Command, config: ConfigFile
) -> dict[str, Setting]:
    """What environment and file say about a command's options, by key."""
    found = {}
    for key, option in options_of(command).items():
        setting = _from_environment(words, key, option) or _from_file(words, key, config)
        if setting is not None:
            found[key] = setting
    return found


def _from_environment(words: tuple[str, ...], key: str, option: click.Option) -> Setting | None:
    tail = key.replace("-", "_").upper()
    for name in (f"SIC_{'_'.join(words).upper()}_{tail}", f"SIC_{tail}"):
        value = os.environ.get(name)
        if value:  # an empty variable is an unset one
            several = option.multiple or option.nargs != 1
            return Setting(option.type.split_envvar_value(value) if several else value, name)
    return None


def _from_file(words: tuple[str, ...], key: str, config: ConfigFile) -> Setting | None:
    tables: list[Values] = [config.values]
    for word in words:
        inner = tables[-1].get(word)
        if not isinstance(inner, dict):
            break
        tables.append(inner)
    for depth, table in reversed(list(enumerate(tables))):
        if 0 < depth < len(words):
            continue  # a table of commands, not of options
        for name in (key, key.replace("-", "_")):
            if name in table and not isinstance(table[name], dict):
                return Setting(table[name], str(config.path))
    return None


def apply(context: click.Context) -> None:
    """Make environment and file the defaults of the command whose options are being read."""
    config = open_config(context)
    found = settings(words_of(context), context.command, config)
    options = options_of(context.command)
    context.default_map = {options[key].name or key: s.value for key, s in found.items()}
    context.meta[ORIGINS] = {options[key].name: s.origin for key, s in found.items()}


def origin_of(context: click.Context, param: click.Parameter | None) -> str | None:
    """Where the value of an option came from, if not from the command line."""
    source = context.get_parameter_source(param.name or "") if param is not None else None
    if param is None or source is not click.core.ParameterSource.DEFAULT_MAP:
        return None
    origin: str | None = context.meta.get(ORIGINS, {}).get(param.name)
    return origin
