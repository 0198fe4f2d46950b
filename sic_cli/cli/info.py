"""sic info: click and the standard library only."""

from __future__ import annotations

from typing import Any

import click

from ..codec.bitstream.fields import CHUNK_ALPHA, CHUNK_KINDS
from ..codec.bitstream.heads import Heads
from ..codec.weights.locate import find_id
from ..errors import CorruptError, ModelError, SicError
from ..pipeline.partial_read import outline
from ..schemas.documents import failure, head
from ..storage.files import printable
from .common import MESSAGES, global_options, json_option
from .inputs import each

KINDS = {row.type: row.kind for row in CHUNK_KINDS}


def document(
    source: str, held: Heads, fetched: int | None = None, error: SicError | None = None
) -> dict[str, Any]:
    """The facts of a file, as `sic.info/1`; fetched: bytes that came over the network; error: what is
    wrong with it."""
    failed = failure(error) if error else None
    header, area = held.header, held.header.width * held.header.height
    try:
        name, available = find_id(header.model).name, True
    except ModelError:
        name, available = None, False
    starts = (held.header_end, *held.ends)
    levels = [
        {
            "level": level,
            "layer_bytes": end - start,
            "total_bytes": end,
            "total_bpp": round(end * 8 / area, 5),
            "expected_psnr_db": psnr / 4 if psnr else None,
            "crc_ok": True if held.checked else None,
        }
        for level, (psnr, start, end) in enumerate(zip(held.psnrs, starts, held.ends, strict=False))
    ]
    return {
        **head("sic.info/1", source, None, error.exit_code if error else 0, failed),
        "format_version": header.version,
        "width_px": header.width,
        "height_px": header.height,
        "grey": header.grey,
        "alpha": any(type_ == CHUNK_ALPHA for type_, _ in held.chunks),
        "orientation": None,
        "model": {"name": name, "id": header.model.hex(), "available": available},
        "levels_total": header.levels,
        "levels": levels,
        "preview_bytes": held.ends[0] if held.ends else None,
        "header_bytes": held.header_end,
        "meta": [
            {"kind": KINDS.get(type_, type_.decode()), "bytes": count}
            for type_, count in held.chunks
        ],
        "encoder": None,
        "file_bytes": held.size,
        "fetched_bytes": fetched,
        "truncated": held.fault_kind == "cut",
        "fault": held.fault,
    }


def table(source: str, facts: dict[str, Any]) -> None:
    """The same for people."""
    model = facts["model"]
    click.echo(
        f"{printable(source)}: {facts['width_px']}x{facts['height_px']}"
        f"{' grey' if facts['grey'] else ''}, {facts['file_bytes']} bytes, "
        f"format {facts['format_version']}"
    )
    click.echo(
        f"model {model['name'] or 'not here'} ({model['id']}), "
        f"level {len(facts['levels']) - 1} of {facts['levels_total']}"
        if facts["levels"]
        else f"model {model['name'] or 'not here'} ({model['id']}), no whole level"
    )
    if facts["levels"]:
        click.echo(f"preview: the first {facts['preview_bytes']} bytes")
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
    """Show header, metadata and levels of each INPUT (a .sic file, or -, or a URL such as s3://).

    PSNR is what the encoder expected without decoding, mostly within 1 dB; encode --measure states
    the true one. What a level does not send is invented by the decoder. A cut file is shown as far as
    it is whole; the exit code is 5 if not even level 0, the preview, is. Of a URL only the heads of the layers are
    fetched: checksums of layers are then not looked at.

    \b
    Examples:
      sic info photo.sic
      sic info --json *.sic > facts.jsonl
      head -c 20000 photo.sic | sic info -
    """

    def one(source: str) -> tuple[dict[str, Any], SicError | None]:
        held, fetched = outline(source)
        error = None
        if not held.ends:
            why = held.fault or "the file ends before layer 0"
            error = CorruptError(f"{printable(source)}: no whole level: {why}")
        facts = document(source, held, fetched, error)
        if fetched is not None:
            MESSAGES.detail(f"{printable(source)}: {fetched} of {held.size} bytes fetched")
        if not as_json:
            table(source, facts)
        return facts, error

    each(sources, "sic.info/1", as_json, one)
