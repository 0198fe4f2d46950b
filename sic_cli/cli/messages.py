"""What is said on stderr, and how loudly; and the count of JSON documents on stdout.

One object for the whole process, because notices come from everywhere in a command. `main` resets it.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TextIO

import click

from ..errors import Notice
from ..schemas.documents import line
from ..storage.files import printable

WHEN = ("auto", "always", "never")
OFF = ("", "0", "false", "no", "off")
MOST_VERBOSE = 2
ASKED_FOR = {"W-icc-converted", "W-cpu-fallback"}
"""Notices that say that an option was obeyed: shown with -v alone."""


@dataclass(slots=True)
class Messages:
    """quiet: errors only. verbose: 0, 1 or 2. color, progress: auto, always or never.

    documents: JSON documents printed so far. context: of the command that runs, once its options
    are read.
    """

    quiet: bool = False
    verbose: int = 0
    traceback: bool = False
    color: str = "auto"
    progress: str = "auto"
    documents: int = 0
    context: click.Context | None = None
    _ranks: dict[str, int] = field(default_factory=dict)

    def reset(self) -> None:
        """As at the start of a process; what the environment says holds until options are read."""
        color = os.environ.get("SIC_COLOR", "")
        self.quiet, self.verbose, self.documents, self.context = False, 0, 0, None
        self.traceback = os.environ.get("SIC_TRACEBACK", "").lower() not in OFF
        self.color, self.progress = color if color in WHEN else "auto", "auto"
        self._ranks.clear()

    def set(self, name: str, value: Any, rank: int) -> None:
        """A global option; the same option from a place of lower rank does not undo it."""
        before = self._ranks.get(name, 0)
        if rank < before:
            return
        if name == "verbose":  # -v before and -v after the command add up
            value = min(MOST_VERBOSE, value + (self.verbose if rank == before else 0))
        self._ranks[name] = rank
        setattr(self, name, value)

    def notice(self, notice: Notice) -> None:
        """A warning that people should see unless they asked for quiet."""
        if not self.quiet and (self.verbose or notice.code not in ASKED_FOR):
            label = click.style("warning:", fg="yellow")
            self._say(f"sic: {label} {printable(notice.text)} [{notice.code}]")

    def detail(self, text: str, level: int = 1) -> None:
        """Only with -v, or with -vv for level 2."""
        if self.verbose >= level and not self.quiet:
            self._say(f"sic: {printable(text)}")

    def error(self, text: str, name: str, hint: str | None = None) -> None:
        """One line, and perhaps a hint; never silenced."""
        label = click.style("error:", fg="red", bold=True)
        self._say(f"sic: {label} {printable(text)} [E-{name}]")
        if hint:
            self._say(f"  hint: {hint}")

    def document(self, facts: Mapping[str, Any]) -> None:
        """One JSON document on stdout."""
        self.documents += 1
        click.echo(line(facts).encode())  # bytes: UTF-8, whatever the terminal speaks

    def bars(self) -> bool:
        """May a progress line be drawn on stderr?"""
        if self.quiet or self.progress == "never":
            return False
        if self.progress == "always":
            return True
        return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"

    def colored(self, stream: TextIO) -> bool:
        """May colours be used on this stream? NO_COLOR and FORCE_COLOR count where `auto` stands."""
        if self.color != "auto":
            return self.color == "always"
        if os.environ.get("NO_COLOR"):
            return False
        if os.environ.get("FORCE_COLOR", "").lower() not in OFF:
            return True
        return stream.isatty() and os.environ.get("TERM") != "dumb"

    def python_warning(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        """Takes the place of `warnings.showwarning`: what libraries say is shown at -v."""
        if self.verbose:
            where = f" ({filename}:{lineno})" if self.verbose > 1 else ""
            text = " ".join(str(message).split())
            self.notice(Notice(f"{category.__name__}: {text}{where}", "W-python"))

    def capture_warnings(self) -> None:
        """Let Python warnings come here, until the surrounding `catch_warnings` ends."""
        warnings.showwarning = self.python_warning

    def _say(self, text: str) -> None:
        click.echo(text, err=True, color=self.colored(sys.stderr))


MESSAGES = Messages()
