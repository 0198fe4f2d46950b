"""sic doctor: what is installed, what is here, and, if asked, whether it works."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from ..errors import SicError
from ..schemas.documents import head
from .common import MESSAGES, global_options, json_option
from .models import facts

SCHEMA = "sic.doctor/1"
MARKS = {"ok": "ok", "missing": "--", "failed": "FAILED", "skipped": "--"}
COLORS = {"ok": "green", "failed": "red"}


@click.command()
@click.option(
    "--self-test", is_flag=True, help="Also encode and decode bundled files on every device."
)
@json_option("doctor")
@global_options
def command(self_test: bool, as_json: bool) -> None:
    """Check this installation: versions, devices, exact arithmetic, digests of the weights.

    With --self-test, files that came with sic are decoded on every device and their symbols compared
    with what they were when the files were made; a picture is encoded, cut and decoded. That takes
    some seconds. Whatever is missing is listed with the command that installs it.

    \b
    Examples:
      sic doctor
      sic doctor --self-test
      sic doctor --json --self-test > report.json

    Exit code 1: a check failed. What is optional and missing is no failure.
    """
    from ..doctor import environment, selftest

    versions = environment.versions()
    found = list(environment.packages())
    devices, findings = environment.devices()
    found += findings
    cards, findings = environment.weights()
    found += findings
    if not as_json:
        head_line = ", ".join(f"{k} {versions[k]}" for k in ("sic", "format", "python", "system"))
        click.echo(head_line)
        _tell(found)
    if self_test and devices:
        good = [card for card, right in cards if right]
        for finding in selftest.run(good, [device.name for device in devices]):
            found.append(finding)
            if not as_json:
                _tell([finding])
    failed = [f for f in found if f.status == "failed"]
    text = f"{len(failed)} of {len(found)} checks failed: {', '.join(f.name for f in failed)}"
    if as_json:
        told_json = {"name": "failed", "text": text, "hint": None} if failed else None
        MESSAGES.document(
            {
                **head(SCHEMA, None, None, 1 if failed else 0, told_json),
                "versions": versions,
                "devices": [asdict(device) for device in devices],
                "models": [facts(card, right) for card, right in cards],
                "checks": [asdict(finding) for finding in found],
            }
        )
    elif not failed:
        click.echo("all is well" if self_test else "all is well; --self-test tries it")
    if failed:
        raise SicError(text)


def _tell(found: list[Any]) -> None:
    import sys

    for finding in found:
        mark = click.style(f"{MARKS[finding.status]:<7}", fg=COLORS.get(finding.status))
        line = f"{mark} {finding.name}: {finding.text}"
        click.echo(line, color=MESSAGES.colored(sys.stdout))
        if finding.fix and finding.status != "ok":
            click.echo(f"        {finding.fix}")
