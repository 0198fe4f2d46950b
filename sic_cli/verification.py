"""Is a .sic file whole, does it decode alike on several devices, is it near enough to its source?

Bytes in, findings out; nothing is printed. Checksums need the standard library only; symbols and
pixels load the heavy rooms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .bitstream.fields import MAX_PIXELS, MAX_SIDE
from .bitstream.reader import Parsed
from .errors import CheckError, CorruptError, InputError

if TYPE_CHECKING:
    from .codec.engine import Pixels


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

    def __str__(self) -> str:
        return f"{self.metric} {'at most' if self.most else 'at least'} {self.value:g}"


@dataclass(frozen=True, slots=True)
class Check:
    """detail: what is wrong, or worth knowing."""

    name: str
    ok: bool
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class OnDevice:
    """latent_hash: of the cells. max_abs_diff: of the pixels, from those of the first device."""

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


def checksums(parsed: Parsed) -> Findings:
    """What reading the file has shown."""
    found = Findings(parsed.level, [Check("header", True)])
    found.checks += [Check(f"layer {layer.level}", True) for layer in parsed.layers]
    if parsed.fault:
        found.checks.append(Check("rest", parsed.fault_kind == "trailing", parsed.fault))
    return found


def symbols(parsed: Parsed, devices: Sequence[str], tolerance: int, found: Findings) -> None:
    """Decode all levels on each device and compare symbols with their digests; between devices,
    cells exactly and pixels within `tolerance`. Raises ModelError, ResourceError."""
    import hashlib

    from .codec.decode import decode, decode_cells, file_engine

    first: Pixels | None = None
    for device in devices:
        name = f"symbols on {device}" if len(devices) > 1 else "symbols"
        try:
            cells, level, wrong = decode_cells(file_engine(parsed, device), parsed, parsed.level)
        except (CheckError, CorruptError) as error:
            found.level = 0
            found.add(name, False, str(error))
            return
        found.add(name, wrong is None, wrong)
        found.level = min(found.level, level)
        far = 0
        if len(devices) > 1:
            pixels = decode(parsed, level=level, device=device).pixels
            first = pixels if first is None else first
            far = int(abs(pixels.astype(int) - first.astype(int)).max())
        digest = hashlib.sha256(cells.tobytes()).hexdigest()[:16]
        found.devices.append(OnDevice(device, digest, far))
    for other in found.devices[1:]:
        same = other.latent_hash == found.devices[0].latent_hash
        found.add(
            f"{other.device} as {devices[0]}",
            same and other.max_abs_diff <= tolerance,
            None
            if same and other.max_abs_diff <= tolerance
            else f"{other.device}: pixels differ by {other.max_abs_diff}, allowed are {tolerance}"
            if same
            else f"{other.device} decodes to other symbols than {devices[0]}",
        )


def against(
    parsed: Parsed, source: bytes, name: str, limits: Sequence[Limit], device: str, found: Findings
) -> None:
    """Measure the highest good level against the picture that it was made from.

    name: of the source, for messages. Raises InputError if that is no picture of this size.
    """
    from .codec.decode import decode
    from .measure.psnr import psnr
    from .picture.load import load

    picture = load(source, name, MAX_SIDE, MAX_PIXELS).pixels
    header = parsed.header
    if picture.shape[:2] != (header.height, header.width):
        height, width = picture.shape[:2]
        raise InputError(
            f"{name}: {width}x{height} pixels, and the .sic file has {header.width}x{header.height}"
        )
    made = decode(parsed, level=found.level, device=device).pixels
    if made.ndim == 2:
        made = made[..., None].repeat(3, axis=2)
    for metric in dict.fromkeys(["psnr", *(limit.metric for limit in limits)]):
        found.metrics[metric] = min(psnr(picture, made), 100.0)
    for limit in limits:
        got = found.metrics[limit.metric]
        text = "cannot be measured at this size" if got is None else f"is {got:.4g}"
        found.add(str(limit), limit.met(got), f"{limit.metric} {text}, asked for is {limit}")
