"""sic doctor finds what is wrong: packages, weights, arithmetic, symbols."""

from __future__ import annotations

import json
import re
import shutil
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from sic_cli.codec.bitstream.reader import parse
from sic_cli.codec.weights.card import ModelCard
from sic_cli.doctor import environment, selftest
from tests.cli.test_documents import documents
from tests.conftest import ROOT, run_main

GOOD = ROOT / "tests" / "golden" / "good"


def test_this_installation_is_well() -> None:
    got = run_main("doctor", "--json", "--self-test")
    (document,) = documents(got)
    assert got.code == 0 and document["ok"], got.err
    names = [check["name"] for check in document["checks"]]
    well = {check["name"] for check in document["checks"] if check["status"] == "ok"}
    assert {f"golden {one.name} on cpu" for one in selftest.golden()} <= well
    assert any(name.startswith("round trip tiny") for name in names)
    assert all(row["verified"] for row in document["models"])
    assert b"all is well" in run_main("doctor").out


def test_every_shipped_release_has_golden_files_in_the_package() -> None:
    shipped = [p.name for p in (ROOT / "weights").iterdir() if (p / "card.toml").is_file()]
    bundled = selftest.golden()
    for name in shipped:
        assert any(g.name.startswith(f"{name}-") for g in bundled), "python -m tests.golden.make"
    for one in bundled:
        assert one.data == (GOOD / one.name).read_bytes()
    assert sum(p.stat().st_size for p in selftest.GOLDEN.iterdir()) < 200_000


def test_what_is_needed_is_what_pyproject_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = {}
    for line in project["dependencies"]:
        match = re.match(r"([a-z0-9-]+)>=([0-9.]+)", line)
        assert match, line
        asked[match[1]] = match[2]
    optional = asked.keys() & environment.OPTIONAL.keys()
    assert optional == {"constriction"}
    assert {k: v for k, v in asked.items() if k not in optional} == environment.NEEDED


def test_missing_and_old_packages_are_reported_with_the_line_that_installs_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    have = {"jinja2": "3.1.5", "numpy": "2.0.0rc1", "click": "8.2"}
    monkeypatch.setattr(environment, "_version", have.get)
    found = {f.name: f for f in environment.packages()}
    assert found["jinja2"].status == "failed" and "older" in found["jinja2"].text
    assert found["torch"].status == "missing"
    assert found["numpy"].status == found["click"].status == "ok"
    assert found["pillow"].status == "failed"
    assert re.search(r'-m pip install "pillow>=[0-9.]+"$', found["pillow"].fix or "")
    assert found["constriction"].status == "missing"


def test_weights_that_are_damaged_or_no_weights_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(ROOT / "tests" / "weights" / "tiny", tmp_path / "tiny")
    (tmp_path / "tiny" / "model.safetensors").write_bytes(b"x")
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "card.toml").write_text("name = 3")
    monkeypatch.setattr(environment, "folders", lambda: [tmp_path])
    monkeypatch.setenv("SIC_MODEL_PATH", str(tmp_path))
    got = run_main("doctor", "--json")
    (document,) = documents(got)
    failed = [c["name"] for c in document["checks"] if c["status"] == "failed"]
    assert got.code == 1 and sorted(failed) == ["weights odd", "weights tiny"]
    monkeypatch.setattr(environment, "installed", lambda: [])
    got = run_main("doctor")
    assert got.code == 1 and b"no weights on this machine" in got.out


def test_a_shipped_release_that_is_gone_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else its golden files would not be tried, and all would seem well."""
    left = [card for card in environment.installed() if card.name != "sic-5"]
    monkeypatch.setattr(environment, "installed", lambda: left)
    got = run_main("doctor", "--json")
    (document,) = documents(got)
    failed = [c["name"] for c in document["checks"] if c["status"] == "failed"]
    assert got.code == 1 and failed == ["weights sic-5"]


def test_inexact_arithmetic_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    import sic_cli.codec.inference.integer_network as exact
    from sic_cli.errors import ResourceError

    def fails() -> None:
        raise ResourceError("this machine does not compute whole numbers exactly")

    monkeypatch.setattr(exact, "check_machine", fails)
    got = run_main("doctor")
    assert got.code == 1 and b"FAILED  arithmetic" in got.out and "arithmetic" in got.err


def tiny_golden(name: str) -> selftest.Golden:
    row = json.loads((ROOT / "tests/golden/manifest.json").read_text())["good"][name]
    data = (GOOD / name).read_bytes()
    return selftest.Golden(name, data, tuple(row["digests"]), tuple(row["shape"]), row["mean"])


def test_the_self_test_can_fail(tiny: ModelCard, monkeypatch: pytest.MonkeyPatch) -> None:
    good = tiny_golden("tiny-grey.sic")
    layers = parse(good.data)
    cases = {
        "ok": good,
        "manifest": replace(good, digests=(1, *good.digests[1:])),
        "mean": replace(good, mean=good.mean + 1),
        "shape": replace(good, shape=(1, 1)),
        "cut": replace(good, data=good.data[: layers.ends[2] - 1]),
    }
    for word, case in cases.items():
        monkeypatch.setattr(selftest, "golden", lambda case=case: [case])
        first, trip = selftest.run([tiny], ["cpu"])
        assert trip.status == "ok", trip
        assert (first.status == "ok") == (word == "ok") and word in first.status + first.text
