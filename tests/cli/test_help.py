"""Every command explains itself with examples that work, and docs/usage.md says the same."""

from __future__ import annotations

import re
import shlex

import click
import pytest

from tests import usage
from tests.conftest import run_main

COMMANDS = {words: (command, context) for words, command, context in usage.commands()}


def test_usage_is_what_help_says() -> None:
    assert usage.USAGE.read_text(encoding="utf-8") == usage.usage(), "run `make usage`"


@pytest.mark.parametrize("words", COMMANDS)
def test_every_command_has_a_sentence_and_examples(words: str) -> None:
    command = COMMANDS[words][0]
    got = run_main(*words.split()[1:], "--help")
    assert got.code == 0 and f"Usage: {words}".encode() in got.out
    assert (command.help or "").strip()
    assert usage.examples(command), "no Examples: in the help"
    for option in command.params:
        if isinstance(option, click.Option):
            assert option.help or option.show_default, f"{words} {option.opts} is not explained"


@pytest.mark.parametrize("words", COMMANDS)
def test_examples_use_options_that_there_are(words: str) -> None:
    for line in usage.examples(COMMANDS[words][0]):
        for part in re.split(r"\| *|\$\(|&& *", line.split("#")[0]):
            match = re.match(r"(?:[A-Z_]+=\S+ )*(sic .*)", part)
            if match is None or "COMMAND" in part:
                continue
            text = re.split(r"  +|[>)]", match[1])[0]
            given = shlex.split(text, comments=True)
            name = max((w for w in COMMANDS if given[: len(w.split())] == w.split()), key=len)
            command, context = COMMANDS[name]
            rest = given[len(name.split()) :]
            if not isinstance(command, click.Group):
                command.make_parser(context).parse_args(rest)  # raises for an unknown option


def test_help_tells_the_global_options_once() -> None:
    whole, one = run_main("--help").out, run_main("info", "--help").out
    for option in (b"--color", b"--progress", b"--quiet", b"--no-config", b"--traceback"):
        assert option in whole
    assert b"--traceback" not in one and b"sic --help" in one


def test_a_pasted_example_does_not_take_its_explanation_for_a_file() -> None:
    for line in usage.overview().splitlines():
        if line.startswith("sic "):
            assert not re.search(r"\S {2,}[^#\s]", line), line
