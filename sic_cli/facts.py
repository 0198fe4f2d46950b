"""What a .sic file says of itself, and whether it is whole: for Python. Light unless `deep`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

from .codec.bitstream.fields import CHUNK_ALPHA, CHUNK_KINDS, MAX_FILE
from .codec.bitstream.reader import Parsed, parse
from .errors import CheckError, CorruptError, InputError, ModelError, SicError
from .pipeline.verify import Check as Check
from .pipeline.verify import VerifyResult as VerifyResult
from .pipeline.verify import checks_of
from .storage.access import read
from .storage.files import printable

Source = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO
"""A .sic file: its path, its bytes, or an open binary file that is read to its end."""

NAMES = {row.type: row.kind for row in CHUNK_KINDS}


@dataclass(frozen=True, slots=True)
class LevelInfo:
    """layer_bytes: of this layer alone; total_bytes: of the file cut behind it; psnr_db: what the
    encoder expected, or None."""

    level: int
    layer_bytes: int
    total_bytes: int
    bpp: float
    psnr_db: float | None


@dataclass(frozen=True, slots=True)
class Info:
    """model_name: None if the weights are not on this machine. levels: the whole ones from 0; levels_total:
    of the model. metadata: (kind, bytes). fault: what ended the reading early, or None."""

    width: int
    height: int
    grey: bool
    alpha: bool
    model_id: str
    model_name: str | None
    levels: tuple[LevelInfo, ...]
    levels_total: int
    metadata: tuple[tuple[str, int], ...]
    file_bytes: int
    format_version: int
    fault: str | None

    @property
    def level(self) -> int:
        """The highest whole level; 0 is a preview alone, -1 nothing."""
        return len(self.levels) - 1

    @property
    def preview_bytes(self) -> int | None:
        """How many bytes of the file hold its preview; None if it is not there."""
        return self.levels[0].total_bytes if self.levels else None


def read_source(source: Source, most: int = MAX_FILE) -> tuple[bytes, str]:
    """Bytes of a source, and its name for messages. Raises InputError, ResourceError."""
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source), "data"
    if isinstance(source, str | os.PathLike):
        path = os.fspath(source)
        return read(f".{os.sep}-" if path == "-" else path, most).data, printable(path)
    name = getattr(source, "name", None)
    if not hasattr(source, "read"):
        raise InputError(f"{type(source).__name__}: neither a path, nor bytes, nor a file")
    data = source.read()
    if not isinstance(data, bytes):
        raise InputError("the file is not open in binary mode")
    return data, printable(name) if isinstance(name, str) else "data"


def parse_source(source: Source) -> tuple[Parsed, bytes, str]:
    """Raises CorruptError, VersionError, InputError or ResourceError with the source's name."""
    data, name = read_source(source)
    try:
        return parse(data), data, name
    except SicError as error:
        raise type(error)(f"{name}: {error}", error.hint) from None


def info(source: Source) -> Info:
    """Header, metadata and levels of a .sic file, without decoding; raises as `parse_source`."""
    return info_of(parse_source(source)[0])


def info_of(parsed: Parsed) -> Info:
    """The same of a file that was parsed."""
    from .codec.weights.locate import find_id

    header, area = parsed.header, parsed.header.width * parsed.header.height
    try:
        name = find_id(header.model).name
    except ModelError:
        name = None
    starts = (parsed.header_end, *parsed.ends)
    levels = tuple(
        LevelInfo(
            layer.level, end - start, end, end * 8 / area, layer.psnr / 4 if layer.psnr else None
        )
        for layer, start, end in zip(parsed.layers, starts, parsed.ends, strict=False)
    )
    return Info(
        width=header.width,
        height=header.height,
        grey=header.grey,
        alpha=parsed.chunk(CHUNK_ALPHA) is not None,
        model_id=header.model.hex(),
        model_name=name,
        levels=levels,
        levels_total=header.levels,
        metadata=tuple((NAMES.get(c.type, c.type.decode()), len(c.data)) for c in parsed.chunks),
        file_bytes=parsed.size,
        format_version=header.version,
        fault=parsed.fault,
    )


def verify(
    source: Source, *, deep: bool = False, devices: Sequence[str] = ("auto",)
) -> VerifyResult:
    """Checksums of a .sic file; `deep` also decodes all symbols, on each device, and compares digests.

    Damage is in the result; raises as `parse_source` only if not even the header can be trusted, and
    ModelError or ResourceError if `deep` cannot run.
    """
    parsed, _, name = parse_source(source)
    checks = checks_of(parsed)
    good = parsed.level
    if deep and parsed.layers:
        from .pipeline.convert import check_symbols

        for device in devices:
            try:
                reached, wrong = check_symbols(parsed, name, device)
            except (CheckError, CorruptError) as error:
                reached, wrong = -1, str(error)
            checks.append(Check(f"symbols on {device}", wrong is None, wrong))
            good = min(good, reached)
    return VerifyResult(tuple(checks), good)
