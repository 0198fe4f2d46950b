"""Quality targets of encode: which level a target means, measured on decoded pixels.

The format has whole layers only, so a target is reached to within one layer: the chosen level meets
it and the one below does not. Importing this loads neither torch nor numpy.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

from ..codec.bitstream.reader import Parsed, parse
from ..codec.bitstream.truncate import level_within
from ..errors import Notice, TargetError, UsageError
from ..metrics.names import METRICS, finite

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ALIASES = {"ssim": "ms-ssim"}
KINDS = {"psnr": "psnr", "ms-ssim": "ssim", "lpips": "lpips"}
"""Metric -> what `--target` calls it."""

RANGES = {"psnr": (0.0, 100.0), "ms-ssim": (0.0, 1.0), "lpips": (0.0, 2.0)}


@dataclass(frozen=True, slots=True)
class QualityTarget:
    """metric: its name; limit: least value, or for distances the most."""

    metric: str
    limit: float

    @property
    def kind(self) -> str:
        return KINDS[self.metric]

    def met(self, value: float) -> bool:
        return METRICS[self.metric].better(value, self.limit)

    def shortfall(self, value: float) -> float:
        """0 if met, else how far off, as a share of the limit."""
        return 0.0 if self.met(value) else abs(value - self.limit) / max(abs(self.limit), 1e-9)


class RateOptions(Protocol):
    """What `options.EncodeOptions` says about levels. quality: 1..100; target_size (bytes) and
    target_bpp: ceilings; best_effort: take the nearest level if no level meets the targets; measure:
    state the true PSNR of every level in the file; realism: of the decoder that these measure."""

    @property
    def level(self) -> int | None: ...
    @property
    def quality(self) -> int | None: ...
    @property
    def target_size(self) -> int | None: ...
    @property
    def target_bpp(self) -> float | None: ...
    @property
    def targets(self) -> tuple[QualityTarget, ...]: ...
    @property
    def best_effort(self) -> bool: ...
    @property
    def measure(self) -> bool: ...
    @property
    def realism(self) -> float: ...
    @property
    def device(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Reached:
    """One target. kind: psnr, ssim, lpips, size, bpp or quality; asked and got in its unit."""

    kind: str
    asked: float
    got: float


@dataclass(frozen=True, slots=True)
class Settled:
    """made: the file, its stated PSNRs measured ones if that was asked for; level: the chosen one;
    target: what was asked and got; metrics: JSON key -> value at that level."""

    made: bytes
    level: int
    target: tuple[Reached, ...]
    metrics: dict[str, float | None]
    notices: tuple[Notice, ...]


def parse_target(text: str) -> QualityTarget:
    """`psnr=32`, `ssim=0.97` or `lpips=0.10`. Raises UsageError."""
    name, _, value = text.partition("=")
    metric = ALIASES.get(name.strip().lower(), name.strip().lower())
    if metric not in KINDS:
        raise UsageError(f"--target {text}: not one of psnr=DB, ssim=X, lpips=X")
    try:
        limit = float(value)
    except ValueError:
        limit = math.nan
    low, high = RANGES[metric]
    if not (math.isfinite(limit) and low < limit <= high):
        raise UsageError(f"--target {text}: wants a number above {low:g}, at most {high:g}")
    return QualityTarget(metric, limit)


def parse_targets(texts: Sequence[str]) -> tuple[QualityTarget, ...]:
    """Several targets, each metric once. Raises UsageError."""
    found = tuple(parse_target(t) for t in texts)
    for one in found:
        if sum(g.metric == one.metric for g in found) > 1:
            raise UsageError(f"--target {one.kind} was given twice")
    return found


def level_of_quality(quality: int, levels: int) -> int:
    """1..100 -> the level that it means."""
    return min(levels, max(1, round(quality * levels / 100)))


def conflicts(
    quality: int | None,
    level: int | None,
    size: int | None,
    bpp: float | None,
    targets: Sequence[object],
) -> None:
    """Raise UsageError for options of encode that exclude each other."""
    given = {"--level": level, "--target-size": size, "--target-bpp": bpp}
    named = [name for name, value in given.items() if value is not None]
    named += ["--target"] if targets else []
    if quality is not None and named:
        raise UsageError(f"--quality and {named[0]} exclude each other")
    if size is not None and bpp is not None:
        raise UsageError("--target-size and --target-bpp exclude each other")


def asked_level(options: RateOptions, levels: int) -> int | None:
    """The level to encode up to, of a model's `levels`; None for all of them."""
    if options.quality is not None:
        return level_of_quality(options.quality, levels)
    return options.level


