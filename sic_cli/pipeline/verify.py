"""Is a .sic file whole, does it decode alike on several devices, is it near enough to its source?

Bytes in, findings out; nothing is printed. Checksums need the standard library only; symbols and
pixels load the heavy folders.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..codec.bitstream.fields import MAX_PIXELS, MAX_SIDE
from ..codec.bitstream.reader import Parsed
from ..errors import CheckError, CorruptError, InputError
from ..metrics.names import METRICS, finite
from .convert import decode_parsed, indices_of
from .options import DecodeOptions

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at. detail: what is wrong, or None."""

    name: str
    ok: bool
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class VerifyResult:
    """last_good_level: 0 if there is none."""

    checks: tuple[Check, ...]
    last_good_level: int

    @property
    def ok(self) -> bool:
        """True if nothing is wrong and at least layer 0 is whole."""
        return self.last_good_level >= 0 and all(check.ok for check in self.checks)


@dataclass(frozen=True, slots=True)
class Limit:
    """metric: by name. most: is `value` the largest allowed one, or else the smallest?"""

    metric: str
    value: float
    most: bool

    def met(self, got: float | None) -> bool:
        if got is None:
            return False
        return got <= self.value if self.most else got >= self.value

    def fault(self, got: float | None) -> str | None:
        """Why `got` does not do, or None."""
        text = (
            METRICS[self.metric].formatted(got) if got is not None else "not defined at this size"
        )
        return None if self.met(got) else f"{self.metric} is {text}, asked for is {self}"

    def __str__(self) -> str:
        return f"{self.metric} {'at most' if self.most else 'at least'} {self.value:g}"


@dataclass(frozen=True, slots=True)
class OnDevice:
    """latent_hash: of the indices. max_abs_diff: of the pixels, from those of the first device."""

    device: str
    latent_hash: str
    max_abs_diff: int


@dataclass(slots=True)
class Findings:
    """level: the last good one. wrong: the first check of symbols, devices or limits that failed."""

    level: int
    checks: list[Check] = field(default_factory=list)
    devices: list[OnDevice] = field(default_factory=list)
    metrics: dict[str, float | None] = field(default_factory=dict)
    wrong: str | None = None

    def add(self, name: str, ok: bool, detail: str | None) -> None:
        """A check beyond the checksums."""
        self.checks.append(Check(name, ok, detail))
        if not ok and self.wrong is None:
            self.wrong = detail or name


def checks_of(parsed: Parsed) -> list[Check]:
    """What reading a file has shown: header, every layer, and what follows them."""
    checks = [Check("header", True)]
    checks += [Check(f"layer {layer.level}", True) for layer in parsed.layers]
    if parsed.fault:
        checks.append(Check("rest", parsed.fault_kind == "trailing", parsed.fault))
    return checks


def checksums(parsed: Parsed) -> Findings:
    """What reading the file has shown."""
    return Findings(parsed.level, checks_of(parsed))


def symbols(
    parsed: Parsed, name: str, devices: Sequence[str], tolerance: int, found: Findings
) -> None:
    """Decode all levels on each device and compare symbols with their digests; between devices,
    indices exactly and pixels within `tolerance`. Raises ModelError, ResourceError."""
    first: NDArray[np.uint8] | None = None
    for device in devices:
        try:
            indices, level, wrong = indices_of(parsed, name, device)
        except (CheckError, CorruptError) as error:
            found.level = -1
            found.add(f"symbols on {device}", False, str(error).removeprefix(f"{name}: "))
            return
        found.add(f"symbols on {device}", wrong is None, wrong)
        found.level = min(found.level, level)
        far = 0
        if len(devices) > 1:
            pixels = decode_parsed(parsed, name, DecodeOptions(level, device=device)).pixels
            first = pixels if first is None else first
            far = int(abs(pixels.astype(int) - first.astype(int)).max())
        digest = hashlib.sha256(indices.astype("<i4").tobytes()).hexdigest()[:16]
        found.devices.append(OnDevice(device, digest, far))
    for other in found.devices[1:]:
        _compare(found.devices[0], other, tolerance, found)


def _compare(first: OnDevice, other: OnDevice, tolerance: int, found: Findings) -> None:
    wrong = None
    if other.latent_hash != first.latent_hash:
        wrong = f"{other.device} decodes to other symbols than {first.device}"
    elif other.max_abs_diff > tolerance:
        wrong = f"{other.device}: pixels differ by {other.max_abs_diff}, allowed are {tolerance}"
    found.add(f"{other.device} as {first.device}", wrong is None, wrong)


def against(
    parsed: Parsed, name: str, source: bytes, original: str, limits: Sequence[Limit], device: str
) -> dict[str, float | None]:
    """Measure the highest level against the picture that it was made from.

    name, original: of the .sic file and of the picture, for messages. -> metric name -> value, or
    None where it cannot be measured. Raises InputError if that is no picture of this size,
    ModelError if a metric's weights are not here.
    """
    from ..metrics.meter import Meter
    from ..picture.load import load

    picture = load(source, original, MAX_SIDE, MAX_PIXELS).pixels
    header = parsed.header
    if picture.shape[:2] != (header.height, header.width):
        height, width = picture.shape[:2]
        raise InputError(
            f"{original}: {width}x{height} pixels, and {name} has {header.width}x{header.height}"
        )
    made = decode_parsed(parsed, name, DecodeOptions(device=device)).pixels
    names = dict.fromkeys(["psnr", *(limit.metric for limit in limits)])
    return {m: finite(v) for m, v in Meter(picture, tuple(names)).all(made).items()}
