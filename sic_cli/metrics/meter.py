"""Several metrics of many pictures against one reference, each computed as cheaply as it can be.

The networks are loaded once per process; what a metric needs of the reference is computed once.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, ModelError, UsageError, has_torch, install_hint
from .names import METRICS
from .psnr import psnr

if TYPE_CHECKING:
    from .dists import Dists
    from .stlpips import StLpips

Pixels = NDArray[np.uint8]
Measure = Callable[[Pixels], float | None]


class Meter:
    """Metrics of pictures against `reference`, uint8 (H, W), (H, W, 1) or (H, W, 3)."""

    def __init__(self, reference: NDArray[np.uint8], names: Sequence[str]) -> None:
        for name in names:
            if name not in METRICS:
                raise UsageError(f"no metric is named {name}; there are {', '.join(METRICS)}")
        self.reference = colours(reference)
        self.measures = {n: MAKERS[n](self.reference) for n in names}

    def one(self, name: str, other: NDArray[np.uint8]) -> float | None:
        """One metric. Raises InputError for a picture of another size."""
        picture = colours(other)
        if picture.shape != self.reference.shape:
            (h, w), (m, n) = self.reference.shape[:2], picture.shape[:2]
            raise InputError(f"pictures of two sizes: {w}x{h} and {n}x{m}")
        return self.measures[name](picture)

    def all(self, other: NDArray[np.uint8]) -> dict[str, float | None]:
        """Every metric, by name."""
        return {name: self.one(name, other) for name in self.measures}


def colours(pixels: NDArray[np.uint8]) -> Pixels:
    """uint8 (H, W, 3): grey pictures have three equal channels. Raises InputError otherwise."""
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if pixels.ndim != 3 or pixels.dtype != np.uint8 or pixels.shape[2] not in (1, 3):
        raise InputError(
            f"metrics compare uint8 pictures of 1 or 3 channels, not {pixels.dtype} {pixels.shape}"
        )
    return np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels


def missing(names: Sequence[str]) -> dict[str, str]:
    """Metric name -> why it cannot be computed on this machine, for those that cannot."""
    out = {}
    for name in names:
        try:
            if name in LOADERS:
                LOADERS[name]()
        except ModelError as error:
            out[name] = f"{error}; {error.hint}" if error.hint else str(error)
    return out


def _psnr(reference: Pixels) -> Measure:
    return lambda other: psnr(reference, other)


def _ms_ssim(reference: Pixels) -> Measure:
    from .msssim import ms_ssim

    return lambda other: ms_ssim(reference, other)


def _need_torch(metric: str) -> None:
    if not has_torch():
        raise ModelError(f"{metric} needs torch, which is not installed", install_hint("measure"))


@functools.cache
def _load_lpips() -> Callable[[Pixels, Pixels], float]:
    _need_torch("LPIPS")
    from .backbones import alexnet
    from .lpips import Lpips

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torchvision on its own renamed arguments
        try:
            return Lpips(alexnet())
        except KeyError as error:
            raise ModelError(f"not the weights of AlexNet: {error} is missing") from None


def _lpips(reference: Pixels) -> Measure:
    distance, small = _load_lpips(), min(reference.shape[:2]) < ALEXNET_LEAST
    return lambda other: None if small else distance(reference, other)


@functools.cache
def _load_st_lpips() -> StLpips:
    _need_torch("ST-LPIPS")
    from .backbones import shift_tolerant
    from .stlpips import StLpips

    return StLpips(shift_tolerant())


@functools.cache
def _load_dists() -> Dists:
    _need_torch("dists-alex")
    from .backbones import alexnet
    from .dists import Dists

    return Dists(alexnet("dists-alex"))


def _by_features(load: Callable[[], StLpips | Dists], reference: Pixels) -> Measure:
    """A metric whose features of the reference are computed once."""
    metric = load()
    if min(reference.shape[:2]) < ALEXNET_LEAST:
        return lambda other: None
    before = metric.features(reference)
    return lambda other: metric.distance(before, metric.features(other))


ALEXNET_LEAST = 32
"""Pixels that the shorter side needs for AlexNet's poolings, and for the reflected borders of ST-LPIPS's
last blur."""

MAKERS: dict[str, Callable[[Pixels], Measure]] = {
    "psnr": _psnr,
    "ms-ssim": _ms_ssim,
    "lpips": _lpips,
    "st-lpips": functools.partial(_by_features, _load_st_lpips),
    "dists-alex": functools.partial(_by_features, _load_dists),
}
LOADERS: dict[str, Callable[[], object]] = {
    "lpips": _load_lpips,
    "st-lpips": _load_st_lpips,
    "dists-alex": _load_dists,
}
