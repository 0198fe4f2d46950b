"""The network and the frequency tables of layer 0: constants of the format, in a file beside this module.

FORMAT.md names the file's digest; no other file is needed for a preview.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load

from ...errors import ModelError
from ..entropy.tables import PRECISION, FrequencyTable
from .coder import CLASSES, FIRST_RADIUS, PLANES, RADIUS, MeanColourCoder, MeanColourTables
from .network import Array, Layers

FILE = Path(__file__).with_name("mean_colours.safetensors")
DIGEST = "9ca818d9c361eb2945fc251cac10d30dbb8d6d35c321a46b808b659a7230f759"
"""SHA-256 of FILE."""
STORED = 16
"""Bits of a stored frequency; those that code are as many bits larger as `PRECISION` says."""
KINDS = ("diagonal", "direct")
UNIT = np.float32(1 / 128)
HALF = np.float32(0.5)


@cache
def mean_colour_coder() -> MeanColourCoder:
    """The coder of layer 0. Raises ModelError if its file is missing or is another one."""
    try:
        data = FILE.read_bytes()
    except OSError as error:
        raise ModelError(f"{FILE}: {error.strerror}", "install sic again") from None
    if hashlib.sha256(data).hexdigest() != DIGEST:
        raise ModelError(f"{FILE}: not the file that version 1 needs", "install sic again")
    return coder_of(load(data))


def coder_of(arrays: Mapping[str, NDArray[np.generic]]) -> MeanColourCoder:
    """From what the file holds; FORMAT.md, section 7.5, lists it."""
    networks = tuple(
        (layers(arrays, plane, KINDS[0]), layers(arrays, plane, KINDS[1]))
        for plane in range(PLANES)
    )
    first = tuple(_table(row, 2 * FIRST_RADIUS + 3) for row in arrays["tables.first"])
    residual = tuple(
        tuple(_table(row, 2 * RADIUS + 3) for row in rows) for rows in arrays["tables.residual"]
    )
    if len(first) != PLANES or any(len(rows) != CLASSES for rows in residual):
        raise ModelError("tables of layer 0 are not of the shape that version 1 needs")
    return MeanColourCoder(networks, MeanColourTables(first, residual))


def layers(arrays: Mapping[str, NDArray[np.generic]], plane: int, kind: str) -> Layers:
    """The layers of one plane and one kind of pass. Stored are weights (in, out) and biases (spacings, out)
    as whole numbers; what divides a sum by 128 and rounds it is taken into them, which stays exact."""

    def stored(name: str) -> Array:
        return np.ascontiguousarray(arrays[f"{kind}.{plane}.{name}"], np.float32)

    return Layers(
        stored("first") * UNIT,
        stored("first_bias") * UNIT + HALF,
        stored("second") * UNIT,
        stored("second_bias") * UNIT + HALF,
        stored("out"),
        stored("out_bias"),
    )


def _table(row: NDArray[np.generic], symbols: int) -> FrequencyTable:
    """A table of as many symbols from its stored frequencies."""
    stored = row.astype(np.int64)
    if len(stored) != symbols:
        raise ModelError("tables of layer 0 are not of the shape that version 1 needs")
    return FrequencyTable(stored << (PRECISION - STORED))
