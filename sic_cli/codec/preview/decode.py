"""A file's preview, from layer 0 alone: nothing but this folder, the range coder and NumPy is loaded."""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

from ...errors import CheckError, CorruptError
from ..bitstream.reader import Parsed
from ..entropy import new_decoder
from ..symbols.class_runs import Reading
from .constants import mean_colour_coder
from .picture import colours


def decode_mean_colours(parsed: Parsed) -> NDArray[np.int16]:
    """Indices (3, h, w) of layer 0; its digest is not looked at. Raises CorruptError if they do not decode."""
    header = parsed.header
    size = -(-header.height // 16), -(-header.width // 16)
    return mean_colour_coder().code(*size, Reading(new_decoder(parsed.layers[0].payload)))


def decode_preview(parsed: Parsed) -> NDArray[np.uint8]:
    """uint8 (ceil(H / 16), ceil(W / 16), 3), or without the last axis for a grey picture.

    Raises CorruptError if there is no whole layer 0, CheckError if it decodes to other symbols than were
    written.
    """
    return colours(checked_mean_colours(parsed), parsed.header.grey)


def checked_mean_colours(parsed: Parsed) -> NDArray[np.int16]:
    """Indices (3, h, w) of layer 0, as they were written; raises as `decode_preview`."""
    parsed.require_level()
    try:
        indices = decode_mean_colours(parsed)
    except CorruptError as error:
        raise CheckError(f"layer 0: {error} (byte {parsed.header_end})") from None
    if zlib.crc32(np.ascontiguousarray(indices, "<i4").data) != parsed.layers[0].digest:
        raise CheckError(f"{other_symbols(0)} (byte {parsed.header_end})")
    return indices


def other_symbols(level: int) -> str:
    """What is said of a layer whose digest does not match."""
    return f"layer {level} decodes to other symbols than were written"
