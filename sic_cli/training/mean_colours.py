"""The network and the frequency tables of layer 0: trained once, then constants of the format.

`codec/preview/network.py` says what the network sees and gives. It is trained on the mean-colour indices of level 1
with the code length of a Laplace distribution about its prediction; tables by class are then fitted by counting what
the coder itself meets. The result is a file as `codec/preview` holds one; putting it there changes the format.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import save
from torch import Tensor, nn

from ..codec.inference.integer_network import ACTIVATION_MAX, LOGIT_ONE, WEIGHT_SHIFT
from ..codec.networks.context import BIAS_MAX, rescale, straight_floor, whole
from ..codec.preview.coder import (
    CLASS,
    CLASSES,
    FIRST_RADIUS,
    NEAR,
    PLANES,
    RADIUS,
    SCALES,
    MeanColourCoder,
)
from ..codec.preview.constants import KINDS, STORED, coder_of
from ..codec.preview.network import FEATURE_MAX, PASSES, neighbourhood
from ..codec.quantization.step_sizes import MEAN_COLOURS, NOT_SENT
from ..errors import InputError
from ..storage.files import replace_file
from .checkpoint import transforms_of
from .export import Tensors
from .fit_tables import Tally
from .indices import IndexCrops, are_packed
from .progress import SAY_SECONDS, say

HIDDEN = (48, 32)
SAMPLES, AROUND = 16, 4
"""Decoded neighbours, and nearest positions of the same pass."""
SCALE_RANGE = (-5.0, 6.0)
"""Of the binary logarithm of a scale in steps."""
LEAST_MASS = 2.0**-22
SIZES = ((48, 32), (32, 32), (32, 32))
"""Sides of the crops of successive steps."""
RATE, BETAS, DECAY, FALLING, EMA = 3e-3, (0.9, 0.98), 1e-4, 0.6, 0.995
FIRST_PRIOR, PRIOR = 50.0, 60.0
"""How many symbols a table's first guess counts for: of the coarsest grid, of residuals."""
FIRST_SCALE = 10.0
FORMAT = {"format": "sic 1, layer 0"}
Planes = NDArray[np.int16]
"""int16 (h, w, 3), indices of the mean colours at level 1."""


class PlaneNetwork(nn.Module):
    """Of one plane and one kind of pass: features -> correction in steps, binary logarithm of the scale."""

    def __init__(self, inputs: int, chance: torch.Generator) -> None:
        super().__init__()

        def matrix(rows: int, columns: int, gain: float) -> nn.Parameter:
            drawn = torch.randn(rows, columns, generator=chance)
            return nn.Parameter(drawn * gain / math.sqrt(rows))

        one, two = HIDDEN
        spacings = len(PASSES) // len(KINDS)
        self.first = matrix(inputs, one, 0.5)
        self.first_bias = nn.Parameter(torch.full((spacings, one), 0.5))
        self.second = matrix(one, two, 1.0)
        self.second_bias = nn.Parameter(torch.zeros(spacings, two))
        self.out = matrix(two, 2, 0.1)
        self.out_bias = nn.Parameter(torch.zeros(spacings, 2))

    def forward(self, x: Tensor, spacing: int) -> Tensor:
        """(..., inputs) whole numbers -> (..., 2)."""

        def sums(h: Tensor, name: str) -> Tensor:
            weight = whole(self.get_parameter(name), 2**WEIGHT_SHIFT, 127)
            bias = whole(self.get_parameter(f"{name}_bias")[spacing], LOGIT_ONE, BIAS_MAX)
            out: Tensor = h @ weight + bias
            return out

        h = rescale(sums(x, "first")).clamp(0, ACTIVATION_MAX)
        h = rescale(sums(h, "second")).clamp(0, ACTIVATION_MAX)
        return sums(h, "out") / LOGIT_ONE


