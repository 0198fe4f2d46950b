"""Which device codes: the CPU, or a GPU that torch can use. torch is loaded only to look for one."""

from __future__ import annotations

from pathlib import Path

from ...errors import ResourceError, has_torch, install_hint

DRIVERS = (
    *("/dev/nvidiactl", "/proc/driver/nvidia/version", "/dev/nvhost-gpu", "/dev/nvmap", "/dev/kfd"),
    *("/dev/dxg", "C:/Windows/System32/nvcuda.dll"),
)
"""One of these is where torch can find a GPU: Linux (Jetson and ROCm too), its guest in Windows, Windows."""


def pick_device(name: str) -> str:
    """`cpu` or `cuda:N` for `auto`, `cpu`, `cuda` or `cuda:N`. torch is loaded only where there is a
    driver or CUDA was asked for. Raises ResourceError for a device that is not there."""
    if name == "cpu" or (name == "auto" and not any(Path(p).exists() for p in DRIVERS)):
        return "cpu"
    if not has_torch():
        if name == "auto":
            return "cpu"
        raise ResourceError(f"--device {name}: torch is not installed", install_hint("cuda"))
    try:
        import torch

        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    except Exception as error:  # a broken installation raises whatever its libraries raise
        if name == "auto":
            return "cpu"
        text = f"--device {name}: torch does not load: {type(error).__name__}: {error}"
        raise ResourceError(text, "sic doctor says more") from None
    if name == "auto" and not count:
        return "cpu"
    index = int(name.partition(":")[2] or 0)
    if index >= count:
        raise ResourceError(
            f"--device {name}: {count or 'no'} CUDA device{'s' if count > 1 else ''} here",
            "use --device cpu or auto",
        )
    return f"cuda:{index}"
