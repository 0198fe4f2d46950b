"""A release's weights file -> networks and tables in memory."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load as load_tensors
from torch import Tensor

from ..errors import ModelError
from ..model.context import ContextWeights
from ..model.transforms import Analysis, Synthesis
from .card import WEIGHTS, Card
from .pinned import read_weights

VIVID = "vivid."
"""Prefix of the decoder at realism 1 in a weights file."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """Everything a release holds.

    synthesis, vivid: the decoder at realism 0 and at realism 1; one object if the release has one.
    arrays: coding tables by name; unit, octaves: the level table; reach, logs: context features;
    centre, spread: float32 (K, C); psnr_fit: float32 (K, 2), see codec/encode.py.
    """

    card: Card
    analysis: Analysis
    synthesis: Synthesis
    vivid: Synthesis
    context: ContextWeights
    reach: Tensor
    logs: Tensor
    arrays: dict[str, NDArray[np.int64]]
    unit: NDArray[np.float32]
    octaves: NDArray[np.int8]
    centre: NDArray[np.float32]
    spread: NDArray[np.float32]
    psnr_fit: NDArray[np.float32]


def _network(module: torch.nn.Module, tensors: dict[str, Tensor], prefix: str) -> None:
    own = {k[len(prefix) :]: v.float() for k, v in tensors.items() if k.startswith(prefix)}
    module.load_state_dict(own, assign=True)
    module.eval().requires_grad_(False)
    module.to(dtype=torch.float32, memory_format=torch.channels_last)  # type: ignore[call-overload]


def _context(tensors: dict[str, Tensor], depth: int) -> ContextWeights:
    def whole(name: str) -> Tensor:
        return tensors[f"context.{name}"].to(torch.float32)

    return ContextWeights(
        whole("entry"),
        whole("entry_bias"),
        tuple(whole(f"mid.{i}").to(memory_format=torch.channels_last) for i in range(depth)),
        tuple(whole(f"mid_bias.{i}") for i in range(depth)),
        tuple(whole(f"back.{i}") for i in range(depth)),
        whole("exit"),
        whole("exit_bias"),
    )


def load(card: Card) -> Loaded:
    """Read, check and build. Raises ModelError if digest or contents are wrong."""
    data = read_weights(card)
    try:
        tensors = load_tensors(data)
        with torch.device("meta"):  # shapes only: nothing is drawn that the file replaces
            analysis, synthesis = Analysis(card.config), Synthesis(card.config)
        _network(analysis, tensors, "analysis.")
        _network(synthesis, tensors, "synthesis.")
        vivid = synthesis
        if any(k.startswith(VIVID) for k in tensors):
            with torch.device("meta"):
                vivid = Synthesis(card.config)
            _network(vivid, tensors, VIVID)
        arrays = {
            k[7:]: v.numpy().astype(np.int64) for k, v in tensors.items() if k.startswith("tables.")
        }
        return Loaded(
            card=card,
            analysis=analysis,
            synthesis=synthesis,
            vivid=vivid,
            context=_context(tensors, card.config.context_blocks),
            reach=tensors["reach"].float(),
            logs=tensors["logs"].float(),
            arrays=arrays,
            unit=tensors["unit"].float().numpy(),
            octaves=tensors["octaves"].numpy().astype(np.int8),
            centre=tensors["centre"].float().numpy(),
            spread=tensors["spread"].float().numpy(),
            psnr_fit=tensors["psnr_fit"].float().numpy(),
        )
    except (KeyError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"{card.folder / WEIGHTS}: not a weights file of this sic ({error})"
        ) from None


def decoder_at(release: Loaded, realism: float) -> Synthesis:
    """The decoder between its two ends: parameters mixed linearly, 0 faithful, 1 vivid.

    Two networks of which one was trained on from the other can be mixed like this (Wang and others,
    "Deep Network Interpolation for Continuous Imagery Effect Transition", CVPR 2019).
    """
    if realism == 0 or release.vivid is release.synthesis:
        return release.synthesis
    if realism == 1:
        return release.vivid
    mixed = copy.deepcopy(release.synthesis)
    with torch.no_grad():
        for own, end in zip(mixed.parameters(), release.vivid.parameters(), strict=True):
            own.lerp_(end, realism)
    return mixed
