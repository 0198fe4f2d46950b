"""Metrics against values worked out by hand, published ones, and those of well-known packages."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sic_cli.errors import InputError, ModelError, UsageError
from sic_cli.metrics import metrics
from sic_cli.metrics.meter import Meter, missing
from sic_cli.metrics.names import named
from tests.conftest import ROOT

BACKBONES = ROOT.parent / "shared" / "data" / "backbones"
HERE = pytest.mark.skipif(
    not BACKBONES.is_dir() or not importlib.util.find_spec("lpips"),
    reason="the AlexNet backbone is not part of the repository, lpips an extra",
)
ST_HERE = pytest.mark.skipif(
    not BACKBONES.is_dir() or not importlib.util.find_spec("stlpips_pytorch"),
    reason="the example pictures are not part of the repository, stlpips-pytorch an extra",
)


def flat(value: int, side: int = 176) -> np.ndarray:
    return np.full((side, side, 3), value, np.uint8)


def example(name: str) -> np.ndarray:
    with Image.open(Path(BACKBONES / "examples" / name)) as picture:
        return np.array(picture.convert("RGB"))


def test_psnr_of_a_constant_error_is_what_the_formula_gives() -> None:
    got = metrics(flat(100), flat(110), ["psnr"])["psnr"]
    assert got == pytest.approx(10 * math.log10(255**2 / 100))


def test_ms_ssim_of_flat_pictures_is_the_luminance_term_of_the_last_scale() -> None:
    c1 = (0.01 * 255) ** 2
    light = (2 * 100 * 150 + c1) / (100**2 + 150**2 + c1)
    got = metrics(flat(100), flat(150), ["ms-ssim"])["ms-ssim"]
    assert got == pytest.approx(light**0.1333, abs=1e-5)


def test_ms_ssim_of_nearly_equal_flat_pictures_is_nearly_1() -> None:
    got = metrics(flat(255), flat(254), ["ms-ssim"])["ms-ssim"]
    assert got is not None and got > 0.999998


def test_ms_ssim_is_that_of_pytorch_msssim_also_for_odd_sides() -> None:
    y, x = np.mgrid[0:177, 0:205]
    a = np.stack([(x * 7 + y * 3) % 256, (x * y // 5) % 256, (x + y) % 256], -1).astype(np.uint8)
    b = (a // 32 * 32 + 16).astype(np.uint8)
    assert metrics(a, b)["ms-ssim"] == pytest.approx(0.942379721239139, abs=1e-5)  # version 1.0.0


def test_equal_pictures_are_perfect_and_small_ones_have_no_ms_ssim() -> None:
    assert metrics(flat(7), flat(7)) == {"psnr": math.inf, "ms-ssim": pytest.approx(1)}
    assert metrics(flat(7, 160), flat(9, 160))["ms-ssim"] is None


def test_grey_pictures_are_compared_as_three_equal_channels() -> None:
    grey = np.random.default_rng(0).integers(0, 256, (170, 170), np.uint8)
    colour = np.repeat(grey[:, :, None], 3, axis=2)
    assert Meter(grey, ["psnr", "ms-ssim"]).all(colour // 2) == metrics(colour, colour // 2)


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(InputError, match="176x176 and 100x100"):
        metrics(flat(1), flat(1, 100))
    with pytest.raises(UsageError, match="vmaf"):
        metrics(flat(1), flat(1), ["vmaf"])
    with pytest.raises(UsageError, match="vmaf"):
        named("psnr,vmaf")
    with pytest.raises(InputError):
        metrics(flat(1).astype(np.float32), flat(1))
    assert named("PSNR, lpips,psnr") == ("psnr", "lpips")


@HERE
@pytest.mark.parametrize(("name", "published"), [("ex_p0.png", 0.722), ("ex_p1.png", 0.138)])
def test_lpips_gives_the_published_distances(
    name: str, published: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIC_LPIPS_WEIGHTS", str(BACKBONES))
    got = metrics(example("ex_ref.png"), example(name), ["lpips"])["lpips"]
    assert got == pytest.approx(published, abs=1e-3)


@ST_HERE
def test_st_lpips_gives_the_distance_that_its_authors_print() -> None:
    got = metrics(example("ex_ref.png"), example("ex_p0.png"), ["st-lpips"])["st-lpips"]
    assert got == pytest.approx(0.7777554988861084, abs=1e-5)


DISTS_HERE = pytest.mark.skipif(
    not BACKBONES.is_dir(), reason="the AlexNet backbone is not part of the repository"
)


def dists(a: np.ndarray, b: np.ndarray) -> float:
    value = metrics(a, b, ["dists-alex"])["dists-alex"]
    assert value is not None
    return value


@pytest.fixture
def texture(monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """float (160, 160, 3): smoothed noise, as grass or gravel have it."""
    monkeypatch.setenv("SIC_LPIPS_WEIGHTS", str(BACKBONES))
    return gravel(0)


def gravel(seed: int) -> np.ndarray:
    grain = np.random.default_rng(seed).normal(0, 60, (160, 160, 3))
    return 128 + sum(np.roll(grain, (y, x), (0, 1)) for y in (0, 1) for x in (0, 1)) / 2


def pixels(values: np.ndarray) -> np.ndarray:
    return values.round().clip(0, 255).astype(np.uint8)


def blurred(values: np.ndarray, part: float) -> np.ndarray:
    """So much of the way to the mean of 5x5 neighbours."""
    around = range(-2, 3)
    flat = sum(np.roll(values, (y, x), (0, 1)) for y in around for x in around) / 25
    mixed: np.ndarray = values + part * (flat - values)
    return mixed


@DISTS_HERE
def test_dists_alex_of_equal_pictures_is_0_and_it_does_not_matter_which_is_first(
    texture: np.ndarray,
) -> None:
    a, b = pixels(texture), pixels(blurred(texture, 0.5))
    assert dists(a, a) == pytest.approx(0, abs=1e-6)
    assert dists(flat(0), flat(0)) == pytest.approx(0, abs=1e-6)
    assert dists(a, b) == pytest.approx(dists(b, a), abs=1e-5)
    assert metrics(flat(1, 31), flat(2, 31), ["dists-alex"]) == {"dists-alex": None}


@DISTS_HERE
def test_dists_alex_grows_with_blur_and_with_noise(texture: np.ndarray) -> None:
    blur = [dists(pixels(texture), pixels(blurred(texture, p))) for p in (0, 0.2, 0.5, 0.8, 1)]
    noise = np.random.default_rng(9).normal(0, 1, texture.shape)
    noisy = [dists(pixels(texture), pixels(texture + s * noise)) for s in (0, 5, 15, 40, 80)]
    for values in (blur, noisy):
        assert values == sorted(values) and values[-1] > 0.2


@DISTS_HERE
def test_dists_alex_takes_another_sample_of_a_texture_for_less_than_a_blur_that_errs_less(
    texture: np.ndarray,
) -> None:
    reference, flat_one = pixels(texture), pixels(blurred(texture, 1))
    for other in (pixels(gravel(1)), pixels(np.roll(texture, 5, 1))):
        assert (
            metrics(reference, other, ["psnr"])["psnr"]
            < metrics(  # type: ignore[operator]
                reference, flat_one, ["psnr"]
            )["psnr"]
        )
        assert dists(reference, other) < dists(reference, flat_one)


@DISTS_HERE
def test_dists_alex_of_flat_greys_is_what_the_formula_gives_for_colours() -> None:
    from sic_cli.metrics.dists import SMALL, _alike

    a, b = torch.full((1, 9), 0.25), torch.full((1, 9), 0.5)
    light = (2 * 0.25 * 0.5 + SMALL) / (0.25**2 + 0.5**2 + SMALL)
    assert _alike(a, b).tolist() == pytest.approx([light, 1])
    rising = torch.arange(4.0)[None]
    assert _alike(rising, 3 - rising).tolist() == pytest.approx([1, -1], abs=1e-5)


def test_missing_weights_are_named_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from sic_cli.metrics import meter

    meter._load_lpips.cache_clear()
    meter._load_dists.cache_clear()
    monkeypatch.setenv("SIC_LPIPS_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    told = missing(["psnr", "lpips", "dists-alex"])
    assert "SIC_LPIPS_WEIGHTS" in told["lpips"]
    assert told["dists-alex"].startswith("dists-alex needs weights")
    with pytest.raises(ModelError):
        metrics(flat(1), flat(2), ["lpips"])
    (tmp_path / "alexnet_features_imagenet.pth").write_bytes(b"no weights")
    with pytest.raises(ModelError, match="not the weights"):
        metrics(flat(1), flat(2), ["lpips"])
    meter._load_lpips.cache_clear()
