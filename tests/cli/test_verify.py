"""sic verify: limits against the source, several devices, several inputs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sic_cli.codec.bitstream.reader import parse
from sic_cli.pipeline.verify import Limit, checksums, symbols
from tests.conftest import run_main


@pytest.fixture
def pair(tmp_path: Path, coded: bytes, picture: np.ndarray) -> tuple[str, str]:
    """A .sic file and the picture that it was made from."""
    (tmp_path / "a.sic").write_bytes(coded)
    Image.fromarray(picture).save(tmp_path / "a.png")
    return str(tmp_path / "a.sic"), str(tmp_path / "a.png")


def test_a_limit_holds_or_is_exit_code_11(pair: tuple[str, str]) -> None:
    file, source = pair
    got = run_main("verify", file, "--against", source, "--json", "--min", "psnr=1")
    facts = json.loads(got.out)
    assert got.code == 0 and facts["metrics"]["psnr_db"] > 15
    near = facts["metrics"]["psnr_db"]
    above = run_main("verify", file, "--against", source, "--min", f"psnr={near + 0.5}")
    assert above.code == 11 and "psnr" in above.err
    assert run_main("verify", file, "--against", source, "--max", f"psnr={near - 0.5}").code == 11
    assert run_main("verify", file, "--against", source).code == 0


def test_grey_files_are_measured_too(tmp_path: Path, picture: np.ndarray) -> None:
    source, file = str(tmp_path / "g.png"), str(tmp_path / "g.sic")
    Image.fromarray(picture[..., 0]).save(source)
    assert run_main("encode", "-m", "tiny", source, "-o", file).code == 0
    got = run_main("verify", file, "--against", source, "--min", "psnr=15")
    assert got.code == 0, got.err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["FILE", "--min", "psnr=3"], 2, "--against"),
        (["FILE", "--against", "SOURCE", "--min", "psnr=nan"], 2, "psnr=30"),
        (["FILE", "--against", "SOURCE", "--min", "psnr"], 2, "psnr=30"),
        (["FILE", "--against", "SOURCE", "--min", "beauty=3"], 2, "beauty"),
        (["FILE", "FILE", "--against", "SOURCE"], 2, "one INPUT"),
        (["-", "--against", "-"], 2, "standard input"),
        (["FILE", "--against", "missing.png"], 4, "missing.png"),
        (["FILE", "--against", "FILE"], 4, "a.sic"),
        (["FILE", "--against", "OTHER"], 4, "10x20"),
        (["FILE", "--device", "cpu,tpu"], 2, "cuda"),
        (["FILE", "--device", "cpu,cuda:7"], 7, "cuda:7"),
    ],
    ids=lambda v: " ".join(v) if isinstance(v, list) else None,
)
def test_mistakes(
    words: list[str], code: int, said: str, pair: tuple[str, str], tmp_path: Path
) -> None:
    Image.new("RGB", (10, 20)).save(tmp_path / "other.png")
    names = {"FILE": pair[0], "SOURCE": pair[1], "OTHER": str(tmp_path / "other.png")}
    got = run_main("verify", *(names.get(w, w) for w in words))
    assert got.code == code and said in got.err, got.err


def test_devices_that_agree_and_devices_that_do_not(
    coded: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same CPU twice stands for two devices; then one of them goes wrong."""
    parsed = parse(coded)
    found = checksums(parsed)
    symbols(parsed, "a", ["cpu", "auto"], 1, found)
    assert found.wrong is None and len(found.devices) == 2
    assert found.devices[0].latent_hash == found.devices[1].latent_hash

    import sic_cli.codec.decode as module

    real = module.decode_indices
    calls = []

    def slips(*words: object) -> object:
        indices, level, fault = real(*words)  # type: ignore[arg-type]
        calls.append(1)
        second = len(calls) == 3  # each device: once for symbols, once for pixels
        return (indices + 1 if second else indices), level, fault

    monkeypatch.setattr(module, "decode_indices", slips)
    found = checksums(parsed)
    symbols(parsed, "a", ["cpu", "auto"], 255, found)
    assert found.wrong and "other symbols" in found.wrong


def test_limits() -> None:
    assert Limit("psnr", 30, False).met(30) and not Limit("psnr", 30, False).met(29.9)
    assert Limit("lpips", 0.1, True).met(0.1) and not Limit("lpips", 0.1, True).met(0.2)
    assert not Limit("lpips", 0.1, True).met(None)


def test_the_name_of_a_file_whose_model_is_missing_is_reported() -> None:
    from tests.conftest import ROOT

    bad = ROOT / "tests" / "golden" / "bad" / "unknown-model.sic"
    got = run_main("verify", "--deep", str(bad))
    assert got.code == 6 and "unknown-model.sic" in got.err
