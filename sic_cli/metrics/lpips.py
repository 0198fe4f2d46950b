"""LPIPS-Alex (Zhang and others 2018) through the `lpips` package, its backbone given by the caller.

The package would download the backbone; here it comes as a state dict, so nothing is fetched at run
time. `lpips` imports torchvision, whose registry wheels do not import beside a torch built without
CUDA (`operator torchvision::nms does not exist`); the names are declared only if that happens.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import ModelError

SCHEMAS = {
    "nms": "(Tensor dets, Tensor scores, float t) -> Tensor",
    "qnms": "(Tensor dets, Tensor scores, float t) -> Tensor",
}


def import_lpips() -> Any:
    """The `lpips` module. Raises ModelError if it is not installed."""
    try:
        return importlib.import_module("lpips")
    except ImportError as error:
        raise ModelError(f"LPIPS needs the extra `measure` ({error})") from None
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
    for name, schema in SCHEMAS.items():
        torch.library.define(f"torchvision::{name}", schema)
    for name in [n for n in sys.modules if n.partition(".")[0] in ("torchvision", "lpips")]:
        del sys.modules[name]
    return importlib.import_module("lpips")


class Lpips:
    """The distance, with the ImageNet features of AlexNet as torchvision names them.

    features: state dict with `features.N.weight` and `features.N.bias`.
    """

    def __init__(self, features: dict[str, Tensor]) -> None:
        self.net = import_lpips().LPIPS(net="alex", pnet_rand=True, verbose=False)
        state = self.net.net.state_dict()
        for key in state:
            _, number, kind = key.split(".")
            state[key] = features[f"features.{number}.{kind}"]
        self.net.net.load_state_dict(state)
        self.net.eval().requires_grad_(False)

    def __call__(self, a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
        """Distance of two pictures uint8 (H, W, 3); 0 if equal."""

        def tensor(pixels: NDArray[np.uint8]) -> Tensor:
            return torch.from_numpy(np.array(pixels)).permute(2, 0, 1)[None].float() / 127.5 - 1

        with torch.inference_mode():
            return float(self.net(tensor(a), tensor(b)))