class MeanColourNetwork(nn.Module):
    """All of them; parameters are named as the file of layer 0 names them."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        chance = torch.Generator().manual_seed(seed)
        for kind in KINDS:
            planes = nn.ModuleList(
                PlaneNetwork(SAMPLES * PLANES + plane * (1 + AROUND), chance)
                for plane in range(PLANES)
            )
            self.register_module(kind, planes)
            with torch.no_grad():
                planes[0].get_parameter("out_bias")[:, 1] = 1.0

    def forward(
        self, indices: Tensor, height: int, width: int
    ) -> Iterator[tuple[NDArray[np.intp], int, Tensor]]:
        """Places, plane and bits (B, n) of every plane of every pass. indices: float (B, height width, 3)."""
        value = indices.sign() * (16 * indices.abs() + 8)
        for turn, one in enumerate(PASSES):
            near = neighbourhood(height, width, one)
            seen = value[:, near.decoded]
            base = straight_floor((seen[:, :, :4].sum(2) + 2) / 4)
            parts = [differences(seen, base[:, :, None]).flatten(2)]
            for plane in range(PLANES):
                if plane:
                    own, known = value[:, near.own, :plane], base[..., :plane]
                    around = differences(value[:, near.same, :plane], known[:, :, None])
                    here = [differences(own, known), around.flatten(2)]
                else:
                    here = []
                network = self.get_submodule(f"{KINDS[one.kind]}.{plane}")
                out = network(torch.cat([*parts, *here], -1), turn // len(KINDS))
                point = base[..., plane] + straight_floor(16 * out[..., 0] + 0.5)
                yield near.own, plane, bits(indices[:, near.own, plane], point, out[..., 1])


def differences(values: Tensor, base: Tensor) -> Tensor:
    """As `codec.preview.network.differences`."""
    return torch.floor((values - base) / 4).clamp(-float(FEATURE_MAX), float(FEATURE_MAX))


def below(x: Tensor, scale: Tensor) -> Tensor:
    """Share of a Laplace distribution that lies below x."""
    tail = 0.5 * torch.exp(-(x.abs() / scale).clamp_max(60))
    return torch.where(x < 0, tail, 1 - tail)


def bits(index: Tensor, point: Tensor, scale: Tensor) -> Tensor:
    """Bits of indices under Laplace distributions about `point` (sixteenths of a step), with binary logarithms
    `scale` of their scales in steps."""
    spread = 16 * torch.exp2(scale.clamp(*SCALE_RANGE))
    low = torch.where(index > 0, 16 * index, 16 * index - 16)
    high = torch.where(index < 0, 16 * index, 16 * index + 16)
    a, b = low - point, high - point
    a, b = torch.where(a > 0, -b, a), torch.where(a > 0, -a, b)
    return -torch.log2((below(b, spread) - below(a, spread)).clamp_min(LEAST_MASS))


def planes_of(crops: IndexCrops, depths: NDArray[np.int8]) -> list[Planes]:
    """The mean colours of pictures at level 1. depths: (K, C) of the step sizes."""
    mean = list(MEAN_COLOURS)
    if (depths[0, mean] == NOT_SENT).any():
        raise ValueError("the mean colours are not part of level 1")
    shift = (depths[-1, mean] - depths[0, mean]).astype(np.int16)
    made = []
    for picture in crops.pictures:
        own = np.asarray(picture[..., mean])
        made.append((np.sign(own) * (np.abs(own) >> shift)).astype(np.int16))
    return made


def crop_of(
    pictures: Sequence[Planes], crops: IndexCrops, rng: np.random.Generator, size: tuple[int, int]
) -> Planes:
    """A flipped, or turned, part of a picture."""
    height, width = size
    while True:
        one = pictures[int(rng.choice(len(pictures), p=crops.share))]
        if one.shape[0] >= height and one.shape[1] >= width:
            break
    top, left = rng.integers(one.shape[0] - height + 1), rng.integers(one.shape[1] - width + 1)
    part = one[top : top + height, left : left + width]
    part = part[:, ::-1] if rng.random() < 0.5 else part
    part = part[::-1] if rng.random() < 0.5 else part
    return part.transpose(1, 0, 2) if height == width and rng.random() < 0.5 else part


def train_network(
    crops: IndexCrops, depths: NDArray[np.int8], steps: int, batch: int = 24, seed: int = 0
) -> MeanColourNetwork:
    """A trained network: the moving average of its parameters."""
    pictures, network = planes_of(crops, depths), MeanColourNetwork(seed)
    optimiser = torch.optim.AdamW(network.parameters(), RATE, betas=BETAS, weight_decay=DECAY)
    average = [p.detach().clone() for p in network.parameters()]
    began, shown = time.time(), 0.0
    for number in range(steps):
        part = number / steps
        factor = min(1.0, (number + 1) / 50)
        if part > 1 - FALLING:
            factor *= max(0.005, math.cos((part - 1 + FALLING) / FALLING * math.pi / 2))
        for group in optimiser.param_groups:
            group["lr"] = RATE * factor
        rng, (height, width) = np.random.default_rng((seed, number)), SIZES[number % len(SIZES)]
        drawn = np.stack([crop_of(pictures, crops, rng, (height, width)) for _ in range(batch)])
        indices = torch.from_numpy(drawn.astype(np.float32)).reshape(batch, -1, PLANES)
        loss = torch.zeros(())
        for _, _, cost in network(indices, height, width):
            loss = loss + cost.sum() / (batch * height * width)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        network.zero_grad(set_to_none=True)
        weight = 1 - min(EMA, 1 - 1 / (1 + (number + 1) / 10))
        torch._foreach_lerp_(average, [p.detach() for p in network.parameters()], weight)
        if time.time() - shown > SAY_SECONDS:
            shown = time.time()
            say(
                f"step {number + 1} of {steps}, {shown - began:.0f} s: {float(loss.detach()):.3f} bits"
            )
    with torch.no_grad():
        for p, mean in zip(network.parameters(), average, strict=True):
            p.copy_(mean)
    return network


def stored_network(network: MeanColourNetwork) -> Tensors:
    """Whole numbers by the names of the file of layer 0."""
    found: Tensors = {}
    with torch.no_grad():
        for name, p in network.named_parameters():
            if name.endswith("_bias"):
                found[name] = whole(p, LOGIT_ONE, BIAS_MAX).numpy().astype(np.int32)
            else:
                found[name] = whole(p, 2**WEIGHT_SHIFT, 127).numpy().astype(np.int8)
    return found


def expected_residuals() -> NDArray[np.float64]:
    """(CLASSES, 2 RADIUS + 3): what a Laplace distribution says of each class, before anything is counted."""
    total = np.zeros((CLASSES, 2 * RADIUS + 3))
    residual = torch.arange(-RADIUS - 1, RADIUS + 2, dtype=torch.float64)
    for scale in range(SCALES):
        size = torch.full_like(residual, (scale - 6 + 0.5) / 2)
        for near in range(NEAR):
            for part in range(16):
                point = torch.full_like(residual, near * 16 + part + 0.5)
                mass = torch.exp2(-bits(residual + near, point, size)).numpy() + 1e-7
                total[CLASS[scale, near, part]] += mass / mass.sum()
    mean: NDArray[np.float64] = total / total.sum(1, keepdims=True)
    return mean


def stored_frequencies(share: NDArray[np.float64]) -> NDArray[np.uint16]:
    """Whole frequencies that add up to 2**STORED, none of them 0."""
    total = 1 << STORED
    share = share / share.sum()
    made = np.maximum(1, np.floor(share * (total - len(share)))).astype(np.int64)
    made[made.argmax()] += total - made.sum()
    return made.astype(np.uint16)


def fitted(network: Tensors, pictures: Sequence[Planes]) -> Tensors:
    """All arrays of the file of layer 0: the network's, and tables fitted to pictures."""
    first = np.exp(-np.abs(np.arange(-FIRST_RADIUS - 1, FIRST_RADIUS + 2)) / FIRST_SCALE) + 0.02
    first /= first.sum()
    expected = expected_residuals()
    rows = np.stack([stored_frequencies(row) for row in expected])
    guess: dict[str, NDArray[Any]] = {
        "tables.first": np.stack([stored_frequencies(first)] * PLANES),
        "tables.residual": np.stack([rows] * PLANES),
    }
    coder = coder_of(network | guess)
    tally = counted(coder, pictures)

    def table(counts: NDArray[np.int64], prior: NDArray[np.float64], weight: float) -> Any:
        return stored_frequencies((counts + weight * prior) / (counts.sum() + weight))

    found = dict(network)
    found["tables.first"] = np.stack(
        [table(tally.of(t), first, FIRST_PRIOR) for t in coder.tables.first]
    )
    found["tables.residual"] = np.stack(
        [
            np.stack([table(tally.of(t), p, PRIOR) for t, p in zip(own, expected, strict=True)])
            for own in coder.tables.residual
        ]
    )
    return found


