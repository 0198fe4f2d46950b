"""Picture files to .sic files and back, in memory: bytes in, bytes out, nothing printed, no paths.

The commands, the folder runner, the Python API and the Pillow plugin all call this. Importing it
imports neither torch nor Pillow; the heavy folders load when a picture comes. Safe in threads: reading and
writing picture files go on side by side, the codec takes one picture at a time.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from ..codec.bitstream.fields import MAX_PIXELS, MAX_SIDE
from ..codec.bitstream.reader import Parsed, open_sic, parse
from ..errors import CorruptError, Notice, SicError, TargetError
from .limits import DEFAULT, Limits, reports_out_of_memory
from .options import DecodeOptions, EncodeOptions
from .rate_control import Reached, asked_level, settle

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..codec.decode import DecodeProgress
    from ..codec.rdo.search import ReportProgress
    from ..picture.load import Picture
    from ..picture.metadata import Metadata

_CODEC = threading.Lock()
"""Held while networks are loaded and run: how many threads a product of matrices takes is a setting of
the whole process, and two threads would undo each other's."""


def _new_lock() -> None:
    global _CODEC
    _CODEC = threading.Lock()


if hasattr(os, "register_at_fork"):  # a child must not wait for a thread that it does not have
    os.register_at_fork(after_in_child=_new_lock)


@dataclass(frozen=True, slots=True)
class EncodedFile:
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
class DecodedFile:
    """data: a picture file. fault: why `level` is lower than was asked for or promised, or None."""

    data: bytes
    width: int
    height: int
    level: int
    levels: int
    fault: str | None
    notices: tuple[Notice, ...] = ()


@dataclass(frozen=True, slots=True)
class DecodedPicture:
    """pixels: uint8 (H, W, 3), or (H, W) if grey; alpha: uint8 (H, W) or None. fault: as above."""

    pixels: NDArray[np.uint8]
    alpha: NDArray[np.uint8] | None
    metadata: Metadata
    level: int
    levels: int
    fault: str | None
    notices: tuple[Notice, ...] = ()


def prepare(model: str | None, device: str) -> None:
    """Load a model onto a device now. Raises ModelError, ResourceError."""
    from ..codec.engine import engine
    from ..codec.weights.locate import find

    with _CODEC:
        engine(find(model), device)


def check_symbols(
    parsed: Parsed, name: str, device: str, limits: Limits = DEFAULT
) -> tuple[int, str | None]:
    """Decode all symbols of a file: the last level whose digest is right, and what is wrong behind.

    Raises CheckError if not even layer 0 is right, ModelError, ResourceError.
    """
    return indices_of(parsed, name, device, limits)[1:]


@reports_out_of_memory
def indices_of(
    parsed: Parsed, name: str, device: str, limits: Limits = DEFAULT
) -> tuple[NDArray[np.signedinteger[Any]], int, str | None]:
    """The same, with the indices of that level before it; raises alike."""
    limits.check(parsed.header.width, parsed.header.height, name)
    if parsed.level == 0:  # a preview alone, which needs no model
        from ..codec.preview.decode import checked_mean_colours

        return checked_mean_colours(parsed), 0, None

    from ..codec.decode import decode_indices, file_engine

    try:
        with _CODEC:
            return decode_indices(file_engine(parsed, device), parsed, parsed.level)
    except SicError as error:
        raise type(error)(f"{name}: {error}", error.hint) from None


@reports_out_of_memory
def encode_file(
    data: bytes,
    name: str,
    options: EncodeOptions,
    limits: Limits = DEFAULT,
    report_progress: ReportProgress | None = None,
) -> EncodedFile:
    """A picture file's bytes -> a .sic file.

    name: for messages. report_progress: hears which share of a search is done. Raises InputError, ResourceError,
    TargetError, ModelError, UsageError.
    """
    from ..picture.load import load

    picture = load(data, name, MAX_SIDE, MAX_PIXELS, options, limits.check)
    return encode_picture(picture, name, options, report_progress)


