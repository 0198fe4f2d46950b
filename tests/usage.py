"""Write docs/usage.md from what `--help` says.

python -m tests.usage
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import click

from sic_cli.cli.main import COMMANDS, cli
from tests.conftest import ROOT

USAGE = ROOT / "docs" / "usage.md"
WIDTH = 100


def commands() -> Iterator[tuple[str, click.Command, click.Context]]:
    """`sic` itself, then every command and those below it, with its words."""
    width = {"terminal_width": WIDTH, "max_content_width": WIDTH}
    root = click.Context(cli, info_name="sic", **width, **cli.context_settings)
    yield from _below("sic", cli, root)


def _below(
    words: str, command: click.Command, context: click.Context
) -> Iterator[tuple[str, click.Command, click.Context]]:
    yield words, command, context
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            below = type(context)(inner, parent=context, info_name=name)
            yield from _below(f"{words} {name}", inner, below)


def examples(command: click.Command) -> list[str]:
    """The lines below "Examples:" in a command's help."""
    found: list[str] = []
    reading = False
    for line in (command.help or "").splitlines():
        if line.strip() == "Examples:":
            reading = True
        elif reading and line.strip():
            found.append(line.strip())
        else:
            reading = False
    return found


def commented(example: str) -> str:
    """What is said behind an example becomes a comment, so that the line can be pasted."""
    return re.sub(r"(?<=\S)( {2,})(?=[^\s#])", r"\1# ", example, count=1)


def overview() -> str:
    """A table of commands and their examples."""
    lines = ["| command | what it does |", "|---|---|"]
    lines += [f"| [`sic {name}`](#sic-{name}) | {text} |" for name, text in COMMANDS.items()]
    lines += ["", "```sh"]
    for words, command, _ in commands():
        if words != "sic" and words.count(" ") == 1:
            lines += [commented(line) for line in examples(command)]
    return "\n".join([*lines, "```"])


def usage() -> str:
    """All of docs/usage.md."""
    parts = [
        "# Commands and options",
        "",
        "This page holds what `--help` says of every command; `make usage` writes it. "
        "[guide.md](guide.md) explains the same commands by task.",
        "",
        overview(),
        "",
    ]
    for words, command, context in commands():
        text = "\n".join(line.rstrip() for line in command.get_help(context).splitlines())
        parts += [
            f"## {words}" if words.count(" ") < 2 else f"### {words}",
            "",
            "```text",
            text,
            "```",
            "",
        ]
    return "\n".join(parts)


def main() -> None:
    USAGE.write_text(usage(), encoding="utf-8")


if __name__ == "__main__":
    main()
