"""Published `.pth` files of metrics, read without unpickling.

A `.pth` file is a pickle, and a pickle runs code. Of a file whose SHA-256 is known it is also known
at which byte each tensor lies, so the numbers are taken from there and nothing else is looked at.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Place = tuple[int, tuple[int, ...]]
"""Byte at which a tensor of float32, little-endian, begins; its shape."""

ALEXNET: Mapping[str, Place] = {
    "features.0.weight": (1536, (64, 3, 11, 11)),
    "features.0.bias": (94592, (64,)),
    "features.3.weight": (94976, (192, 64, 5, 5)),
    "features.3.bias": (1323904, (192,)),
    "features.6.weight": (1324800, (384, 192, 3, 3)),
    "features.6.bias": (3979136, (384,)),
    "features.8.weight": (3980800, (256, 384, 3, 3)),
    "features.8.bias": (7519872, (256,)),
    "features.10.weight": (7521024, (256, 256, 3, 3)),
    "features.10.bias": (9880448, (256,)),
}
"""`alexnet_features_imagenet.pth`: torchvision's AlexNet for ImageNet without its classifier."""

SHIFT_TOLERANT: Mapping[str, Place] = {
    "scaling_layer.shift": (9801436, (1, 3, 1, 1)),
    "scaling_layer.scale": (9794496, (1, 3, 1, 1)),
    "net.slice1.0.weight": (9801456, (64, 3, 11, 11)),
    "net.slice1.0.bias": (9894392, (64,)),
    "net.slice2.5.weight": (2666400, (192, 64, 5, 5)),
    "net.slice2.5.bias": (2665624, (192,)),
    "net.slice3.9.weight": (5752, (384, 192, 3, 3)),
    "net.slice3.9.bias": (4208, (384,)),
    "net.slice4.11.weight": (6255544, (256, 384, 3, 3)),
    "net.slice4.11.bias": (3895208, (256,)),
    "net.slice5.13.weight": (3896240, (256, 256, 3, 3)),
    "net.slice5.13.bias": (2662280, (256,)),
    "lin0.model.1.weight": (9898008, (1, 64, 1, 1)),
    "lin1.model.1.weight": (9896200, (1, 192, 1, 1)),
    "lin2.model.1.weight": (9894656, (1, 384, 1, 1)),
    "lin3.model.1.weight": (9896976, (1, 256, 1, 1)),
    "lin4.model.1.weight": (9898272, (1, 256, 1, 1)),
}
"""`alex_shift_tolerant.pth` of stlpips-pytorch 0.0.2."""


def _squeezenet() -> dict[str, Place]:
    """`squeezenet1_1_features_imagenet.pth`: every fire module's tensors in the order of the file."""
    places: dict[str, Place] = {
        "features.0.weight": (5696, (64, 3, 3, 3)),
        "features.0.bias": (12736, (64,)),
    }
    modules = {
        3: (64, 16, 64, (13120, 17344, 17536, 21760, 22144, 59136)),
        4: (128, 16, 64, (59520, 67840, 68032, 72256, 72640, 109632)),
        6: (128, 32, 128, (110016, 126528, 126784, 143296, 143936, 291520)),
        7: (256, 32, 128, (292160, 325056, 325312, 341824, 342464, 490048)),
        9: (256, 48, 192, (490688, 539968, 540288, 577280, 578176, 910080)),
        10: (384, 48, 192, (910976, 984832, 985152, 1022144, 1023040, 1354944)),
        11: (384, 64, 256, (1355840, 1454272, 1454656, 1520320, 1521472, 2111424)),
        12: (512, 64, 256, (2112576, 2243776, 2244160, 2309824, 2310976, 2900928)),
    }
    for number, (inputs, narrow, wide, starts) in modules.items():
        shapes: tuple[tuple[int, ...], ...] = (
            (narrow, inputs, 1, 1), (narrow,), (wide, narrow, 1, 1), (wide,), (wide, narrow, 3, 3), (wide,),
        )  # fmt: skip
        names = [
            f"{part}.{kind}"
            for part in ("squeeze", "expand1x1", "expand3x3")
            for kind in ("weight", "bias")
        ]
        for name, start, shape in zip(names, starts, shapes, strict=True):
            places[f"features.{number}.{name}"] = (start, shape)
    return places


SQUEEZENET: Mapping[str, Place] = _squeezenet()
"""torchvision's SqueezeNet 1.1 for ImageNet without its classifier."""

LPIPS_ALEX: Mapping[str, Place] = {
    "lin0.model.1.weight": (4721, (1, 64, 1, 1)),
    "lin1.model.1.weight": (1369, (1, 192, 1, 1)),
    "lin2.model.1.weight": (2145, (1, 384, 1, 1)),
    "lin3.model.1.weight": (3689, (1, 256, 1, 1)),
    "lin4.model.1.weight": (4985, (1, 256, 1, 1)),
}
LPIPS_SQUEEZE: Mapping[str, Place] = {
    "lin0.model.1.weight": (6443, (1, 64, 1, 1)),
    "lin1.model.1.weight": (3347, (1, 128, 1, 1)),
    "lin2.model.1.weight": (3867, (1, 256, 1, 1)),
    "lin3.model.1.weight": (4899, (1, 384, 1, 1)),
    "lin4.model.1.weight": (1803, (1, 384, 1, 1)),
    "lin5.model.1.weight": (6707, (1, 512, 1, 1)),
    "lin6.model.1.weight": (8763, (1, 512, 1, 1)),
}
"""`lpips_v0.1_lin_alex.pth`, `lpips_v0.1_lin_squeeze.pth`: heads of LPIPS 0.1; training uses them."""

FILES: Mapping[str, Mapping[str, Place]] = {
    "780c3f7cc3e90bb0f20d0006e83eb9c7b612f30288b3df12385607e40b46bdee": ALEXNET,
    "b356b382f96010f77d085ee8343ecd9fd322d0a56e8de2b2d0549fafcad8b9ee": SHIFT_TOLERANT,
    "69897291741cd60751e51681ba31bc9ad020d27aae8f7f6dc89c6985956282b6": SQUEEZENET,
    "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0": LPIPS_ALEX,
    "4a5350f23600cb79923ce65bb07cbf57dca461329894153e05a1346bd531cf76": LPIPS_SQUEEZE,
}
"""SHA-256 of a whole file -> where its tensors lie."""


def read_published(data: bytes) -> dict[str, NDArray[np.float32]] | None:
    """The tensors of a published file, by name; None for bytes that are none of `FILES`."""
    places = FILES.get(hashlib.sha256(data).hexdigest())
    if places is None:
        return None
    return {
        name: np.frombuffer(data, "<f4", math.prod(shape), start).reshape(shape).copy()
        for name, (start, shape) in places.items()
    }
