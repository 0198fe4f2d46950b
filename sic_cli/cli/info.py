"""sic info: click and the standard library only."""

from __future__ import annotations

from typing import Any

import click

from ..bitstream.fields import CHUNK_ALPHA, CHUNK_KINDS
from ..bitstream.reader import Parsed
from ..documents import failure, head
from ..errors import ModelError, SicError
from ..files import shown
from ..release.locate import find_id
from .common import global_options, json_option, open_sic, require_level
from .inputs import each

KINDS = {row.type: row.kind for row in CHUNK_KINDS}


def document(source: str, parsed: Parsed, error: SicError | None = None) -> dict[str, Any]:
    """The facts of a file, as `sic.info/1`; error: what is wrong with it."""
    told = failure(error) if error else None
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
        **head("sic.info/1", source, None, error.exit_code if error else 0, told),
        "format_version": header.version,
        "width_px": header.width,
        "height_px": header.height,
        "grey": header.grey,
        "alpha": parsed.chunk(CHUNK_ALPHA) is not None,
        "orientation": None,
        "model": {"name": name, "id": header.model.hex(), "available": available},
        "levels_total": header.levels,
        "levels": levels,
        "header_bytes": parsed.header_end,
        "meta": [
            {"kind": KINDS.get(c.type, c.type.decode()), "bytes": len(c.data)}
            for c in parsed.chunks
        ],
        "seed": header.seed,
        "encoder": None,
        "file_bytes": parsed.size,
        "truncated": parsed.fault_kind == "cut",
        "fault": parsed.fault,
    }


def table(source: str, facts: dict[str, Any]) -> None:
    """The same for people."""
    model = facts["model"]
    click.echo(
        f"{shown(source)}: {facts['width_px']}x{facts['height_px']}"
        f"{' grey' if facts['grey'] else ''}, {facts['file_bytes']} bytes, "
        f"format {facts['format_version']}"
    )
    click.echo(
        f"model {model['name'] or 'not here'} ({model['id']}), "
        f"level {len(facts['levels'])} of {facts['levels_total']}"
    )
    for meta in facts["meta"]:
        click.echo(f"{meta['kind']}: {meta['bytes']} bytes")
    if facts["levels"]:
        click.echo(f"{'level':>5} {'bytes':>10} {'total':>10} {'bpp':>8} {'PSNR':>7}")
    for row in facts["levels"]:
        psnr = f"{row['expected_psnr_db']:7.2f}" if row["expected_psnr_db"] else "      -"
        click.echo(
            f"{row['level']:>5} {row['layer_bytes']:>10} {row['total_bytes']:>10} "
            f"{row['total_bpp']:>8.4f} {psnr}"
        )
    if facts["fault"]:
        click.echo(f"notice: {facts['fault']}")


@click.command()
@click.argument("sources", metavar="INPUT...", nargs=-1, required=True)
@json_option("info")
@global_options
def command(sources: tuple[str, ...], as_json: bool) -> None:
    """Show header, metadata and levels of each INPUT (a .sic file, or -).

    PSNR is what the encoder expected. What a level does not send is invented by the decoder. A cut
    file is shown as far as it is whole; the exit code is 5 if not even level 1 is.

    \b
    Examples:
      sic info photo.sic
      sic info --json *.sic > facts.jsonl
      head -c 20000 photo.sic | sic info -
    """

    def one(source: str) -> tuple[dict[str, Any], SicError | None]:
        _, parsed = open_sic(source)
        error = None
        try:
            require_level(source, parsed)
        except SicError as missing:
            error = missing
        facts = document(source, parsed, error)
        if not as_json:
            table(source, facts)
        return facts, error

    each(sources, "sic.info/1", as_json, one)
