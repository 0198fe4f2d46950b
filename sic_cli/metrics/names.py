"""The metrics that there are, by name: what commands, reports and tables say about them.

Standard library only, so that `--help` stays quick. `meter` makes the functions.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import UsageError


@dataclass(frozen=True, slots=True)
class Metric:
    """name: on the command line; key: in JSON and CSV; title: for people; digits: shown behind the
    point; higher: True if more is better; about: one sentence."""

    name: str
    key: str
    title: str
    digits: int
    higher: bool
    about: str

    def formatted(self, value: float | None) -> str:
        """As tables show it."""
        return "-" if value is None else f"{value:.{self.digits}f}"

    def better(self, value: float, limit: float) -> bool:
        """Is `value` as good as `limit`, or better?"""
        return value >= limit if self.higher else value <= limit


METRICS = {
    m.name: m
    for m in (
        Metric("psnr", "psnr_db", "PSNR (dB)", 2, True, "squared error of all RGB samples"),
        Metric("ms-ssim", "ms_ssim", "MS-SSIM", 4, True, "structure at five scales, RGB"),
        Metric("lpips", "lpips", "LPIPS-Alex", 4, False, "features of AlexNet, version 0.1"),
        Metric(
            "st-lpips",
            "st_lpips",
            "ST-LPIPS-Alex",
            4,
            False,
            "features of a shift-tolerant AlexNet; no loss of sic uses them",
        ),
        Metric(
            "dists-alex",
            "dists_alex",
            "DISTS-like",
            4,
            False,
            "structure and texture of AlexNet's features, all alike; no figure of DISTS on VGG",
        ),
    )
}
MOST = 100.0
"""Decibels that stand for equal pictures, and for anything closer than that: JSON has no infinity."""
DEFAULT = ("psnr", "ms-ssim")


def finite(value: float | None) -> float | None:
    """A metric's value as documents state it; infinite decibels become `MOST`."""
    return value if value is None else min(value, MOST)


def named(names: str) -> tuple[str, ...]:
    """`psnr,lpips` or `all` -> names, each once. Raises UsageError for one that there is not."""
    wanted = [n.strip().lower() for n in names.split(",") if n.strip()]
    if wanted == ["all"]:
        return tuple(METRICS)
    for name in wanted:
        if name not in METRICS:
            raise UsageError(f"no metric is named {name}; there are {', '.join(METRICS)}")
    if not wanted:
        raise UsageError(f"no metric was named; there are {', '.join(METRICS)}")
    return tuple(dict.fromkeys(wanted))