def counted(coder: MeanColourCoder, pictures: Sequence[Planes]) -> Tally:
    """The symbols that a coder meets."""
    tally = Tally()
    for picture in pictures:
        height, width = picture.shape[:2]
        coder.code(height, width, tally, np.ascontiguousarray(picture.transpose(2, 0, 1)))
    return tally


def write_mean_colours(out: Path, arrays: Tensors) -> str:
    """Write the file of layer 0; returns its digest, which `codec/preview/constants.py` pins."""
    data = save({k: np.ascontiguousarray(v) for k, v in arrays.items()}, FORMAT)
    replace_file(str(out), data)
    return hashlib.sha256(data).hexdigest()


def train_mean_colours(
    transforms: Path, indices: Path, out: Path, steps: int, threads: int = 1, seed: int = 0
) -> str:
    """Train, fit and write; returns the digest. transforms: what `transforms_of` reads; indices: folder of
    `pack_indices`. Raises InputError if they are of other transforms."""
    torch.set_num_threads(threads)
    model, _ = transforms_of(transforms)
    if not are_packed(indices, model):
        raise InputError(f"{indices}: no indices of these transforms", "run `sic train context`")
    crops, depths = IndexCrops.open(indices), model.depths.numpy()
    network = stored_network(train_network(crops, depths, steps, seed=seed))
    return write_mean_colours(out, fitted(network, planes_of(crops, depths)))
