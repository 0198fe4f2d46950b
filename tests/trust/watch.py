"""A watch over NumPy: which floats its functions are given and give, and what operators write.

It takes the place of `np` in the modules of a path and passes everything on. Operators between arrays
(`total += part`) call no name of a module; the memory that the watch hands out (`np.empty`, `np.zeros`) is a
kind of array that tells it of them, and so is what comes of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

EXACT = 2**24
FRACTIONS = (128, 512)
"""Weights are divided by what their sums are divided by (`codec.inference.integer_network.scaled`). Below 2**24 of such parts
are exact."""
FRESH = {"empty", "empty_like", "zeros", "zeros_like"}
"""What gives memory: looked at when something has been written there."""


class Looked(np.ndarray):
    """Memory whose operators are seen, and that of all its parts."""

    watch: Watch

    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = (), **named: Any
    ) -> Any:
        name = f"operator {ufunc.__name__}"
        self.watch.look(name, inputs)
        if out:
            named["out"] = tuple(plain(o) for o in out)
        made = getattr(ufunc, method)(*(plain(i) for i in inputs), **named)
        self.watch.look(name, made)
        return out[0] if len(out) == 1 else self.watch.over(made)

    def __array_finalize__(self, origin: Any) -> None:
        if isinstance(origin, Looked):
            self.watch = origin.watch


def plain(value: Any) -> Any:
    """The same memory as an ordinary array."""
    return value.view(np.ndarray) if isinstance(value, Looked) else value


class Watch:
    """NumPy, for the modules on the path. Raises AssertionError for a float that float32 need not hold
    exactly, and for an array of floats of another kind.

    seen: numbers looked at; called: functions by name.
    """

    def __init__(self) -> None:
        self.seen = 0
        self.called: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        value = getattr(np, name)
        if isinstance(value, type) or not callable(value):
            return value  # types, constants
        return Call(self, name, value)

    def over(self, made: Any) -> Any:
        """The same floats as a kind of array whose operators are seen."""
        if isinstance(made, np.ndarray) and made.dtype.kind == "f" and made.ndim:
            made = made.view(Looked)
            made.watch = self
        return made

    def look(self, name: str, value: Any) -> None:
        """value: an argument or a result, or several in a row."""
        if isinstance(value, tuple | list):
            for one in value:
                self.look(name, one)
        elif isinstance(value, float | np.inexact) or (
            isinstance(value, np.ndarray) and value.dtype.kind not in "biu"
        ):
            self._check(name, np.asarray(plain(value)), type(value) is float)

    def _check(self, name: str, numbers: np.ndarray, of_python: bool) -> None:
        """of_python: a float that becomes what the array beside it is."""
        self.seen += numbers.size
        kind = numbers.dtype
        assert of_python or kind == np.float32, f"{name}: not float32 but {kind}"
        for parts in FRACTIONS:
            whole = numbers * kind.type(parts)
            if np.array_equal(whole, np.floor(whole)):
                break
        else:
            raise AssertionError(f"{name}: not whole")
        assert float(np.abs(whole).max(initial=0)) < EXACT, f"{name}: beyond 2**24"


@dataclass(frozen=True, slots=True)
class Call:
    """One function of NumPy under watch, with its methods (`np.add.reduce`)."""

    watch: Watch
    name: str
    function: Any

    def __getattr__(self, method: str) -> Any:
        return Call(self.watch, f"{self.name}.{method}", getattr(self.function, method))

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        watch = self.watch
        watch.called.add(self.name)
        written = arguments[:1] if self.name == "copyto" else ()
        watch.look(self.name, arguments[len(written) :])
        watch.look(self.name, [v for k, v in named.items() if k != "out"])
        made = self.function(*arguments, **named)
        if self.name not in FRESH:
            watch.look(self.name, (made, *written, named.get("out")))
        return watch.over(made)
