"""Bands: the same floats whatever the number of threads, and nothing lost where they meet."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator

import numpy as np
import pytest
import threadpoolctl

from sic_cli.codec.inference import parallel
from sic_cli.codec.inference.convolution import convolved, kernel
from sic_cli.codec.inference.parallel import set_threads, thread_team


@pytest.fixture(autouse=True)
def as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(parallel, "_CHOSEN", 0)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    yield


def library_threads() -> set[int]:
    """Of the libraries that were there when sic first looked: what others load later is theirs."""
    info = parallel._libraries().info()
    return {row["num_threads"] for row in info if row["user_api"] == "blas"}


@pytest.mark.parametrize(
    ("rows", "across", "count"), [(31, 40, 1), (32, 33, 2), (67, 20, 4), (9000, 1, 16), (25, 25, 1)]
)
def test_a_picture_is_cut_by_its_size_alone(rows: int, across: int, count: int) -> None:
    parts = parallel.bands(rows, across)
    assert len(parts) == count
    assert [row for part in parts for row in range(rows)[part]] == list(range(rows))


def test_the_number_of_threads_changes_no_bit() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((70, 40, 64)).astype(np.float32)
    by, made = kernel(rng.standard_normal((64, 64, 3, 3)).astype(np.float32)), []
    for threads in (1, 2, 5):
        out = np.empty_like(x)

        def work(rows: slice, out: np.ndarray = out) -> None:
            for block, h in convolved(x, by, rows):
                out[block] = h.reshape(-1, 40, 64)

        with thread_team(threads) as each:
            each(work, parallel.bands(70, 40))
        made.append(out.tobytes())
    assert made[0] == made[1] == made[2]


def test_the_library_uses_one_thread_inside_and_what_it_did_outside() -> None:
    with threadpoolctl.threadpool_limits(2, "blas"):
        before = library_threads()
        with thread_team(3):
            assert library_threads() == {1}
        assert library_threads() == before
        with pytest.raises(ZeroDivisionError), thread_team(2) as each:
            each(lambda rows: print(1 // 0), [slice(0, 1), slice(1, 2)])
        assert library_threads() == before


def test_who_says_how_many_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    own = parallel.threads()
    assert own >= 1
    for text, count in (("3", 3), ("5,2", 5), ("", own), ("0", own), ("many", own)):
        monkeypatch.setenv("OMP_NUM_THREADS", text)
        assert parallel.threads() == count, text
    set_threads(2)
    assert parallel.threads() == 2
    if "torch" in sys.modules:
        assert sys.modules["torch"].get_num_threads() == 2
    sys.modules["torch"].set_num_threads(1) if "torch" in sys.modules else None


def test_a_host_thread_that_has_the_say_is_overruled_inside() -> None:
    """threadpoolctl lets one thread at a time say how many OpenBLAS uses."""
    found, ready, done = [], threading.Event(), threading.Event()

    def host() -> None:
        with threadpoolctl.threadpool_limits(2, "blas"):
            ready.set()
            done.wait()

    other = threading.Thread(target=host)
    other.start()
    ready.wait()
    try:
        before = library_threads()
        with thread_team(1):
            found.append(library_threads())
        found.append(library_threads())
    finally:
        done.set()
        other.join()
    assert found == [{1}, before]


def test_nothing_is_left_behind_by_a_number_that_was_taken_back() -> None:
    own = parallel.threads()
    set_threads(own + 3)
    set_threads(0)
    assert parallel.threads() == own
    sys.modules["torch"].set_num_threads(1) if "torch" in sys.modules else None
