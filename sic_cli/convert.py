"""Picture files to .sic files and back, in memory: bytes in, bytes out, nothing printed, no paths.

The commands, the folder runner, the Python API and the Pillow plugin all call this. Importing it
imports neither torch nor Pillow; the heavy rooms load when a picture comes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

from .bitstream.fields import CHUNK_ICC, MAX_CHUNKS_BYTES, MAX_PIXELS, MAX_SIDE, Chunk
from .bitstream.reader import Parsed, parse
from .errors import CorruptError, Notice, SicError, TargetError
from .targets import Goal, Reached, asked_level, settle


@dataclass(frozen=True, slots=True)
class EncodeOptions:
    """level: the highest level written; target_size (bytes), target_bpp: ceilings on the whole file.
    quality (1..100), targets, best_effort, measure: see targets.py; level and ceilings cap the search.
    metadata: "all" or "none". seed: default seed of sampled details. model: name, folder, or None
    for the newest release."""

    level: int | None = None
    target_size: int | None = None
    target_bpp: float | None = None
    metadata: str = "all"
    seed: int = 0
    model: str | None = None
    device: str = "auto"
    quality: int | None = None
    targets: tuple[Goal, ...] = ()
    best_effort: bool = False
    measure: bool = False


@dataclass(frozen=True, slots=True)
class Encoded:
    """data: the .sic file. layer_bytes: bytes of each layer with its head. target: what was asked for
    and what was got; metrics: JSON key -> value at `level`, of those that were measured."""

    data: bytes
    width: int
    height: int
    level: int
    levels: int
    layer_bytes: tuple[int, ...]
    model: str
    model_id: str
    notices: tuple[Notice, ...] = ()
    target: tuple[Reached, ...] = ()
    metrics: dict[str, float | None] = field(default_factory=dict)

    @property
    def bpp(self) -> float:
        """Bits per pixel of the whole file."""
        return len(self.data) * 8 / (self.width * self.height)


@dataclass(frozen=True, slots=True)
class DecodeOptions:
    """level: None for the highest whole one. details: "mean" or "sample", the latter by `seed`
    (None: the file's). realism: 0 (smallest error) to 1 (most natural). strict: refuse cut and damaged files."""

    level: int | None = None
    details: str = "mean"
    seed: int | None = None
    strict: bool = False
    device: str = "auto"
    realism: float = 1.0


@dataclass(frozen=True, slots=True)
class Decoded:
    """data: a picture file. fault: why `level` is lower than was asked for or promised, or None."""

    data: bytes
    width: int
    height: int
    level: int
    levels: int
    fault: str | None
    notices: tuple[Notice, ...] = ()


def encode_file(data: bytes, name: str, options: EncodeOptions) -> Encoded:
    """A picture file's bytes -> a .sic file.

    name: for messages. Raises InputError, ResourceError, TargetError, ModelError.
    """
    from .picture.load import load

    picture = load(data, name, MAX_SIDE, MAX_PIXELS)
    notices = tuple(
        n for n in picture.notices if n.code != "W-meta-lost" or options.metadata == "all"
    )
    chunks: tuple[Chunk, ...] = ()
    if picture.icc and options.metadata == "all":
        if len(picture.icc) > MAX_CHUNKS_BYTES:
            raise TargetError(
                f"{name}: colour profile of {len(picture.icc)} bytes", "--metadata none"
            )
        chunks = (Chunk(CHUNK_ICC, picture.icc),)

    from .codec.encode import encode
    from .release.locate import find

    card = find(options.model)
    made = encode(
        picture.pixels,
        card,
        level=asked_level(options, card.config.levels),
        device=options.device,
        grey=picture.grey,
        seed=options.seed,
        chunks=chunks,
    )
    found = settle(made, picture.pixels, options, name)
    parsed, level = parse(found.made), found.level
    ends = (parsed.header_end, *parsed.ends[:level])
    return Encoded(
        found.made[: ends[-1]],
        parsed.header.width,
        parsed.header.height,
        level,
        parsed.header.levels,
        tuple(b - a for a, b in pairwise(ends)),
        card.name,
        card.id.hex(),
        (*notices, *found.notices),
        found.target,
        found.metrics,
    )


def open_sic(data: bytes, name: str, strict: bool = False) -> Parsed:
    """A .sic file's contents; there is at least level 1. Raises CorruptError, VersionError and
    ResourceError that begin with `name`; with `strict` for any cut or damage."""
    try:
        parsed = parse(data)
        parsed.require_level()
    except SicError as error:
        raise type(error)(f"{name}: {error}", error.hint) from None
    if strict and parsed.fault and parsed.fault_kind != "trailing":
        raise CorruptError(f"{name}: {parsed.fault}")
    return parsed


def decode_file(data: bytes, name: str, format_: str, options: DecodeOptions) -> Decoded:
    """A .sic file's bytes -> a picture file in one of Pillow's formats (`picture.save.format_for`).

    Raises CorruptError, VersionError, ModelError, TargetError, CheckError, ResourceError,
    OutputError if the format cannot hold the picture.
    """
    parsed = open_sic(data, name, options.strict)
    if options.level is not None and options.level > parsed.header.levels:
        raise TargetError(
            f"level {options.level} was asked for, and the model has 1 to {parsed.header.levels}"
        )

    from .codec.decode import decode
    from .picture.save import KEEPS_ICC, save

    made = decode(
        parsed,
        level=options.level,
        device=options.device,
        details=options.details,
        seed=options.seed,
        realism=options.realism,
    )
    if options.strict and made.fault:
        raise CorruptError(f"{name}: {made.fault}")
    notices = []
    icc = parsed.chunk(CHUNK_ICC)
    if icc and format_ not in KEEPS_ICC:
        notices.append(Notice(f"{name}: {format_} files hold no colour profile", "W-meta-lost"))
    fault = made.fault or parsed.fault
    if made.fault is None and parsed.fault_kind == "trailing":
        notices.append(Notice(f"{name}: {parsed.fault}", "W-trailing"))
        fault = None
    if made.level >= (options.level or parsed.header.levels):
        fault = None
    return Decoded(
        save(made.pixels, format_, icc),
        parsed.header.width,
        parsed.header.height,
        made.level,
        parsed.header.levels,
        fault,
        tuple(notices),
    )
