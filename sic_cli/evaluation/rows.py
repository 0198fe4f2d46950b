"""One row per picture, codec and setting: what it holds, and the file that a killed run goes on from.

Standard library only: `sic report` reads rows on machines without torch.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..metrics.names import METRICS
from ..schemas.documents import head, line
from ..storage.files import printable, read_input, replace_file

SCHEMA, SUMMARY = "sic.eval/1", "sic.eval-summary/1"
MAX_RESULTS = 1 << 30
UNSAID_REALISM, UNSAID_EFFORT = 1.0, 1
"""Of rows of sic from before they stated it, and of a title that says nothing of it."""


@dataclass(frozen=True, slots=True)
class Row:
    """picture: SHA-256 of the source file; bpp: 8 times file_bytes over pixels; truncated: the file is a
    prefix of the one file that sic made of this picture; values: metric name -> value or None;
    realism: of sic's decoder; effort: of its encoder."""

    input: str
    picture: str
    width_px: int
    height_px: int
    codec: str
    title: str
    setting: str
    model_name: str | None
    model_id: str | None
    version: str
    truncated: bool
    file_bytes: int
    encode_s: float
    decode_s: float
    repeat: int
    values: dict[str, float | None] = field(default_factory=dict)
    realism: float | None = None
    effort: int | None = None

    @property
    def bpp(self) -> float:
        return self.file_bytes * 8 / (self.width_px * self.height_px)

    @property
    def key(self) -> tuple[str, str, str, str | None, str, float | None, int | None]:
        """What makes two rows the same measurement."""
        ours = self.model_id, self.version, self.realism, self.effort
        return self.picture, self.codec, self.setting, *ours

    @property
    def series(self) -> str:
        """The curve that it is a point of."""
        return self.title

    def document(self) -> dict[str, Any]:
        """As `sic.eval/1`."""
        body = asdict(self)
        for name in ("input", "picture", "model_name", "model_id", "truncated", "values"):
            del body[name]
        model = {"name": self.model_name, "id": self.model_id} if self.model_id else None
        measured = {m.key: self.values.get(n) for n, m in METRICS.items()}
        asked = sorted(self.values)
        return (
            head(SCHEMA, self.input)
            | {"source_sha256": self.picture}
            | body
            | {"model": model, "cut_from_one_file": self.truncated, "bpp": round(self.bpp, 6)}
            | measured
            | {"metrics": asked}
        )


def row_of(document: dict[str, Any]) -> Row:
    """The row of a `sic.eval/1` document. Raises KeyError or TypeError if it is none."""
    model = document["model"] or {"name": None, "id": None}
    return Row(
        input=str(document["input"]),
        picture=str(document["source_sha256"]),
        width_px=int(document["width_px"]),
        height_px=int(document["height_px"]),
        codec=str(document["codec"]),
        title=str(document["title"]),
        setting=str(document["setting"]),
        model_name=model["name"],
        model_id=model["id"],
        version=str(document["version"]),
        truncated=bool(document["cut_from_one_file"]),
        file_bytes=int(document["file_bytes"]),
        encode_s=float(document["encode_s"]),
        decode_s=float(document["decode_s"]),
        repeat=int(document["repeat"]),
        values={n: _number(document[METRICS[n].key]) for n in document["metrics"]},
        realism=_number(
            document.get("realism", UNSAID_REALISM if document["codec"] == "sic" else None)
        ),
        effort=document.get("effort", UNSAID_EFFORT if document["codec"] == "sic" else None),
    )


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def documents(path: str) -> list[dict[str, Any]]:
    """The JSON documents of a file of lines; a torn last line is left out.

    Raises InputError for a file that is not JSON Lines.
    """
    texts = read_input(path, MAX_RESULTS).decode("utf-8", "replace").rstrip().split("\n")
    out = []
    for number, text in enumerate(texts, 1):
        if not text.strip():
            continue
        try:
            value = json.loads(text)
            if not isinstance(value, dict):
                raise ValueError("not an object")
            out.append(value)
        except ValueError:
            if number == len(texts):
                break
            raise InputError(f"{printable(path)}: line {number} is not a JSON document") from None
    return out


def rows_of(found: Iterable[dict[str, Any]], path: str) -> dict[tuple[Any, ...], Row]:
    """Rows by key, the last of each; other documents are passed over. Raises InputError."""
    rows: dict[tuple[Any, ...], Row] = {}
    for document in found:
        if document.get("schema") != SCHEMA or not document.get("ok"):
            continue
        try:
            row = row_of(document)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{printable(path)}: not a row of sic.eval/1 ({error})") from None
        rows[row.key] = row
    return rows


class Results:
    """The rows of a report folder: those of earlier runs, and each new one as soon as it is there."""

    def __init__(self, path: Path) -> None:
        found = documents(str(path)) if path.exists() else []
        self.rows = rows_of(found, str(path))
        replace_file(str(path.resolve()), lines(self.rows.values()))
        self.file = open(path, "a", encoding="utf-8")  # noqa: SIM115

    def add(self, row: Row) -> None:
        """Keep a row; it is on the disk when this returns."""
        self.rows[row.key] = row
        self.file.write(line(row.document()) + "\n")
        self.file.flush()

    def close(self) -> None:
        os.fsync(self.file.fileno())
        self.file.close()


def lines(rows: Iterable[Row], last: Iterable[dict[str, Any]] = ()) -> bytes:
    """JSON Lines of rows and what follows them."""
    made = [*(row.document() for row in rows), *last]
    return "".join(line(d) + "\n" for d in made).encode()


def table(rows: Iterable[Row]) -> bytes:
    """CSV of rows, one column for each metric."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(
        [
            "input",
            "codec",
            "setting",
            "model",
            "realism",
            "effort",
            "width_px",
            "height_px",
            "file_bytes",
            "bpp",
        ]
        + [m.key for m in METRICS.values()]
        + ["encode_s", "decode_s"]
    )
    for row in rows:
        values = [row.values.get(n) for n in METRICS]
        writer.writerow(
            [
                printable(row.input),
                row.codec,
                row.setting,
                row.model_name or "",
                "" if row.realism is None else f"{row.realism:g}",
                "" if row.effort is None else row.effort,
                row.width_px,
                row.height_px,
                row.file_bytes,
                f"{row.bpp:.6f}",
                *("" if v is None else f"{v:.6f}" for v in values),
                f"{row.encode_s:.4f}",
                f"{row.decode_s:.4f}",
            ]
        )
    return out.getvalue().encode()
