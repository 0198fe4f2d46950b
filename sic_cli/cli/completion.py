"""sic completion: click's scripts for shells, and what completes which option.

Light: a shell calls sic at every press of Tab.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import click
from click.shell_completion import CompletionItem, get_completion_class

from .common import global_options
from .settings import key_of

Completer = Callable[[click.Context, str], list[CompletionItem]]
SHELLS = ("bash", "zsh", "fish")
READS_SIC = {"decode", "truncate", "info", "verify"}


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@global_options
def command(shell: str) -> None:
    """Print a script that completes sic's commands, options, models, devices and files in a shell.

    \b
    Examples:
      eval "$(sic completion bash)"              # for this session
      sic completion fish | source               # the same in fish
      sic completion zsh >> ~/.zshrc             # for good
    """
    script = get_completion_class(shell)
    assert script is not None
    made = script(click.Command("sic"), {}, "sic", "_SIC_COMPLETE")
    click.echo(made.source_template % made.source_vars(), nl=False)


def attach(name: str, command: click.Command) -> None:
    """Give the parameters of the command `name`, and of those below it, their completions."""
    for param in command.params:
        if isinstance(param, click.Option):
            param.hidden = False
        completer = _completer(name, param)
        if completer is not None:
            setattr(param, "shell_complete", completer)  # noqa: B010
    if isinstance(command, click.Group):
        for word, inner in command.commands.items():
            attach(word, inner)


def _completer(command: str, param: click.Parameter) -> Completer | None:
    if isinstance(param, click.Option):
        return OPTIONS.get(key_of(param) or "")
    metavar = (param.metavar or param.name or "").upper()
    if "INPUT" in metavar:
        return sic_files if command in READS_SIC else files
    if command in ("show", "path", "verify") and "NAME" in metavar:
        return models
    if command == "schema":
        return schemas
    return folders if metavar in ("FOLDER", "PICTURES", "PACKED") else None


def files(_: click.Context, incomplete: str) -> list[CompletionItem]:
    """Any file: the shell knows best."""
    return [CompletionItem(incomplete, type="file")]


def folders(_: click.Context, incomplete: str) -> list[CompletionItem]:
    """Any folder."""
    return [CompletionItem(incomplete, type="dir")]


def sic_files(_: click.Context, incomplete: str) -> list[CompletionItem]:
    """Files that end in .sic, and folders; where one folder alone fits, what is in it."""
    found = _sic_files(incomplete)
    while len(found) == 1 and found[0].endswith("/"):
        inner = _sic_files(found[0])
        if not inner:
            break
        found = inner
    return [CompletionItem(name) for name in found]


def _sic_files(incomplete: str) -> list[str]:
    head, tail = os.path.split(incomplete)
    found = []
    try:
        entries = sorted(os.scandir(os.path.expanduser(head) or "."), key=lambda e: e.name)
    except OSError:
        return []
    for entry in entries:
        name = entry.name
        if not name.startswith(tail) or (name.startswith(".") and not tail.startswith(".")):
            continue
        if entry.is_dir():
            found.append(os.path.join(head, name) + "/")
        elif name.lower().endswith(".sic"):
            found.append(os.path.join(head, name))
    return found


def models(_: click.Context, incomplete: str) -> list[CompletionItem]:
    """Names of weights on this machine."""
    from ..codec.weights.locate import installed

    names = [card.name for card in installed() if card.name.startswith(incomplete)]
    return [CompletionItem(name) for name in names] or folders(_, incomplete)


def devices(_: click.Context, incomplete: str) -> list[CompletionItem]:
    """auto, cpu, cuda, and the CUDA devices that the driver lists; torch is not asked."""
    count = sum(1 for name in _driver() if name.isdigit())
    names = ["auto", "cpu", "cuda", *(f"cuda:{i}" for i in range(count))]
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def _driver() -> list[str]:
    try:
        return [p.name.removeprefix("nvidia") for p in Path("/dev").glob("nvidia[0-9]*")]
    except OSError:
        return []


def schemas(_: click.Context, incomplete: str) -> list[CompletionItem]:
    """Short names of schemas."""
    from ..schemas import names

    short = [name.removeprefix("sic.").removesuffix("/1") for name in names()]
    return [CompletionItem(name) for name in short if name.startswith(incomplete)]


OPTIONS: dict[str, Completer] = {
    "device": devices,
    "model": models,
    "start": models,
    **dict.fromkeys(("output", "against", "config", "files-from", "report", "csv"), files),
    **dict.fromkeys(("packed", "out", "validation", "backbones", "data"), folders),
}
