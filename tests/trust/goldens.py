"""Files of every release decode for ever: to their symbols, by two readers and two coders."""

from __future__ import annotations

import os
import subprocess

import numpy as np
import pytest

import sic_cli.codec.entropy
from sic_cli.codec.bitstream.reader import parse
from sic_cli.codec.decode import decode, decode_indices, file_engine
from tests.conftest import ROOT
from tests.reference import reader as reference
from tests.trust.campaign import Run, trial
from tests.trust.goldens_at_hand import bad, good, manifest
from tests.trust.identity import far_apart, worker


@trial("T15", "golden files of every version: symbols, step-size table, both readers agree", 1, 5)
def golden_files(run: Run) -> None:
    facts = manifest()["good"]
    for name, data in good("tiny" if run.scale == "PR" else "").items():
        parsed, other = parse(data), reference.read(data)
        machine = file_engine(parsed, "cpu")
        with run.case(f"{name}: the second reader"):
            rows = other["layers"]
            assert [r["end"] for r in rows] == list(parsed.ends)  # type: ignore[attr-defined]
            assert [r["digest"] for r in rows] == facts[name]["digests"]  # type: ignore[attr-defined]
        for level in range(parsed.level + 1):
            with run.case(f"{name}, level {level}"):
                _, reached, fault = decode_indices(machine, parsed, level)
                assert (reached, fault) == (level, None)
        with run.case(f"{name}: pixels"):
            made = decode(parsed)
            assert list(made.pixels.shape) == facts[name]["shape"]
            assert abs(float(made.pixels.mean()) - facts[name]["mean"]) < 0.5
    for name, data in bad().items():
        with run.case(f"{name}: the second reader finds as many levels as ours"):
            try:
                count = len(reference.read(data)["layers"])  # type: ignore[arg-type]
            except ValueError:
                count = 0
            try:
                assert len(parse(data).layers) == count
            except sic_cli.errors.SicError:
                assert count == 0


@trial("T15b", "the golden set only grows: since the first release no file is gone or changed", 5)
def add_only(run: Run) -> None:
    tags = _git("tag", "--list", "v[1-9]*", "--sort=creatordate")
    if not tags:
        run.not_run("no release is tagged here, and the promise begins with the first one")
        return
    folders = ("tests/golden/good", "tests/golden/bad")
    log = ("log", "--diff-filter=MDR", "--name-only", "--format=", f"{tags[0]}..", "--", *folders)
    with run.case(f"git history since {tags[0]}"):
        changed = _git(*log)
        assert not changed, f"changed or removed: {changed}"


def _git(*words: str) -> list[str]:
    """Words that a git command prints; none where there is no history."""
    done = subprocess.run(["git", *words], capture_output=True, text=True, cwd=ROOT)
    return done.stdout.split()


@trial("T13", "the coder without constriction reads and writes the same files", 4, 5)
def without_constriction(run: Run) -> None:
    files = good("tiny") if run.scale == "PR" else good()
    for name, data in files.items():
        parsed = parse(data)
        machine = file_engine(parsed, "cpu")
        want = decode_indices(machine, parsed, parsed.level)[0]
        with run.case(name), pytest.MonkeyPatch.context() as patch:
            patch.setattr(sic_cli.codec.entropy, "coder_name", lambda: "plain")
            got, level, fault = decode_indices(machine, parsed, parsed.level)
            assert (level, fault) == (parsed.level, None) and np.array_equal(got, want)


@trial("T13b", "other Pythons and NumPys: the same symbols, pixels within 1", 4, 5)
def other_versions(run: Run) -> None:
    """SIC_TRUST_PYTHONS names interpreters (os.pathsep between them) of other environments, as
    `make trust-release` builds them: the oldest supported NumPy and the newest."""
    named = [p for p in os.environ.get("SIC_TRUST_PYTHONS", "").split(os.pathsep) if p]
    if run.scale == "PR" or not named:
        run.not_run("other versions of Python and NumPy: SIC_TRUST_PYTHONS names none")
        return
    here = worker({"OMP_NUM_THREADS": "1"}, run.scale)
    for python in named:
        there = worker({"OMP_NUM_THREADS": "1"}, run.scale, python)
        versions = ", ".join(f"{k} {v}" for k, v in there["versions"].items())
        run.note(versions)
        for key in ("operations", "features", "symbols"):
            with run.case(f"{versions}: {key}"):
                assert there[key] == here[key]
        with run.case(f"{versions}: pixels"):
            most, share = far_apart(here["pixels"], there["pixels"])
            assert most <= 1 and share < 1e-3, (most, share)
