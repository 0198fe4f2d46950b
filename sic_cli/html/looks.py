"""What the page of an evaluation shows of its pictures: kept files, decoded where browsers cannot."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..codec.bitstream.reader import parse
from ..evaluation.contenders import Contender, Pixels
from ..evaluation.rows import Row
from ..evaluation.run import EvaluationPlan, file_name, read_source
from ..storage.files import replace_file
from .evaluation import scenes
from .images import Images
from .render import Scene

LIMIT = 80 << 20
"""Bytes of pictures in the page; the rest lies in a folder beside it."""


def look(rows: Sequence[Row], plan: EvaluationPlan, folder: Path) -> tuple[list[Scene], Images]:
    """Scenes of the pictures whose files were kept. `folder`: of the page."""
    images = Images(LIMIT, "report.files")
    by_title = {c.title: c for c in plan.contenders}
    paths = dict.fromkeys(r.input for r in rows if r.input in plan.kept)
    sources = [read_source(path) for path in paths]

    def shown_file(row: Row) -> tuple[bytes, str] | Pixels:
        who = by_title[row.title]
        data = _file(plan.keep / file_name(row.picture, who, row.setting), row, who)
        return (data, who.mime) if who.mime else who.decode(data)

    found = scenes(rows, [(s.digest, s.pixels) for s in sources], shown_file, images)
    for name, data in images.files.items():
        (folder / images.folder).mkdir(exist_ok=True)
        replace_file(str((folder / images.folder / name).resolve()), data)
    return found, images


def _file(path: Path, row: Row, who: Contender) -> bytes:
    data = path.read_bytes()
    return data[: parse(data).ends[int(row.setting.split()[1])]] if who.name == "sic" else data
