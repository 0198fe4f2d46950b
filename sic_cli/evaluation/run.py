"""The loop: every picture, every codec, every setting that was not measured before."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..codec.bitstream.fields import MAX_PIXELS, MAX_SIDE
from ..errors import SicError
from ..metrics.meter import Meter
from ..metrics.names import finite
from ..storage.access import read
from ..storage.files import printable, replace_file
from .contenders import Coded, Contender, timed
from .rows import UNSAID_EFFORT, Results, Row

MAX_INPUT = 8 * MAX_PIXELS + (64 << 20)
Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Source:
    """A picture as the codecs get it: uint8 (H, W) if grey, else (H, W, 3). digest: SHA-256 of the
    file's bytes."""

    path: str
    digest: str
    pixels: Pixels


@dataclass(frozen=True, slots=True)
class EvaluationPlan:
    """names: of the metrics; keep: folder for the files of `kept` pictures, which pages show."""

    contenders: Sequence[Contender]
    names: Sequence[str]
    repeat: int
    keep: Path
    kept: frozenset[str]


class Keeper(Protocol):
    """Rows that are there, and a place for new ones."""

    rows: dict[tuple[Any, ...], Row]

    def add(self, row: Row) -> None:
        """Keep a row."""


def read_source(path: str) -> Source:
    """Raises InputError or ResourceError for what is no picture that sic takes."""
    from ..picture.load import load

    data = read(path, MAX_INPUT).data
    picture = load(data, printable(path), MAX_SIDE, MAX_PIXELS)
    pixels = picture.pixels[:, :, 0] if picture.grey else picture.pixels[:, :, :3]
    return Source(path, hashlib.sha256(data).hexdigest(), np.ascontiguousarray(pixels))


def file_name(digest: str, contender: Contender, setting: str) -> str:
    """The kept file of a row: `3f2a90c1-avif-quality-30.avif`."""
    step = "" if contender.name == "sic" else "-" + setting.replace(" ", "-")
    who = contender.model[0] if contender.model else contender.name
    if contender.effort not in (None, UNSAID_EFFORT):
        who += f"-effort-{contender.effort}"
    safe = "".join(c if c.isalnum() or c in "-." else "_" for c in who)
    return f"{digest[:12]}-{safe}{step}{contender.suffix}"


def evaluate(
    paths: Sequence[str],
    plan: EvaluationPlan,
    results: Results,
    progress: Callable[[int, int, str], None],
) -> tuple[list[Row], dict[str, SicError]]:
    """Rows in the order of pictures, codecs and settings, and what was wrong with which picture."""
    rows: list[Row] = []
    failed: dict[str, SicError] = {}
    each = sum(len(c.settings) for c in plan.contenders)
    for number, path in enumerate(paths):
        progress(number * each, len(paths) * each, path)
        try:
            source = read_source(path)
            done = number * each
            for contender in plan.contenders:
                progress(done, len(paths) * each, f"{path} {contender.title}")
                rows += picture_rows(source, contender, plan, results)
                done += len(contender.settings)
        except SicError as error:
            failed[path] = error
    return rows, failed


def picture_rows(
    source: Source, who: Contender, plan: EvaluationPlan, results: Keeper
) -> list[Row]:
    """Rows of one picture and one codec; those that were there are taken as they are, but for the title,
    which says realism where there are several."""
    keep = source.path in plan.kept
    blank = {s: _row(source, who, Coded(s, b"", 0.0), 0.0, 0, {}) for s in who.settings}
    old = {s: results.rows.get(row.key) for s, row in blank.items()}
    wanted = [
        s
        for s, row in old.items()
        if row is None
        or row.repeat < plan.repeat
        or not set(plan.names) <= set(row.values)
        or (keep and _short(plan.keep / file_name(source.digest, who, s), row))
    ]
    if wanted:
        meter = Meter(source.pixels, plan.names)
        for made in who.files(source.pixels, wanted, plan.repeat):
            pixels, seconds = timed(lambda d=made.data: who.decode(d), plan.repeat)  # type: ignore[misc]
            row = _row(source, who, made, seconds, plan.repeat, meter.all(pixels))
            results.add(row)
            old[made.setting] = row
            if keep:
                keep_file(plan.keep / file_name(source.digest, who, made.setting), made.data)
    return [replace(row, title=who.title) for row in old.values() if row is not None]


def _short(path: Path, row: Row) -> bool:
    """Is there no kept file, or one that ends before the row's does?"""
    return not path.is_file() or path.stat().st_size < row.file_bytes


def keep_file(path: Path, data: bytes) -> None:
    """Of sic there is one file a picture: the longest prefix."""
    if not path.is_file() or path.stat().st_size < len(data) or path.suffix != ".sic":
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(str(path.resolve()), data)


def _row(
    source: Source,
    who: Contender,
    made: Coded,
    decode_s: float,
    repeat: int,
    values: dict[str, float | None],
) -> Row:
    height, width = source.pixels.shape[:2]
    return Row(
        input=source.path,
        picture=source.digest,
        width_px=width,
        height_px=height,
        codec=who.name,
        title=who.title,
        setting=made.setting,
        model_name=who.model[0] if who.model else None,
        model_id=who.model[1] if who.model else None,
        version=who.version,
        truncated=who.name == "sic",
        file_bytes=len(made.data),
        encode_s=round(made.encode_s, 5),
        decode_s=round(decode_s, 5),
        repeat=repeat,
        values={n: finite(v) for n, v in values.items()},
        realism=who.realism,
        effort=who.effort,
    )
