"""Layer 0: every position once, the same numbers both ways, nothing but whole numbers, colours as they should be."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load

from sic_cli.codec.entropy import new_decoder, new_encoder
from sic_cli.codec.preview import constants
from sic_cli.codec.preview.coder import INDEX_MAX
from sic_cli.codec.preview.constants import mean_colour_coder
from sic_cli.codec.preview.network import (
    DECODED,
    PASSES,
    SAME_PASS,
    SPACING,
    coarsest,
    neighbourhood,
)
from sic_cli.codec.preview.picture import colours, enlarged
from sic_cli.codec.symbols.class_runs import Reading, Writing
from sic_cli.errors import ModelError

SIZES = ((1, 1), (1, 40), (33, 1), (2, 3), (16, 16), (17, 31), (48, 32), (50, 65))


def made(height: int, width: int, seed: int = 0) -> NDArray[np.int16]:
    """Planes like a picture's: a ramp, edges and noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    bright = 0.7 * y - 0.4 * x + 30 * (x > width // 2) + rng.normal(0, 2, (height, width))
    colour = rng.normal(0, 0.7, (2, height, width)) + 3 * (y > height // 3)
    return np.concatenate([bright[None], colour]).astype(np.int16)


def coded(planes: NDArray[np.int16], name: str | None = None) -> bytes:
    encoder = new_encoder(name)
    mean_colour_coder().code(*planes.shape[1:], Writing(encoder), planes)
    return encoder.finish()


def decoded(data: bytes, height: int, width: int, name: str | None = None) -> NDArray[np.int16]:
    return mean_colour_coder().code(height, width, Reading(new_decoder(data, name)))


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_planes_come_back(height: int, width: int) -> None:
    planes = made(height, width)
    data = coded(planes)
    assert np.array_equal(decoded(data, height, width), planes)
    assert coded(planes, "plain") == data
    assert np.array_equal(decoded(data, height, width, "plain"), planes)


def test_extremes_are_escaped() -> None:
    rng = np.random.default_rng(3)
    planes = rng.choice([-INDEX_MAX, INDEX_MAX, 0, 21, -22, 85], (3, 20, 35)).astype(np.int16)
    assert np.array_equal(decoded(coded(planes), 20, 35), planes)


def test_neighbours_are_worth_most() -> None:
    """A smooth picture takes a fraction of what noise of the same values takes."""
    planes = np.sort(made(48, 32).reshape(3, -1)).reshape(3, 48, 32)
    noise = np.random.default_rng(1).permuted(planes.reshape(3, -1), axis=1).reshape(3, 48, 32)
    assert len(coded(planes)) < len(coded(noise)) / 3


def within(at: int, count: int, step: int) -> int | None:
    """FORMAT.md, section 7.1, word by word; None for what stays outside."""
    at = abs(at)
    while at > count - 1:
        at -= step
    return abs(at) if abs(at) < count else None


def neighbour(y: int, x: int, a: int, b: int, size: tuple[int, int], unit: int) -> int:
    """Flat place of the neighbour (a, b) of a position."""
    for down, right in ((a, b), (b, a)):
        row = within(y + down * unit, size[0], 2 * unit)
        column = within(x + right * unit, size[1], 2 * unit)
        if row is not None and column is not None:
            return row * size[1] + column
    return y * size[1] + x


def stated(height: int, width: int, unit: int, diagonal: bool) -> Iterator[tuple[int, int]]:
    """Positions of a pass as FORMAT.md states them."""
    odd = [(0, 1), (1, 0)] if not diagonal else [(1, 1)]
    for dy, dx in odd:
        for y in range(dy * unit, height, 2 * unit):
            for x in range(dx * unit, width, 2 * unit):
                yield y, x


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_passes_are_those_of_the_format(height: int, width: int) -> None:
    seen = set(coarsest(height, width).tolist())
    assert len(seen) == -(-height // SPACING) * -(-width // SPACING)
    for one in PASSES:
        near = neighbourhood(height, width, one)
        places = list(stated(height, width, one.unit, one.diagonal))
        assert near.own.tolist() == [y * width + x for y, x in places]
        for offsets, found in ((DECODED[one.kind], near.decoded), (SAME_PASS[one.kind], near.same)):
            for (y, x), row in zip(places, found.tolist(), strict=True):
                size = (height, width)
                wanted = [neighbour(y, x, a, b, size, one.unit) for a, b in offsets.tolist()]
                assert row == wanted
        assert set(near.decoded.ravel().tolist()) <= seen
        assert not seen & set(near.own.tolist())
        seen |= set(near.own.tolist())
    assert len(seen) == height * width


def test_sums_stay_exact() -> None:
    """Largest magnitude of any sum of the network, as integers: below 2**24."""
    arrays = load(constants.FILE.read_bytes())
    for kind in constants.KINDS:
        for plane in range(3):
            inputs = 127
            for name in ("first", "second", "out"):
                weight = arrays[f"{kind}.{plane}.{name}"].astype(np.int64)
                bias = arrays[f"{kind}.{plane}.{name}_bias"].astype(np.int64)
                assert (np.abs(weight).sum(0) * inputs + np.abs(bias).max(0)).max() < 2**24
                inputs = 255


def test_another_file_of_constants_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    path = tmp_path / "mean_colours.safetensors"
    data = bytearray(constants.FILE.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    monkeypatch.setattr(constants, "FILE", path)
    with pytest.raises(ModelError, match="not the file that version 1 needs"):
        mean_colour_coder.__wrapped__()
    path.unlink()
    with pytest.raises(ModelError, match="No such file"):
        mean_colour_coder.__wrapped__()


def test_colours() -> None:
    """0 is the middle grey; one step of brightness is 3.64 grey levels."""
    assert (colours(np.zeros((3, 2, 3), np.int16)) == 128).all()
    bright = colours(
        np.stack([np.full((1, 1), 10), np.zeros((2, 1, 1))[0], np.zeros((1, 1))]).astype(np.int16)
    )
    assert np.abs(bright.astype(float) - (127.5 + 10.5 * 16 * 0.2277)).max() < 1
    assert colours(np.full((3, 2, 2), INDEX_MAX, np.int16)).max() == 255
    assert colours(np.zeros((3, 2, 3), np.int16), grey=True).shape == (2, 3)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (16, 16), (17, 33), (100, 31)])
def test_enlarged_to_the_pixel(width: int, height: int) -> None:
    small = np.full((-(-height // 16), -(-width // 16), 3), 77, np.uint8)
    for scale in (1, 2, 4, 8, 16):
        large = enlarged(small, width, height, scale)
        assert large.shape == (-(-height * scale // 16), -(-width * scale // 16), 3)
        assert (large == 77).all()
    assert enlarged(small[..., 0], width, height, 16).shape == (height, width)
