"""Where the weights of perceptual metrics lie on this machine. Nothing is ever fetched.

`SIC_LPIPS_WEIGHTS` names a folder (or a file in it); else AlexNet is looked for where torchvision
keeps what it has fetched, and the shift-tolerant AlexNet in the package `stlpips-pytorch`. That
package is not imported: it needs IPython, and its blur is under a non-commercial licence.

Read are safetensors, and those `.pth` files whose bytes are known (`published`). Nothing is unpickled.
"""

from __future__ import annotations

import importlib.util
import os
import shlex
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ..errors import ModelError
from .published import read_published

VARIABLE = "SIC_LPIPS_WEIGHTS"
ALEXNET = ("lpips.safetensors", "alexnet_features_imagenet.pth", "alexnet-owt-7be5be79.pth")
SHIFT_TOLERANT = ("st-lpips.safetensors", "alex_shift_tolerant.pth")
MOST_BYTES = 512 << 20
CONVERT = (
    'python -c "import sys, torch, safetensors.torch as s; '
    's.save_file(torch.load(sys.argv[1], weights_only=True), sys.argv[2])" {} {}'
)
"""What makes safetensors of a `.pth` file; torch checks that it holds tensors alone."""


def _folder() -> Path | None:
    named = os.environ.get(VARIABLE)
    if not named:
        return None
    path = Path(named)
    return path.parent if path.is_file() else path


def alexnet(metric: str = "LPIPS") -> dict[str, Tensor]:
    """`features.N.weight` and `features.N.bias` as torchvision names them. Raises ModelError, which
    says that `metric` lacks them."""
    cache = Path(torch.hub.get_dir()) / "checkpoints"
    return _first(
        metric, ALEXNET, [_folder(), cache], f"set {VARIABLE} to a folder with {ALEXNET[0]}"
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
                return _read(metric, folder / name, names[0])
    raise ModelError(f"{metric} needs weights that are not on this machine", hint)


def _convert(path: Path, converted: str) -> str:
    """The command line that makes a file that sic reads."""
    return CONVERT.format(*(shlex.quote(str(p)) for p in (path, path.with_name(converted))))


def _read(metric: str, path: Path, converted: str) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        known = read_published(path.read_bytes()) if path.stat().st_size <= MOST_BYTES else None
    except (OSError, ValueError, SafetensorError) as error:
        raise ModelError(f"{path}: not the weights of {metric} ({error})") from None
    if known is None:
        raise ModelError(
            f"{path}: not the weights of {metric} that sic knows; other .pth files are not opened, "
            "since they can run code",
            f"if you trust it: {_convert(path, converted)}",
        )
    return {name: torch.from_numpy(array) for name, array in known.items()}
