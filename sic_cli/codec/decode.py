"""File -> layers -> indices -> latent -> pixels. `encode.py` is the same list downward."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import CheckError, CorruptError, ModelError, TargetError
from .bitstream.reader import Parsed
from .encode import check_size
from .engine import REALISM, Engine, Pixels, engine
from .entropy import new_decoder
from .preview.decode import decode_mean_colours, decode_preview, other_symbols
from .preview.picture import enlarged, grey_of
from .quantization.dead_zone import Indices
from .quantization.step_sizes import MEAN_COLOURS
from .symbols.layer_coder import Reading, digest
from .weights.locate import find_id


@dataclass(frozen=True, slots=True)
class DecodedPixels:
    """pixels: uint8 (H, W, 3), or (H, W) for a grey picture. level: the one that was reached.
    fault: why it is lower than the file's layers promise, or None."""

    pixels: Pixels
    level: int
    fault: str | None


@dataclass(slots=True)
class DecodeProgress:
    """How far the symbols of one file have been read. Whoever asks for one level after another keeps it,
    so that no layer is read twice."""

    level: int = -1
    indices: Indices | None = None
    check: int = 0


def decode(
    parsed: Parsed,
    *,
    level: int | None = None,
    device: str = "cpu",
    seed: int = 0,
    realism: float = REALISM,
    progress: DecodeProgress | None = None,
) -> DecodedPixels:
    """The picture at `level` (default: the highest whole one).

    seed: of the noise that the decoder gets above realism 0; another seed is another picture that the same
    file allows. realism: 0, the smallest error, to 1, the most natural look. progress: of an earlier call for
    the same file. Level 0 is the preview, enlarged; it needs no model.

    Raises CorruptError if there is no whole level, CheckError if layer 0 decodes to other symbols
    than were written, TargetError if the file is whole and does not
    reach `level`, ModelError if its model is not here.
    """
    parsed.require_level()
    header = parsed.header
    check_size(header.width, header.height)
    if level is not None and level > parsed.level and not parsed.fault:
        raise TargetError(f"level {level} was asked for, and the file has {parsed.level}")
    wanted = parsed.level if level is None else min(parsed.level, level)
    if wanted == 0:
        return DecodedPixels(enlarged_preview(parsed), 0, None)
    machine = file_engine(parsed, device)
    indices, reached, fault = decode_indices(machine, parsed, wanted, progress)
    if reached == 0:
        return DecodedPixels(enlarged_preview(parsed), 0, fault)
    pixels = machine.picture(indices, reached, header.height, header.width, realism, seed)
    if header.grey:
        pixels = grey_of(pixels)
    return DecodedPixels(pixels, reached, fault)


def file_engine(parsed: Parsed, device: str) -> Engine:
    """The engine for the model that a file names."""
    card = find_id(parsed.header.model)
    if card.config.levels != parsed.header.levels:
        raise ModelError(
            f"the file says that its model has {parsed.header.levels} levels; "
            f"{card.name} has {card.config.levels}"
        )
    return engine(card, device)


def decode_indices(
    machine: Engine, parsed: Parsed, level: int, progress: DecodeProgress | None = None
) -> tuple[Indices, int, str | None]:
    """Indices at `level`, or at the last level whose symbols match their digest. progress: where to begin,
    if that is not beyond `level`; moves on.

    -> indices, the level that they belong to, and what stopped it, if anything did.
    Raises CheckError if not even layer 0 matches.
    """
    header = parsed.header
    shape = (machine.table.channels, -(-header.height // 16), -(-header.width // 16))
    now = DecodeProgress() if progress is None or progress.level > level else progress
    indices: Indices = np.zeros(shape, np.int16) if now.indices is None else now.indices
    layers = machine.layer_coder
    for layer in parsed.layers[now.level + 1 : level + 1]:
        fault = None
        try:
            if layer.level == 0:
                finer = indices.copy()
                finer[list(MEAN_COLOURS)] = decode_mean_colours(parsed)
            else:
                finer = layers.layer(layer.level, indices, Reading(new_decoder(layer.payload)))
            check = digest(machine.table, layer.level, finer, now.check)
            if check != layer.digest:
                fault = other_symbols(layer.level)
        except CorruptError as error:
            fault = f"layer {layer.level}: {error}"
        if fault:
            start = parsed.ends[layer.level - 1] if layer.level else parsed.header_end
            fault += f" (byte {start})"
            if layer.level == 0:
                raise CheckError(fault)
            return indices, layer.level - 1, fault
        indices = finer
        now.level, now.indices, now.check = layer.level, indices, check
    return indices, level, None


def enlarged_preview(parsed: Parsed) -> Pixels:
    """The preview at the picture's size. Raises CheckError as `decode_preview`."""
    header = parsed.header
    return enlarged(decode_preview(parsed), header.width, header.height, 16)
