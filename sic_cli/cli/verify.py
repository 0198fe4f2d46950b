"""sic verify: checksums with the standard library; --deep also decodes every symbol."""

from __future__ import annotations

import json
from typing import Any

import click

from ..errors import CheckError, CorruptError, PartialError
from ..files import shown
from .common import global_options, open_sic, require_level, run_options, set_threads


@click.command()
@click.argument("source", metavar="INPUT")
@click.option("--deep", is_flag=True, help="Decode all symbols and compare their digests.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document (schema sic.verify/1).")
@run_options
@global_options
def command(source: str, deep: bool, as_json: bool, device: str, threads: int) -> None:
    """Check INPUT (a .sic file, or -): header, checksums of all layers; with --deep all symbols.

    \b
    Exit codes: 0 whole; 3 cut or damaged, but some levels are whole; 5 no level is; 11 symbols differ.
    """
    _, parsed = open_sic(source)
    checks: list[dict[str, Any]] = [{"name": "header", "ok": True, "detail": None}]
    checks += [
        {"name": f"layer {layer.level}", "ok": True, "detail": None} for layer in parsed.layers
    ]
    if parsed.fault:
        checks.append(
            {"name": "rest", "ok": parsed.fault_kind == "trailing", "detail": parsed.fault}
        )
    good, wrong = parsed.level, None
    if deep and parsed.level:
        from ..codec.decode import decode_cells, file_engine

        set_threads(threads)
        try:
            _, good, wrong = decode_cells(file_engine(parsed, device), parsed, parsed.level)
        except (CheckError, CorruptError) as error:
            good, wrong = 0, str(error)
        checks.append({"name": "symbols", "ok": wrong is None, "detail": wrong})
    facts = {
        "schema": "sic.verify/1",
        "ok": all(c["ok"] for c in checks) and good > 0,
        "input": source,
        "output": None,
        "code": 11 if wrong else 0 if parsed.fault_kind in ("", "trailing") else 3,
        "error": {"name": "check", "text": wrong, "hint": None} if wrong else None,
        "warnings": [],
        "checks": checks,
        "last_good_level": good,
    }
    if as_json:
        click.echo(json.dumps(facts))
    else:
        how = "decoded and compared" if deep else "checksums right"
        click.echo(
            f"{shown(source)}: levels 1 to {good} {how}"
            if good
            else f"{shown(source)}: no whole level"
        )
    if wrong:
        raise CheckError(f"{shown(source)}: {wrong}")
    require_level(source, parsed)
    if parsed.fault and parsed.fault_kind != "trailing":
        raise PartialError(f"{shown(source)}: {parsed.fault}")
