"""Transparency: packed without loss, filled without fringes."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageFilter

from sic_cli.errors import CorruptError
from sic_cli.picture import bands
from sic_cli.picture.alpha import WEBP_PIXELS, fill, flatten, pack, unpack


def filled(pixels: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    out = pixels.copy()
    fill(out, alpha)
    return out


@pytest.mark.parametrize("shape", [(1, 1), (7, 300), (64, 96), (2, 16384)])
def test_what_is_packed_is_unpacked(shape: tuple[int, int]) -> None:
    alpha = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    data = pack(alpha)
    assert np.array_equal(unpack(data, shape[1], shape[0]), alpha)
    assert data[:4] == (b"RIFF" if max(shape) < 16384 else b"\x89PNG")


def test_packed_transparency_of_another_size_or_broken_is_damage() -> None:
    data = pack(np.zeros((5, 9), np.uint8))
    for bad, size in ((data, (5, 9)), (data[:-4], (9, 5)), (b"", (9, 5)), (b"GIF89a", (9, 5))):
        with pytest.raises(CorruptError):
            unpack(bad, *size)


def test_a_bomb_in_the_chunk_is_refused_by_its_size() -> None:
    file = io.BytesIO()
    Image.new("L", (9000, 9000)).save(file, "PNG")
    with pytest.raises(CorruptError, match="9000x9000"):
        unpack(file.getvalue(), 9, 5)


def test_seen_pixels_stay_and_hidden_ones_follow_their_neighbours() -> None:
    pixels = np.zeros((40, 61, 3), np.uint8)
    pixels[:] = (10, 200, 90)
    alpha = np.zeros((40, 61), np.uint8)
    alpha[12:30, 20:41] = 255
    alpha[30] = 1
    pixels[alpha == 0] = (255, 0, 255)
    got = filled(pixels, alpha)
    assert np.array_equal(got[alpha > 0], pixels[alpha > 0])
    assert np.abs(got.astype(int) - (10, 200, 90)).max() <= 3


def test_two_colours_fade_into_each_other_without_steps() -> None:
    pixels = np.zeros((32, 64, 3), np.uint8)
    pixels[:, :8], pixels[:, -8:], pixels[:, 8:-8] = 40, 210, 255
    alpha = np.full((32, 64), 255, np.uint8)
    alpha[:, 8:-8] = 0
    got = filled(pixels, alpha)[16, :, 0].astype(int)
    assert np.abs(np.diff(got)).max() < 60 and got.min() >= 39 and got.max() <= 211


def test_grey_stays_grey() -> None:
    rng = np.random.default_rng(1)
    pixels = np.repeat(rng.integers(0, 256, (33, 50, 1), dtype=np.uint8), 3, axis=2)
    alpha = rng.integers(0, 2, (33, 50), dtype=np.uint8) * 255
    assert np.ptp(filled(pixels, alpha), axis=2).max() == 0


def test_a_picture_of_which_nothing_is_seen_is_one_colour() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (9, 8, 3), dtype=np.uint8)
    assert np.ptp(filled(pixels, np.zeros((9, 8), np.uint8)), axis=(0, 1)).max() == 0
    assert np.array_equal(filled(pixels, np.ones((9, 8), np.uint8)), pixels)


def test_no_fringe_shows_on_any_background_after_blurring() -> None:
    """What a lossy codec does to edges, in the extreme: colours blurred, transparency kept."""
    y, x = np.mgrid[0:64, 0:64]
    alpha = np.where((y - 32) ** 2 + (x - 32) ** 2 < 400, np.uint8(255), np.uint8(0))
    pixels = np.full((64, 64, 3), (200, 60, 30), np.uint8)
    pixels[alpha == 0] = (0, 0, 255)

    def error(colours: np.ndarray) -> float:
        soft = np.asarray(Image.fromarray(colours).filter(ImageFilter.GaussianBlur(2)))
        for background in ((0, 0, 0), (255, 255, 255)):
            got = flatten(soft, alpha, background).astype(int)
            worst = np.abs(got - flatten(pixels, alpha, background)).max()
        return float(worst)

    assert error(filled(pixels, alpha)) <= 1 < 50 < error(pixels)


def test_bands_of_any_height_fill_and_flatten_as_a_whole_picture(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(2)
    for height, width in ((1, 9), (37, 50), (64, 3), (73, 87)):
        pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        alpha = (rng.random((height, width)) < 0.1).astype(np.uint8) * 200
        alpha[0, 0] = 9
        results = []
        for size in (1, 200, 1 << 20):
            monkeypatch.setattr(bands, "BAND_PIXELS", size)
            results.append((filled(pixels, alpha), flatten(pixels, alpha, (1, 99, 200))))
        for got in results[:2]:
            assert all(np.array_equal(a, b) for a, b in zip(got, results[2], strict=True))
        assert not np.array_equal(results[0][0], pixels) or width == 1


def test_transparency_that_webp_would_take_too_much_memory_for_is_packed_as_png() -> None:
    side = int(WEBP_PIXELS**0.5)
    assert pack(np.zeros((side, side), np.uint8))[:4] == b"RIFF"
    assert pack(np.zeros((side + 1, side + 1), np.uint8))[:4] == b"\x89PNG"


@pytest.mark.parametrize("data", [b"", b"nothing", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBPVP8 "])
def test_transparency_that_is_no_picture_is_reported_in_the_same_words_every_time(
    data: bytes,
) -> None:
    texts = set()
    for _ in range(3):
        with pytest.raises(CorruptError, match="transparency") as told:
            unpack(data, 4, 4)
        texts.add(str(told.value))
    assert len(texts) == 1 and " at 0x" not in texts.pop()
