"""Environments that could make a process compute otherwise, and whether this machine has them.

What adds and multiplies is the BLAS behind NumPy (OpenBLAS in its wheels), which picks kernels by the
processor and cuts products for its threads, and NumPy's own loops, which pick instructions too.
"""

from __future__ import annotations

import importlib
import itertools
import os
from dataclasses import dataclass
from importlib.util import find_spec

DISPATCH = "NPY_DISABLE_CPU_FEATURES"


@dataclass(frozen=True, slots=True)
class Kernel:
    """A value of OPENBLAS_CORETYPE. flags: of /proc/cpuinfo, what the processor must have for it; names:
    what the library may then say, as not every build has every kernel."""

    flags: frozenset[str]
    names: frozenset[str]


def _kernel(flags: str, names: str) -> Kernel:
    return Kernel(frozenset(flags.split()), frozenset(names.split()))


_512 = "avx512f avx512dq avx512bw avx512vl"
KERNELS = {
    "Prescott": _kernel("pni", "Prescott Katmai"),
    "Nehalem": _kernel("ssse3 sse4_1 sse4_2", "Nehalem"),
    "Sandybridge": _kernel("avx", "Sandybridge"),
    "Haswell": _kernel("avx2 fma", "Haswell"),
    "Zen": _kernel("avx2 fma", "Zen Haswell"),
    "SkylakeX": _kernel(_512, "SkylakeX"),
    "Cooperlake": _kernel(f"{_512} avx512_bf16", "Cooperlake SkylakeX"),
    "SapphireRapids": _kernel(f"{_512} avx512_bf16 amx_tile", "SapphireRapids Cooperlake SkylakeX"),
}


def processor_flags() -> set[str]:
    """What this processor can do, by the names of /proc/cpuinfo; empty if unknown."""
    try:
        with open("/proc/cpuinfo") as file:
            lines = [line for line in file if line.startswith("flags")]
        return set(lines[0].split(":")[1].split()) if lines else set()
    except OSError:
        return set()


def loops() -> tuple[list[str], list[str]]:
    """The instruction sets for which this NumPy has loops beside its plain ones: those that this
    processor has, and those that it lacks."""
    name = "numpy._core" if find_spec("numpy._core") else "numpy.core"  # NumPy 1
    inner = importlib.import_module(f"{name}._multiarray_umath")
    there = inner.__cpu_features__
    known: list[str] = list(inner.__cpu_dispatch__)
    return [n for n in known if there.get(n)], [n for n in known if not there.get(n)]


def settings(scale: str) -> list[dict[str, str]]:
    """Environments to try. PR: the one that is furthest from what a processor of today takes."""
    here, lacking = loops()
    plain = {DISPATCH: " ".join(here)} if here else {}
    if scale == "PR":
        return [{"OPENBLAS_CORETYPE": "Prescott", "OMP_NUM_THREADS": "2", **plain}]
    rows = [
        {"OPENBLAS_CORETYPE": kernel, "OMP_NUM_THREADS": threads}
        for kernel, threads in itertools.product(KERNELS, ("1", "2", "8"))
        if scale == "R" or threads != "8" or kernel in ("Prescott", "Haswell", "SapphireRapids")
    ]
    rows += [{DISPATCH: name} for name in (*here, *lacking)]
    rows += [{**plain, "OMP_NUM_THREADS": "3"}] if plain else []
    rows += [{"OPENBLAS_CORETYPE": kernel, **plain} for kernel in ("Prescott", "Sandybridge")]
    rows += [{"OPENBLAS_NUM_THREADS": count} for count in ("1", "2", "3", "8")]
    rows += [
        {"OPENBLAS_NUM_THREADS": "8", "OMP_NUM_THREADS": "3"},
        {"LC_ALL": "tr_TR.UTF-8", "TZ": "Pacific/Chatham", "PYTHONHASHSEED": "77"},
        {"PYTHONOPTIMIZE": "2", "OMP_NUM_THREADS": "2"},
        {"PYTHONMALLOC": "debug", "MALLOC_PERTURB_": "165"},  # fresh memory is not zero
    ]
    return rows


def missing(setting: dict[str, str]) -> str:
    """What this processor or NumPy lacks for a setting; libraries then quietly take less, or stop."""
    kernel = setting.get("OPENBLAS_CORETYPE")
    wanted: set[str] = set(KERNELS[kernel].flags) - processor_flags() if kernel else set()
    wanted |= set(setting.get(DISPATCH, "").split()) - set(loops()[0])
    return f"this processor has no {', '.join(sorted(wanted))}" if wanted else ""


def name_of(setting: dict[str, str]) -> str:
    """As it would be written before a command."""
    return " ".join(f"{k}='{v}'" if " " in v else f"{k}={v}" for k, v in setting.items())


def cores() -> int:
    """Those that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
