"""A task that needs no weights: it turns bytes round. Some names make it misbehave.

python -m tests.batch.fake ARGUMENTS      `sic fake`, with the options of the group IO
"""

from __future__ import annotations

import os
import signal
import sys
import time
from dataclasses import dataclass
from typing import Any

import click

from sic_cli.batch.work import Made
from sic_cli.cli import main as entry
from sic_cli.cli.common import global_options
from sic_cli.cli.folders import Command, process
from sic_cli.cli.options_io import Io, io_options
from sic_cli.errors import InputError, Notice


@dataclass(frozen=True, slots=True)
class Fake:
    seconds: float = 0.0
    threads: int = 0
    mark: str = ""

    schema = "sic.fake/1"
    keys = ("level",)
    most_bytes = 1 << 20
    options_sha256 = "fake"

    def prepare(self) -> None:
        pass

    def make(self, data: bytes, source: str, output: str) -> Made:
        time.sleep(self.seconds)
        name = os.path.basename(source)
        if name.startswith("poison"):
            os.kill(os.getpid(), signal.SIGKILL)
        if name.startswith("wrong"):
            raise InputError(f"{source}: wrong")
        if name.startswith("bug"):
            raise ZeroDivisionError("nothing to divide by")
        partial = "is cut" if name.startswith("cut") else None
        notices = (Notice(f"{source}: odd", "W-odd"),) if name.startswith("odd") else ()
        return Made(
            data[::-1] + self.mark.encode(),
            {"level": 1, "width_px": 10, "height_px": 10},
            notices,
            partial,
        )


@click.command()
@click.argument("inputs", nargs=-1)
@click.option("--seconds", type=float, default=0.0)
@click.option("--mark", default="")
@io_options
@global_options
def command(inputs: tuple[str, ...], io: Io, seconds: float, mark: str) -> int:
    made = Command(
        "fake",
        Fake(seconds, mark=mark),
        frozenset([".in"]),
        ".out",
        "max",
        lambda record: "made",
    )
    return process(made, io, inputs)


def run(*arguments: str) -> None:
    entry.cli.add_command(command, "fake")
    entry.COMMANDS["fake"] = "A command of the tests."
    sys.modules["sic_cli.cli.fake"] = sys.modules[__name__]
    try:
        entry.main(["fake", *arguments])
    finally:
        del entry.COMMANDS["fake"], entry.cli.commands["fake"]


def records(text: bytes | str) -> list[dict[str, Any]]:
    import json

    return [json.loads(row) for row in text.splitlines()]


if __name__ == "__main__":
    from tests.batch.fake import run as run_it

    run_it(*sys.argv[1:])
