"""Which numbers a step multiplies: bfloat16 where the device does it in hardware, float32 elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import torch

Precision = Literal["auto", "bfloat16", "float32"]
CPUINFO = Path("/proc/cpuinfo")
INSTRUCTIONS = ("amx_bf16", "avx512_bf16")
"""Flags of processors that multiply bfloat16; without one, it is emulated and slower than float32."""


def choose(device: torch.device, wanted: Precision = "auto", cpuinfo: Path = CPUINFO) -> str:
    """What `computing` is to use and why, as a line to print: its first word is bfloat16 or float32."""
    if wanted != "auto":
        return f"{wanted} (as asked)"
    if device.type == "cuda":
        return (
            "bfloat16 (CUDA)" if torch.cuda.is_bf16_supported() else "float32 (CUDA, no bfloat16)"
        )
    try:
        flags = cpuinfo.read_text().split()
    except OSError:
        flags = []
    for name in INSTRUCTIONS:
        if name in flags:
            return f"bfloat16 ({name})"
    return "float32 (the processor has neither amx_bf16 nor avx512_bf16)"


@contextmanager
def computing(device: torch.device, chosen: str) -> Iterator[None]:
    """Inside, convolutions and products are computed as `chosen` says; parameters stay in float32."""
    reduced = chosen.startswith("bfloat16")
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=reduced):
        yield
