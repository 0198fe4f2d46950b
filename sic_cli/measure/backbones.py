"""Where the weights of perceptual metrics lie on this machine. Nothing is ever fetched.

`SIC_LPIPS_WEIGHTS` names a folder (or a file in it); else AlexNet is looked for where torchvision
keeps what it has fetched, and the shift-tolerant AlexNet in the package `stlpips-pytorch`. That
package is not imported: it needs IPython, and its blur is under a non-commercial licence.
"""

from __future__ import annotations

import importlib.util
import os
import pickle
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from ..errors import ModelError

VARIABLE = "SIC_LPIPS_WEIGHTS"
ALEXNET = ("alexnet_features_imagenet.pth", "alexnet-owt-7be5be79.pth", "lpips.safetensors")
SHIFT_TOLERANT = ("alex_shift_tolerant.pth",)


def _folder() -> Path | None:
    named = os.environ.get(VARIABLE)
    if not named:
        return None
    path = Path(named)
    return path.parent if path.is_file() else path


def alexnet() -> dict[str, Tensor]:
    """`features.N.weight` and `features.N.bias` as torchvision names them. Raises ModelError."""
    cache = Path(torch.hub.get_dir()) / "checkpoints"
    return _first(
        "LPIPS", ALEXNET, [_folder(), cache], f"set {VARIABLE} to a folder with {ALEXNET[0]}"
    )


def shift_tolerant() -> dict[str, Tensor]:
    """The state of `stlpips_pytorch.stlpips.LPIPS(net="alex", variant="shift_tolerant")`.

    Raises ModelError.
    """
    found = importlib.util.find_spec("stlpips_pytorch")
    inside = Path(found.origin).parent / "weights" / "vST0.0" if found and found.origin else None
    return _first(
        "ST-LPIPS",
        SHIFT_TOLERANT,
        [_folder(), inside],
        f"pip install --no-deps stlpips-pytorch, or set {VARIABLE} to a folder with "
        f"{SHIFT_TOLERANT[0]}",
    )


def _first(
    metric: str, names: tuple[str, ...], folders: list[Path | None], hint: str
) -> dict[str, Tensor]:
    for folder in folders:
        for name in names:
            if folder and (folder / name).is_file():
                return _read(metric, folder / name)
    raise ModelError(f"{metric} needs weights that are not on this machine", hint)


def _read(metric: str, path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
        return state
    except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        raise ModelError(f"{path}: not the weights of {metric} ({error})") from None
