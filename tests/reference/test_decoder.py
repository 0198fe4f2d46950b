"""The second decoder, written from FORMAT.md alone, reads the same indices as the package."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file

from sic_cli.codec.bitstream.fields import Header
from sic_cli.codec.bitstream.reader import parse
from sic_cli.codec.bitstream.writer import write
from sic_cli.codec.decode import decode_indices
from sic_cli.codec.encode import encode, encode_layers
from sic_cli.codec.engine import engine
from sic_cli.codec.preview import constants
from sic_cli.codec.weights.card import WEIGHTS, ModelCard
from tests.reference import decoder, reader
from tests.tiny import made_picture

CONSTANTS = load_file(constants.FILE)


def compared(data: bytes, card: ModelCard) -> int:
    """Indices at every level of a file by both decoders, and its digests; -> how many levels."""
    parsed, file = parse(data), reader.read(data)
    machine, count = engine(card), 0
    for index, digest in decoder.levels(file, CONSTANTS, load_file(card.folder / WEIGHTS)):
        want, level, fault = decode_indices(machine, parsed, count)
        assert (level, fault) == (count, None)
        assert np.array_equal(index, want)
        assert digest == parsed.layers[count].digest
        count += 1
    assert count == len(parsed.layers)
    return count


@pytest.mark.parametrize("size", [(1, 1), (17, 33), (40, 64), (3, 300), (280, 16)])
def test_indices_of_the_tiny_model(tiny: ModelCard, size: tuple[int, int]) -> None:
    assert compared(encode(made_picture(*size, seed=sum(size)), tiny), tiny) == 6


@pytest.mark.parametrize(("size", "level"), [((17, 33), 16), ((40, 64), 6)])
def test_indices_of_the_shipped_weights(
    shipped: ModelCard, size: tuple[int, int], level: int
) -> None:
    pixels = made_picture(*size, seed=sum(size))
    assert compared(encode(pixels, shipped, level=level), shipped) == level + 1


@pytest.mark.parametrize("scale", [3.0, 60.0, 2000.0, 1e6])
def test_any_indices(tiny: ModelCard, scale: float) -> None:
    """Escapes too, those of layer 0 and those of a channel's first depth."""
    machine, rng = engine(tiny), np.random.default_rng(int(scale))
    latent = rng.laplace(size=(8, 4, 5)) * scale * rng.choice([1, 8], (8, 1, 1))
    indices = machine.quantise(latent.astype(np.float32))
    layers = list(encode_layers(machine, machine.layer_coder, indices, [0] * 5))
    assert compared(write(Header(70, 55, 5, tiny.id), [], layers), tiny) == 6


@pytest.mark.parametrize(("height", "width"), [(17, 31), (33, 2), (1, 40), (40, 35)])
def test_layer_0_of_larger_pictures(tiny: ModelCard, height: int, width: int) -> None:
    """Without any weights."""
    machine, rng = engine(tiny), np.random.default_rng(height)
    y, x = np.mgrid[:height, :width]
    indices: NDArray[Any] = np.zeros((8, height, width), np.int32)
    for plane in (0, 1, 4):
        indices[plane] = 0.6 * y - 0.4 * x + 30 * (x > width // 2) + rng.normal(0, 3, y.shape)
    finest = indices << (machine.table.depths[-1] - machine.table.depths[0])[:, None, None]
    layers = list(encode_layers(machine, machine.layer_coder, finest, []))
    data = write(Header(16 * width, 16 * height, 5, tiny.id), [], layers)
    ((index, digest),) = decoder.levels(reader.read(data), CONSTANTS)
    assert np.array_equal(index, indices[[0, 1, 4]])
    assert digest == layers[0].digest


def test_a_payload_that_leaves_the_interval_is_refused(tiny: ModelCard) -> None:
    with pytest.raises(ValueError, match=r"interval|escape"):
        decoder.layer_0(b"\xff" * 40, 5, 5, CONSTANTS)
