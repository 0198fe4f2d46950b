"""sic info: click and the standard library only."""

from __future__ import annotations

import json
from typing import Any

import click

from ..bitstream.fields import CHUNK_ALPHA, CHUNK_KINDS
from ..bitstream.reader import Parsed
from ..errors import ModelError
from ..files import shown
from ..release.locate import find_id
from .common import global_options, open_sic, require_level

KINDS = {row.type: row.kind for row in CHUNK_KINDS}


def document(source: str, parsed: Parsed) -> dict[str, Any]:
    """The facts of a file, as `sic.info/1`."""
    header, area = parsed.header, parsed.header.width * parsed.header.height
    try:
        name, available = find_id(header.model).name, True
    except ModelError:
        name, available = None, False
    starts = (parsed.header_end, *parsed.ends)
    levels = [
        {
            "level": layer.level,
            "layer_bytes": end - start,
            "total_bytes": end,
            "total_bpp": round(end * 8 / area, 5),
            "expected_psnr_db": layer.psnr / 4 if layer.psnr else None,
            "crc_ok": True,
        }
        for layer, start, end in zip(parsed.layers, starts, parsed.ends, strict=False)
    ]
    return {
        "schema": "sic.info/1",
        "ok": parsed.level > 0 and parsed.fault_kind in ("", "trailing"),
        "input": source,
        "output": None,
        "code": 0 if parsed.level else 5,
        "error": None if parsed.level else {"name": "corrupt", "text": parsed.fault, "hint": None},
        "warnings": [],
        "format_version": header.version,
        "width_px": header.width,
        "height_px": header.height,
        "grey": header.grey,
        "alpha": parsed.chunk(CHUNK_ALPHA) is not None,
        "model": {"name": name, "id": header.model.hex(), "available": available},
        "levels_total": header.levels,
        "levels": levels,
        "header_bytes": parsed.header_end,
        "meta": [
            {"kind": KINDS.get(c.type, c.type.decode()), "bytes": len(c.data)}
            for c in parsed.chunks
        ],
        "seed": header.seed,
        "file_bytes": parsed.size,
        "truncated": parsed.fault_kind == "cut",
        "fault": parsed.fault,
    }


@click.command()
@click.argument("source", metavar="INPUT")
@click.option("--json", "as_json", is_flag=True, help="One JSON document (schema sic.info/1).")
@global_options
def command(source: str, as_json: bool) -> None:
    """Show header, metadata and levels of INPUT (a .sic file, or -).

    PSNR is what the encoder expected. What a level does not send is invented by the decoder.
    """
    _, parsed = open_sic(source)
    facts = document(source, parsed)
    if as_json:
        click.echo(json.dumps(facts))
        require_level(source, parsed)
        return
    model = facts["model"]
    click.echo(
        f"{shown(source)}: {facts['width_px']}x{facts['height_px']}{' grey' if facts['grey'] else ''}, {facts['file_bytes']} bytes, format {facts['format_version']}"
    )
    click.echo(
        f"model {model['name'] or 'not here'} ({model['id']}), level {parsed.level} of {facts['levels_total']}"
    )
    for meta in facts["meta"]:
        click.echo(f"{meta['kind']}: {meta['bytes']} bytes")
    if facts["levels"]:
        click.echo(f"{'level':>5} {'bytes':>10} {'total':>10} {'bpp':>8} {'PSNR':>7}")
    for row in facts["levels"]:
        psnr = f"{row['expected_psnr_db']:7.2f}" if row["expected_psnr_db"] else "      -"
        click.echo(
            f"{row['level']:>5} {row['layer_bytes']:>10} {row['total_bytes']:>10} {row['total_bpp']:>8.4f} {psnr}"
        )
    if parsed.fault:
        click.echo(f"notice: {parsed.fault}")
    require_level(source, parsed)
