"""A put that must not replace: stores that know no exclusive write are asked first; faults are reported."""

from __future__ import annotations

from typing import Any

import pytest

from sic_cli.errors import OutputError
from sic_cli.storage import store


class Store:
    """Refuses the mode `create` as some stores do; `broken` fails at every put."""

    def __init__(self, refusal: Exception, there: bool = False, broken: bool = False) -> None:
        self.refusal, self.there, self.broken = refusal, there, broken
        self.put: list[bytes] = []

    def exists(self, path: str) -> bool:
        return self.there

    def pipe_file(self, path: str, data: bytes, mode: str = "overwrite") -> None:
        if mode == "create" or self.broken:
            raise self.refusal
        self.put.append(data)


def placed(system: Store, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(store, "_place", lambda url: (system, "bucket/a.sic"))
    return "s3://bucket/a.sic"


REFUSALS: tuple[Any, ...] = (NotImplementedError("File mode not supported"), ValueError("mode xb"))


@pytest.mark.parametrize("refusal", REFUSALS, ids=repr)
def test_without_an_exclusive_write_it_asks_and_puts(
    refusal: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = Store(refusal)
    store.put(placed(system, monkeypatch), b"one", replace=False)
    assert system.put == [b"one"]


@pytest.mark.parametrize("refusal", REFUSALS, ids=repr)
def test_without_an_exclusive_write_what_is_there_stays(
    refusal: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = Store(refusal, there=True)
    with pytest.raises(store.Exists):
        store.put(placed(system, monkeypatch), b"one", replace=False)
    assert not system.put


def test_a_fault_of_another_kind_is_not_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    system = Store(ValueError("this store is broken"), broken=True)
    with pytest.raises(OutputError, match="this store is broken"):
        store.put(placed(system, monkeypatch), b"one", replace=False)
