"""Fixtures: the tiny model, made pictures, and the command line in a process of its own or in ours."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ["SIC_MODEL_PATH"] = str(ROOT / "tests" / "weights")
for _folder in ("XDG_CONFIG_HOME", "XDG_DATA_HOME"):  # what this user set or imported is not tested
    os.environ[_folder] = str(ROOT / "tests" / "no-such-folder")

from hypothesis import settings  # noqa: E402

from sic_cli.codec.encode import encode  # noqa: E402
from sic_cli.codec.inference.parallel import set_threads  # noqa: E402
from sic_cli.codec.weights.card import ModelCard  # noqa: E402
from sic_cli.codec.weights.locate import find  # noqa: E402
from tests.tiny import made_picture  # noqa: E402

set_threads(1)
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as shells set it for what runs with `&`
    signal.signal(signal.SIGINT, signal.default_int_handler)
settings.register_profile("sic", deadline=None)  # a busy machine is no failure
settings.load_profile("sic")


@pytest.fixture(scope="session")
def tiny() -> ModelCard:
    return find("tiny")


@pytest.fixture(scope="session")
def shipped() -> ModelCard:
    """The newest weights that ship with the package."""
    cards = [
        p for p in sorted((ROOT / "weights").iterdir(), reverse=True) if (p / "card.toml").is_file()
    ]
    return find(str(cards[0]))


@pytest.fixture(scope="session")
def picture() -> np.ndarray:
    return made_picture(70, 93, 5)


@pytest.fixture(scope="session")
def coded(tiny: ModelCard, picture: np.ndarray) -> bytes:
    return encode(picture, tiny)


@pytest.fixture
def sic() -> Callable[..., Outcome]:
    """Run the command line in this process, with the error handling of `main`."""
    return run_main


class Outcome:
    """What a command left: exit code, stdout, stderr."""

    def __init__(self, code: int, out: bytes, err: str) -> None:
        self.code, self.out, self.err = code, out, err


def run_main(*arguments: str, stdin: bytes = b"") -> Outcome:
    import click

    from sic_cli.cli.main import main

    @click.command(
        context_settings={"ignore_unknown_options": True, "help_option_names": []},
        add_help_option=False,
    )
    @click.argument("rest", nargs=-1, type=click.UNPROCESSED)
    def shell(rest: tuple[str, ...]) -> None:
        main(list(rest))

    result: Result = CliRunner().invoke(shell, ["--", *arguments], input=stdin)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Outcome(result.exit_code, result.stdout_bytes, result.stderr)


def run_process(
    *arguments: str, env: dict[str, str] | None = None, stdin: bytes = b"", timeout: float = 120
) -> Outcome:
    done = subprocess.run(
        [sys.executable, "-m", "sic_cli", *arguments],
        capture_output=True,
        input=stdin,
        env={**os.environ, "PYTHONPATH": str(ROOT), **(env or {})},
        timeout=timeout,
    )
    return Outcome(done.returncode, done.stdout, done.stderr.decode())
