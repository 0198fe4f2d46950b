"""A release made ready to code: networks on a device, the walk, and the numbers between them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ..cells import details, quantise
from ..cells.levels import LevelTable, build
from ..cells.quantise import Cells
from ..errors import ResourceError
from ..model.bands import cut_in_bands
from ..model.config import STRIDE
from ..model.exact import ContextRunner
from ..release.card import Card
from ..release.load import Loaded, decoder_at, load
from .coding_tables import CodingTables
from .tiles import Strip, columns, scaled, strips
from .walk import Classes, Walk

Pixels = NDArray[np.uint8]
"""uint8 (H, W, 3)."""
REALISM = 1.0
"""Which decoder is used where nobody says: the vivid one."""


def pick_device(name: str) -> torch.device:
    """`auto`, `cpu`, `cuda` or `cuda:N`. Raises ResourceError for a device that is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            raise ResourceError(
                f"--device {name}: {count or 'no'} CUDA device{'s' if count > 1 else ''} here",
                "use --device cpu or auto",
            )
    return device


@contextmanager
def repeatable(device: torch.device) -> Iterator[None]:
    """Inside, the transforms give the same floats whatever the caller has set, and on a CPU whatever
    the number of threads (`model/bands.py`)."""
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode())
        stack.enter_context(torch.autocast(device.type, enabled=False))
        if device.type == "cpu":
            stack.enter_context(cut_in_bands(torch.get_num_threads()))
        yield


@dataclass(frozen=True, slots=True)
class Engine:
    """Made by `engine`. All methods take and give whole pictures."""

    release: Loaded
    table: LevelTable
    walk: Walk
    classes: Classes
    device: torch.device

    def analyse(self, pixels: Pixels) -> NDArray[np.float32]:
        """Pixels -> latent float32 (C, ceil(H / 16), ceil(W / 16)); edges are repeated outwards."""
        rows, across = (-(-side // STRIDE) for side in pixels.shape[:2])
        latent = np.empty((self.table.channels, rows, across), np.float32)
        for strip, part in self.latents(pixels):
            latent[:, strip.own] = part
        return latent

    def latents(self, pixels: Pixels) -> Iterator[tuple[Strip, NDArray[np.float32]]]:
        """What `analyse` gives, by strips of rows."""
        height, width = pixels.shape[:2]
        rows, across = -(-height // STRIDE), -(-width // STRIDE)
        halo = 2 * self.release.card.config.blocks
        for strip in strips(rows, across, halo):
            part = pixels[scaled(strip.seen, STRIDE)]
            below = (strip.last - strip.first) * STRIDE - len(part)
            padded = np.pad(part, ((0, below), (0, -width % STRIDE), (0, 0)), mode="edge")
            parts: list[NDArray[np.float32]] = []
            for column in columns(across, halo):
                with repeatable(self.device):
                    tensor = torch.from_numpy(padded[:, scaled(column.seen, STRIDE)])
                    tensor = tensor.to(self.device).permute(2, 0, 1)[None].float() - 127.5
                    out = self.release.analysis(tensor)[0, :, strip.kept, column.kept]
                    parts.append(out.float().cpu().contiguous().numpy())
            yield strip, parts[0] if len(parts) == 1 else np.concatenate(parts, 2)

    def cells(self, latent: NDArray[np.float32]) -> Cells:
        """Latent -> cells at the last level."""
        return quantise.finest(latent, self.table)

    def place(
        self, cells: Cells, level: int, kind: str, seed: int, top: int = 0
    ) -> NDArray[np.float32]:
        """Cells at `level` -> latent: `mean` or `sample` details. top: row at which they begin."""
        if kind == "sample":
            spread = self.release.spread[level - 1]
            return details.sample(cells, self.table, level, spread, seed, top)
        return quantise.middle(cells, self.table, level, self.release.centre[level - 1])

    def synthesise(
        self,
        latent: NDArray[np.float32],
        level: int,
        height: int,
        width: int,
        realism: float = REALISM,
    ) -> Pixels:
        """Latent at `level` -> pixels uint8 (height, width, 3). realism: 0..1, see `decoder_at`."""
        return self._painted(lambda rows: latent[:, rows], level, height, width, realism)

    def picture(
        self,
        cells: Cells,
        level: int,
        kind: str,
        seed: int,
        height: int,
        width: int,
        realism: float = REALISM,
    ) -> Pixels:
        """`place` and `synthesise`, without the latent of the whole picture."""

        def latent(rows: slice) -> NDArray[np.float32]:
            return self.place(cells[:, rows], level, kind, seed, rows.start)

        return self._painted(latent, level, height, width, realism)

    def _painted(
        self,
        latent: Callable[[slice], NDArray[np.float32]],
        level: int,
        height: int,
        width: int,
        realism: float,
    ) -> Pixels:
        """Pixels of a latent that comes by rows."""
        network = decoder_at(self.release, realism)
        which = torch.tensor([level - 1], device=self.device)
        cell = torch.from_numpy(self.table.width(level))[None].to(self.device)
        pixels = np.empty((height, width, 3), np.uint8)
        depth = 2 * self.release.card.config.blocks + 1
        rows, across = -(-height // STRIDE), -(-width // STRIDE)
        with repeatable(self.device):
            for strip in strips(rows, across, depth, overlap=True):
                places = latent(strip.seen)
                for column in columns(across, depth):
                    part = np.ascontiguousarray(places[:, :, column.seen])
                    tensor = torch.from_numpy(part).to(self.device)[None]
                    out = network(tensor, cell, which)[0]
                    out = out[:, scaled(strip.kept, STRIDE), scaled(column.kept, STRIDE)] + 127.5
                    out = out.round_().clamp_(0, 255).to(torch.uint8).permute(1, 2, 0)
                    own = pixels[scaled(strip.own, STRIDE), scaled(column.own, STRIDE)]
                    own[:] = out[: own.shape[0], : own.shape[1]].cpu().numpy()
        return pixels


_ENGINES: dict[tuple[str, str], Engine] = {}


def engine(card: Card, device: str = "cpu") -> Engine:
    """A release on a device; built once per process."""
    where = pick_device(device)
    key = (card.digest, str(where))
    if key not in _ENGINES:
        release = load(card)
        release.analysis.to(where)
        release.synthesis.to(where)
        release.vivid.to(where)
        _ENGINES[key] = assembled(release, where)
    return _ENGINES[key]


def assembled(release: Loaded, device: torch.device) -> Engine:
    """The engine of a release whose networks are on `device`."""
    table, tables = table_of(release), CodingTables.from_arrays(release.arrays)
    classes = context_runner(release).classes
    return Engine(release, table, Walk(table, tables, classes), classes, device)


def table_of(release: Loaded) -> LevelTable:
    """The level table of a release."""
    config = release.card.config
    return build(release.unit, release.octaves, config.groups, config.lead)


def context_runner(release: Loaded) -> ContextRunner:
    """The context network of a release; always on the CPU."""
    steps = torch.from_numpy(table_of(release).steps)
    return ContextRunner(release.context, release.reach, release.logs, steps)
