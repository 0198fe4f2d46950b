"""Every door of the library on broken files: nothing but our errors comes out, and doors agree."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

import sic_cli
import sic_cli.pillow
from sic_cli.errors import SicError
from tests.trust.campaign import Run, trial
from tests.trust.damage import blow
from tests.trust.forge import mutate, taken_apart
from tests.trust.goldens_at_hand import good

DOORS: dict[str, Callable[[bytes], Any]] = {
    "info": sic_cli.info,
    "verify": sic_cli.verify,
    "verify deep": lambda data: sic_cli.verify(data, deep=True, devices=["cpu"]),
    "truncate to a level": lambda data: sic_cli.truncate(data, level=2),
    "truncate to a size": lambda data: sic_cli.truncate(data, target_size=300),
    "decode": lambda data: sic_cli.decode(data, device="cpu"),
    "decode strictly": lambda data: sic_cli.decode(data, device="cpu", strict=True),
    "decode a sample": lambda data: sic_cli.decode(data, device="cpu", details="sample", seed=1),
    "decode levels": lambda data: list(sic_cli.decode_levels(data, device="cpu")),
    "encode": lambda data: sic_cli.encode(data, model="tiny", device="cpu"),
}
MOST_PIXELS = 1 << 18
"""Larger pictures are left to T10 and T19: their time follows the declared size."""


def _broken(whole: bytes, rng: np.random.Generator, index: int) -> bytes:
    """Damage by chance, changed fields under right checksums, or rubbish behind a true beginning."""
    if index % 3 == 0:
        return blow(whole, rng)[0]
    if index % 3 == 1:
        forgery = taken_apart(whole)
        for _ in range(int(rng.integers(1, 5))):
            mutate(forgery, rng)
        return forgery.data()
    return whole[: int(rng.integers(0, len(whole)))] + rng.bytes(int(rng.integers(0, 200)))


def _too_large(data: bytes) -> bool:
    try:
        found = sic_cli.info(data)
    except SicError:
        return False
    return found.width * found.height > MOST_PIXELS


def _ended(door: Callable[[bytes], Any], data: bytes) -> Any:
    """What a door gives, or our error; anything else leaves as it came."""
    try:
        return door(data)
    except SicError as error:
        assert 2 <= error.exit_code <= 11 and str(error) and "\n" not in str(error), repr(error)
        return error


@trial("T4b", "every public function and Pillow end broken files in our errors, and agree", 3, 6)
def doors(run: Run) -> None:
    files = list(good("tiny").values())
    for index in range(run.times(60, 3000, 100_000)):
        data = _broken(files[index % len(files)], run.rng, index)
        large = True
        with run.case(f"size, file {index}"):
            large = _too_large(data)
        if large:
            continue
        ends = {}
        for name, door in DOORS.items():
            with run.case(f"{name}, file {index}"):
                ends[name] = _ended(door, data)
        with run.case(f"Pillow, file {index}"):
            _by_pillow(data)
        with run.case(f"the doors agree on file {index}"):
            strict = not isinstance(ends["decode strictly"], SicError)
            deep = ends["verify deep"]
            assert not isinstance(deep, SicError) or not strict
            if not isinstance(deep, SicError) and deep.ok:
                assert strict, "verified as whole, and not decoded"
            printable = ends["decode"]
            if strict:
                assert printable.tobytes() == ends["decode strictly"].tobytes()
                assert "sic_fault" not in printable.info
            if not isinstance(printable, SicError):
                assert printable.info["sic_level"] == deep.last_good_level
                several = ends["decode levels"]  # from level 1 on: level 0 is a preview
                assert len(several) == deep.last_good_level
                if several:
                    assert printable.tobytes() == several[-1][1].tobytes()


def _by_pillow(data: bytes) -> None:
    """Pillow's own readers raise OSError for whatever is wrong with a file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(data), formats=["SIC"]) as picture:
                picture.load()
        except OSError:
            pass