@reports_out_of_memory
def encode_picture(
    picture: Picture,
    name: str,
    options: EncodeOptions,
    report_progress: ReportProgress | None = None,
) -> EncodedFile:
    """A picture that was read -> a .sic file; raises as `encode_file`."""
    from ..codec.encode import encode
    from ..codec.weights.locate import find
    from .chunks import to_chunks

    card = find(options.model)
    with _CODEC:
        made = encode(
            picture.pixels,
            card,
            level=asked_level(options, card.config.levels),
            device=options.device,
            grey=picture.grey,
            chunks=to_chunks(picture, name),
            effort=options.effort,
            report_progress=report_progress,
        )
        found = settle(made, picture.pixels, options, name)
    parsed, level = parse(found.made), found.level
    ends = (parsed.header_end, *parsed.ends[: level + 1])
    return EncodedFile(
        found.made[: ends[-1]],
        parsed.header.width,
        parsed.header.height,
        level,
        parsed.header.levels,
        tuple(b - a for a, b in pairwise(ends)),
        card.name,
        card.id.hex(),
        (*picture.notices, *found.notices),
        found.target,
        found.metrics,
    )


@reports_out_of_memory
def decode_file(
    data: bytes, name: str, format_: str, options: DecodeOptions, limits: Limits = DEFAULT
) -> DecodedFile:
    """A .sic file's bytes -> a picture file in one of Pillow's formats (`picture.save.format_for`).

    Raises CorruptError, VersionError, ModelError, TargetError, CheckError, ResourceError,
    OutputError if the format cannot hold the picture.
    """
    parsed = open_sic(data, name, options.strict)
    made = decode_parsed(parsed, name, options, limits)

    from ..picture.save import Output, write

    metadata, found_notices = made.metadata.chosen(options.metadata, options.strip_gps, name)
    output = Output(options.background, options.output_quality, options.png_compression)
    picture, lost = write(made.pixels, made.alpha, format_, metadata, name, output)
    return DecodedFile(
        picture,
        made.pixels.shape[1],
        made.pixels.shape[0],
        made.level,
        made.levels,
        made.fault,
        (*made.notices, *found_notices, *lost),
    )


@reports_out_of_memory
def decode_parsed(
    parsed: Parsed,
    name: str,
    options: DecodeOptions,
    limits: Limits = DEFAULT,
    progress: DecodeProgress | None = None,
) -> DecodedPicture:
    """A file that `open_sic` read -> its pixels and what belongs to them; raises as `decode_file`.
    progress: see `codec.decode.Progress`."""
    limits.check(parsed.header.width, parsed.header.height, name)
    if options.level is not None and options.level > parsed.header.levels:
        raise TargetError(
            f"level {options.level} was asked for, and the model has 0 to {parsed.header.levels}"
        )

    from .chunks import alpha_of, metadata_of

    alpha = alpha_of(parsed, name)
    if options.preview:
        return _preview(parsed, name, options.scale, alpha)

    from ..codec.decode import decode

    with _CODEC:
        made = decode(
            parsed,
            level=options.level,
            device=options.device,
            seed=options.noise_seed,
            realism=options.realism,
            progress=progress,
        )
    if options.strict and made.fault:
        raise CorruptError(f"{name}: {made.fault}")
    notices = []
    fault = made.fault or parsed.fault
    if made.fault is None and parsed.fault_kind == "trailing":
        notices.append(Notice(f"{name}: {parsed.fault}", "W-trailing"))
        fault = None
    if made.level >= (parsed.header.levels if options.level is None else options.level):
        fault = None
    if made.level == 0 and options.level is None and fault is None:
        text = f"{name}: holds a preview alone, which is shown enlarged"
        notices.append(Notice(text, "W-preview"))
    if options.seed is not None and options.details != "sample":
        text = f"{name}: a seed changes nothing without details 'sample'"
        notices.append(Notice(text, "W-seed"))
    elif options.noise_seed and options.realism == 0:
        text = f"{name}: realism 0 has no noise, so a seed changes nothing"
        notices.append(Notice(text, "W-seed"))
    return DecodedPicture(
        made.pixels,
        alpha,
        metadata_of(parsed.chunks),
        made.level,
        parsed.header.levels,
        fault,
        tuple(notices),
    )


def _preview(
    parsed: Parsed, name: str, scale: int, alpha: NDArray[np.uint8] | None
) -> DecodedPicture:
    """Layer 0 alone, at a sixteenth of the size times `scale`; no model is looked for."""
    from ..codec.preview.decode import decode_preview
    from ..codec.preview.picture import enlarged, shrunk
    from .chunks import metadata_of

    header = parsed.header
    try:
        pixels = enlarged(decode_preview(parsed), header.width, header.height, scale)
    except SicError as error:
        raise type(error)(f"{name}: {error}", error.hint) from None
    if alpha is not None:
        alpha = shrunk(alpha, pixels.shape[1], pixels.shape[0])
    metadata = metadata_of(parsed.chunks)
    return DecodedPicture(pixels, alpha, metadata, 0, header.levels, None, ())
