"""What is evaluated: sic, and every peer, behind one face. Settings in, files of real bytes out."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, features
from PIL import __version__ as pillow_version

from .._version import __version__
from ..codec.bitstream.reader import parse
from ..codec.weights.card import ModelCard
from ..errors import UsageError
from ..metrics.meter import colours
from .peers import PEERS, Peer, some
from .rows import UNSAID_EFFORT, UNSAID_REALISM

Pixels = NDArray[np.uint8]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Coded:
    """A file: the setting it was made with and the seconds that took (median of the repeats)."""

    setting: str
    data: bytes
    encode_s: float


class Contender(Protocol):
    """name: on the command line; about: its settings in words; version: of the code behind it;
    model: name and id of the weights, realism: of its decoder, effort: of its encoder, or None; suffix,
    mime: of its files."""

    name: str
    title: str
    about: str
    version: str
    model: tuple[str, str] | None
    realism: float | None
    effort: int | None
    suffix: str
    mime: str | None
    settings: tuple[str, ...]

    def files(self, pixels: Pixels, wanted: Sequence[str], repeat: int) -> Iterator[Coded]:
        """Files of a picture uint8 (H, W), grey, or (H, W, 3), at some of the settings."""

    def decode(self, data: bytes) -> Pixels:
        """A file -> uint8 (H, W, 3)."""


def timed(function: Callable[[], T], repeat: int) -> tuple[T, float]:
    """The result and the median of the seconds of `repeat` calls."""
    seconds = []
    for _ in range(repeat):
        start = time.perf_counter()
        result = function()
        seconds.append(time.perf_counter() - start)
    return result, statistics.median(seconds)


class Written:
    """The files that sic writes with some weights. Decoders of several kinds of realism share them: the
    last one is kept."""

    def __init__(self, card: ModelCard, device: str, effort: int) -> None:
        self.card, self.device, self.effort = card, device, effort
        self._last: tuple[Pixels, int, bytes, float] | None = None

    def of(self, pixels: Pixels, repeat: int) -> tuple[bytes, float]:
        """The whole file of a picture, and the median seconds of `repeat` encodings."""
        from ..codec.encode import encode

        if self._last is None or self._last[0] is not pixels or self._last[1] != repeat:
            rgb, grey = colours(pixels), pixels.ndim == 2
            data, seconds = timed(
                lambda: encode(rgb, self.card, device=self.device, grey=grey, effort=self.effort),
                repeat,
            )
            self._last = pixels, repeat, data, seconds
        return self._last[2:]


class Sic:
    """One file per picture, and every level by cutting it; weights are loaded before any timing.

    named: say in the title which realism it is; an effort above 1 is always said.
    """

    name = "sic"
    suffix = ".sic"
    mime: str | None = None
    version = f"sic {__version__}"

    def __init__(
        self, written: Written, levels: Sequence[int] | None, realism: float, named: bool
    ) -> None:
        from ..codec.engine import engine

        card = written.card
        count = card.config.levels
        for level in levels or ():
            if not 1 <= level <= count:
                raise UsageError(f"--levels {level}: {card.name} has levels 1 to {count}")
        engine(card, written.device)
        self.written = written
        self.realism: float | None = realism
        self.effort: int | None = written.effort
        self.model: tuple[str, str] | None = (card.name, card.id.hex())
        searched = f", effort {written.effort}" if written.effort != UNSAID_EFFORT else ""
        self.title = f"sic ({card.name}{f', realism {realism:g}' if named else ''}{searched})"
        self.about = (
            "one file per picture, each level by cutting it; metadata none; "
            f"realism {realism:g}, effort {written.effort}"
        )
        self.settings = tuple(f"level {k}" for k in levels or range(1, count + 1))

    def files(self, pixels: Pixels, wanted: Sequence[str], repeat: int) -> Iterator[Coded]:
        data, seconds = self.written.of(pixels, repeat)
        ends = parse(data).ends
        for setting in wanted:
            yield Coded(setting, data[: ends[int(setting.split()[1])]], seconds)

    def decode(self, data: bytes) -> Pixels:
        from ..codec.decode import decode

        made = decode(parse(data), device=self.written.device, realism=self.realism or 0.0)
        return colours(made.pixels)


class Other:
    """A peer of `evaluation/peers.py` at some of its settings."""

    model: tuple[str, str] | None = None
    realism: float | None = None
    effort: int | None = None

    def __init__(self, peer: Peer, steps: int) -> None:
        self.peer = peer
        self.name, self.title, self.about = peer.name, peer.title, peer.about
        self.suffix, self.mime = peer.suffix, peer.mime
        self.version = _version(peer)
        self._values = {peer.step(v): v for v in some(peer.settings, steps)}
        self.settings = tuple(self._values)

    def files(self, pixels: Pixels, wanted: Sequence[str], repeat: int) -> Iterator[Coded]:
        for setting in wanted:
            value = self._values[setting]
            data, seconds = timed(lambda v=value: self.peer.encode(pixels, v), repeat)  # type: ignore[misc]
            yield Coded(setting, data, seconds)

    def decode(self, data: bytes) -> Pixels:
        return self.peer.decode(data)


def _version(peer: Peer) -> str:
    names = {"jpeg": "jpg", "webp": "webp", "avif": "avif", "j2k": "jpg_2000"}
    inner = features.version(names[peer.name]) if peer.name in names else None
    if peer.name == "jxl":
        from importlib.metadata import version

        inner = version("pillow-jxl-plugin")
    if peer.name == "jpeg" and features.check("libjpeg_turbo"):
        inner = f"turbo {features.version('libjpeg_turbo')}"
    return f"Pillow {pillow_version}, {peer.title} {inner or ''}".rstrip()


def contenders(
    names: Sequence[str],
    card: ModelCard | None,
    device: str,
    levels: Sequence[int] | None,
    steps: int,
    realism: Sequence[float],
    efforts: Sequence[int] = (UNSAID_EFFORT,),
) -> tuple[list[Contender], dict[str, str]]:
    """Those of `names` that this machine has, and why it has not the others. realism, efforts:
    each of them is a contender of its own.

    Raises UsageError for a name that there is not.
    """
    Image.init()
    there: list[Contender] = []
    missing: dict[str, str] = {}
    for name in names:
        if name == "sic":
            if card is None:
                raise UsageError("sic needs weights")
            named = tuple(realism) != (UNSAID_REALISM,)
            for effort in efforts:
                written = Written(card, device, effort)
                there += [Sic(written, levels, one, named) for one in realism]
        elif name not in PEERS:
            raise UsageError(f"no codec is named {name}; there are sic, {', '.join(PEERS)}")
        elif reason := PEERS[name].here():
            missing[name] = reason
        else:
            there.append(Other(PEERS[name], steps))
    return there, missing
