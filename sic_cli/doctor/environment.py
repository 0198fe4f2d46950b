"""What is installed, which devices are here, and whether weights are what their cards say.

Nothing here raises for what is missing: a finding says it, with what to do.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from .._version import __version__
from ..codec.bitstream.fields import VERSION
from ..codec.weights.card import CARD, ModelCard, read_card
from ..codec.weights.locate import folders, installed
from ..codec.weights.pinned import PINNED, read_weights
from ..errors import ModelError, SicError, has_torch

Status = Literal["ok", "missing", "failed", "skipped"]
NEEDED = {
    "numpy": "1.26",
    "threadpoolctl": "3.5",
    "pillow": "13",
    "click": "8.2",
    "platformdirs": "4",
    "rich": "13",
    "pathspec": "0.12",
    "jinja2": "3.1.6",
    "safetensors": "0.4.3",
}
"""Package -> oldest version, as pyproject.toml has them (a test compares)."""

OPTIONAL = {
    "torch": "a GPU, training, and measuring LPIPS",
    "constriction": "entropy coding some times faster; the bytes are the same",
    "distributed": "work on a Dask cluster (--cluster)",
    "fsspec": "files by URL",
    "s3fs": "files on S3 (s3://)",
    "lpips": "measuring LPIPS",
    "torchvision": "measuring LPIPS",
    "pillow-heif": "reading HEIC and HEIF pictures",
    "pillow-jxl-plugin": "reading JPEG XL pictures",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """status: "missing" is optional and not here. fix: what to do, often a command."""

    name: str
    status: Status
    text: str
    fix: str | None = None


@dataclass(frozen=True, slots=True)
class Device:
    """memory_mib: of a GPU. capability: of a GPU, or the CPU's best instruction set."""

    name: str
    kind: str
    memory_mib: int | None
    capability: str | None


def install_line(*packages: str) -> str:
    """The command that installs packages into this Python."""
    quoted = " ".join(f'"{p}"' if re.search("[<>=]", p) else p for p in packages)
    return f"{sys.executable} -m pip install {quoted}"


def versions() -> dict[str, str | None]:
    """sic, its format, Python, the system, and every package that sic can use."""
    found: dict[str, str | None] = {
        "sic": __version__,
        "format": str(VERSION),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
    }
    return found | {name: _version(name) for name in (*NEEDED, *OPTIONAL)}


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(n) for n in re.findall(r"\d+", version.split("+")[0])[:3])


def packages() -> Iterator[Finding]:
    """Needed packages first."""
    for name, oldest in NEEDED.items():
        have, wanted = _version(name), f"{name}>={oldest}"
        if have is None:
            yield Finding(name, "failed", "is not installed", install_line(wanted))
        elif _numbers(have) < _numbers(oldest):
            yield Finding(name, "failed", f"{have} is older than {oldest}", install_line(wanted))
        else:
            yield Finding(name, "ok", have)
    for name, purpose in OPTIONAL.items():
        have = _version(name)
        if have is None:
            yield Finding(name, "missing", f"optional: {purpose}", install_line(name))
        else:
            yield Finding(name, "ok", have)


def devices() -> tuple[list[Device], list[Finding]]:
    """Where sic can compute, and whether whole numbers are computed exactly there."""
    try:
        from ..codec.inference.integer_network import check_machine
        from ..codec.inference.parallel import library, threads
    except Exception as error:  # a broken installation raises whatever its libraries raise
        text = f"NumPy does not load: {type(error).__name__}: {error}"
        return [], [Finding("device cpu", "failed", text, install_line("--force-reinstall numpy"))]
    found = [Device("cpu", platform.machine(), None, library())]
    findings = [Finding("device cpu", "ok", f"{threads()} threads, {library()}")]
    try:
        check_machine()
        findings.append(Finding("arithmetic", "ok", "whole numbers are computed exactly"))
    except SicError as error:
        findings.append(Finding("arithmetic", "failed", str(error), error.hint))
    gpus, finding = _gpus()
    return found + gpus, findings + finding


def _gpus() -> tuple[list[Device], list[Finding]]:
    if not has_torch():
        return [], [Finding("device cuda", "skipped", "torch is not installed")]
    try:
        import torch

        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    except Exception as error:
        text = f"torch does not load: {type(error).__name__}: {error}"
        return [], [Finding("device cuda", "failed", text, install_line("--force-reinstall torch"))]
    if not count:
        return [], [Finding("device cuda", "skipped", "no CUDA device that torch can use")]
    found, findings = [], []
    for index in range(count):
        gpu = torch.cuda.get_device_properties(index)
        name, memory = f"cuda:{index}", gpu.total_memory >> 20
        found.append(Device(name, gpu.name, memory, f"{gpu.major}.{gpu.minor}"))
        findings.append(Finding(f"device {name}", "ok", f"{gpu.name}, {memory} MiB"))
    return found, findings


def weights() -> tuple[list[tuple[ModelCard, bool]], list[Finding]]:
    """Releases on this machine with: is the digest right?"""
    cards, findings = [], []
    for card in installed():
        try:
            read_weights(card)
            findings.append(Finding(f"weights {card.name}", "ok", f"digest right, {card.folder}"))
            cards.append((card, True))
        except ModelError as error:
            findings.append(Finding(f"weights {card.name}", "failed", str(error), error.hint))
            cards.append((card, False))
    findings += _unreadable()
    fix = f"{install_line('--force-reinstall sic')}, or sic models import FOLDER"
    if not cards:
        findings.append(Finding("weights", "failed", "no weights on this machine", fix))
        return cards, findings
    for name in sorted(PINNED.keys() - {card.name for card, _ in cards}):
        text = "came with sic and is gone: files that were made with it do not decode"
        findings.append(Finding(f"weights {name}", "failed", text, fix))
    return cards, findings


def _unreadable() -> Iterator[Finding]:
    """Folders with a card that is none."""
    for place in folders():
        for path in sorted(place.iterdir()) if place.is_dir() else []:
            if (path / CARD).is_file():
                try:
                    read_card(path)
                except ModelError as error:
                    yield Finding(f"weights {path.name}", "failed", str(error), "remove the folder")