def settle(made: bytes, original: NDArray[np.uint8], options: RateOptions, name: str) -> Settled:
    """The smallest level of a file that meets all targets within the ceilings; without targets, the
    highest within them.

    original: uint8 (H, W) or (H, W, 3). Raises TargetError naming the best possible, ModelError if a
    metric's weights are not here.
    """
    parsed = parse(made)
    cap = level_within(parsed, options.target_size, options.target_bpp)
    if not (options.targets or options.measure):
        return Settled(made, cap, _ceilings(parsed, cap, options), {}, ())
    from ..codec.all_levels import AllLevels
    from ..metrics.meter import Meter

    names = [g.metric for g in options.targets] + (["psnr", "ms-ssim"] if options.measure else [])
    meter = Meter(original, list(dict.fromkeys(names)))
    all_levels = AllLevels(parsed, options.device)
    seen: dict[int, dict[str, float | None]] = {}

    def values(level: int) -> dict[str, float | None]:
        if level not in seen:
            seen[level] = meter.all(all_levels.pixels(level, options.realism))
        return seen[level]

    level, notices = cap, tuple[Notice, ...]()
    if options.targets:
        level, notices = _search(values, cap, options.targets, options.best_effort, name)
    if options.measure:
        made = with_psnr(parsed, [_psnr(values(k)) for k in range(1, parsed.level + 1)])
    got = {n: finite(v) for n, v in values(level).items()}
    reached = tuple(Reached(g.kind, g.limit, _number(got[g.metric])) for g in options.targets)
    return Settled(
        made,
        level,
        reached + _ceilings(parsed, level, options),
        {METRICS[n].key: v for n, v in got.items()},
        notices,
    )


def _ceilings(parsed: Parsed, level: int, options: RateOptions) -> tuple[Reached, ...]:
    """What was asked for that needs no decoding."""
    header, size = parsed.header, parsed.ends[level]
    got = []
    if options.quality is not None:
        got.append(Reached("quality", options.quality, 100 * level / header.levels))
    if options.target_size is not None:
        got.append(Reached("size", options.target_size, size))
    if options.target_bpp is not None:
        got.append(Reached("bpp", options.target_bpp, size * 8 / (header.width * header.height)))
    return tuple(got)


def _search(
    values: Callable[[int], dict[str, float | None]],
    cap: int,
    targets: Sequence[QualityTarget],
    best_effort: bool,
    name: str,
) -> tuple[int, tuple[Notice, ...]]:
    """Binary search, and a look at every level where the metrics do not rise with it."""

    def met(level: int) -> bool:
        return all(g.met(_number(values(level)[g.metric])) for g in targets)

    for target in targets:
        if values(cap)[target.metric] is None:
            raise TargetError(
                f"{name}: {METRICS[target.metric].title} is not defined for so small a picture",
                "--target psnr=DB works for every size",
            )
    measured = [cap]
    if met(cap):
        low, high = 0, cap  # high meets all, low does not
        while high - low > 1:
            middle = (low + high) // 2
            measured.append(middle)
            low, high = (low, middle) if met(middle) else (middle, high)
        if _rises(values, sorted(measured), targets):
            return high, ()
    for level in range(1, cap + 1):
        if met(level):
            return level, ()

    def off(level: int) -> float:
        return sum(g.shortfall(_number(values(level)[g.metric])) for g in targets)

    best = min(range(1, cap + 1), key=off)
    asked = ", ".join(f"{g.kind}={g.limit:g}" for g in targets)
    has = ", ".join(f"{g.kind}={_number(values(best)[g.metric]):.4g}" for g in targets)
    text = f"{name}: --target {asked} cannot be met; the best of levels 1 to {cap} is {has} (level {best})"
    if best_effort:
        return best, (Notice(text, "W-target-best-effort"),)
    raise TargetError(text, "--best-effort takes the nearest level")


def _rises(
    values: Callable[[int], dict[str, float | None]],
    levels: Sequence[int],
    targets: Sequence[QualityTarget],
) -> bool:
    """Does every metric get better with every measured level?"""
    for target in targets:
        found = [_number(values(k)[target.metric]) for k in levels]
        better = METRICS[target.metric].better
        if not all(better(b, a) for a, b in pairwise(found)):
            return False
    return True


def _number(value: float | None) -> float:
    """A metric's value; one that is not defined meets no target."""
    return math.nan if value is None else value


def _psnr(values: dict[str, float | None]) -> float:
    return _number(finite(values["psnr"]))


def describe_reached(target: Sequence[Reached]) -> str:
    """`; psnr 34.12 (asked 34)` for what was asked for, or nothing."""
    return "".join(f"; {t.kind} {t.got:.6g} (asked {t.asked:g})" for t in target)


def with_psnr(parsed: Parsed, values: Sequence[float]) -> bytes:
    """The file with these PSNRs (dB), of levels 1 and above, stated in its layers in quarters of a decibel."""
    from ..codec.bitstream.writer import write

    stated = [
        replace(layer, psnr=min(255, max(1, round(value * 4))))
        for layer, value in zip(parsed.layers[1:], values, strict=True)
    ]
    return write(parsed.header, parsed.chunks, [*parsed.layers[:1], *stated])
