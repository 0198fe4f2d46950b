"""Each row of the table of exit codes, by the real `main`: how sic ends, whatever happens."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from sic_cli import errors
from sic_cli.cli import info
from tests.conftest import ROOT, run_main, run_process

FULL = Path("/dev/full")


@pytest.fixture
def sic_file(tmp_path: Path, coded: bytes) -> Path:
    path = tmp_path / "a.sic"
    path.write_bytes(coded)
    return path


def test_the_guide_lists_every_code_that_errors_have() -> None:
    text = (ROOT / "docs" / "guide.md").read_text(encoding="utf-8")
    kinds = [k for k in vars(errors).values() if isinstance(k, type) and hasattr(k, "exit_code")]
    assert len(kinds) >= 10
    for kind in kinds:
        assert f"\n| {kind.exit_code} |" in text, kind


@pytest.mark.parametrize(
    ("raised", "code", "words"),
    [
        (MemoryError(), 7, "out of memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), 7, "out of memory"),
        (type("OutOfMemoryError", (RuntimeError,), {})("CUDA"), 7, "out of memory"),
        (OSError(28, "No space left on device"), 9, "disk full"),
        (OSError(28, "No space left on device", "/x/y"), 9, "/x/y"),
        (OSError(5, "Input/output error", "/x/y"), 1, "/x/y"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (ZeroDivisionError("division by zero"), 1, "please report"),
        (errors.InputError("a"), 4, "[E-input]"),
        (errors.CorruptError("a"), 5, "[E-corrupt]"),
        (errors.VersionError("a"), 5, "[E-version]"),
        (errors.ModelError("a"), 6, "[E-model]"),
        (errors.ResourceError("a"), 7, "[E-resources]"),
        (errors.TargetError("a"), 8, "[E-target]"),
        (errors.OutputError("a"), 9, "[E-output]"),
        (errors.CheckError("a"), 11, "[E-check]"),
        (errors.SicError("a"), 1, "[E-failed]"),
        (errors.PartialError("a"), 3, "[W-truncated]"),
    ],
    ids=lambda v: type(v).__name__ if isinstance(v, BaseException) else None,
)
def test_what_is_raised_becomes_one_sentence_a_code_and_a_document(
    raised: BaseException, code: int, words: str, sic_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: str) -> None:
        raise raised

    monkeypatch.setattr(info, "outline", fails)
    got = run_main("info", "--json", str(sic_file))
    assert got.code == code and words in got.err and "Traceback" not in got.err
    assert len([x for x in got.err.splitlines() if x.strip() and "hint: " not in x]) == 1, got.err
    (document,) = [json.loads(line) for line in got.out.splitlines()]
    assert document["code"] == code and document["schema"] == "sic.info/1" and not document["ok"]


def test_sic_alone_shows_its_help_and_is_a_mistake() -> None:
    got = run_main()
    assert got.code == 2 and "Commands:" in got.err and got.out == b""


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full here")
@pytest.mark.parametrize(
    "words",
    [["info", "FILE"], ["info", "--json", "FILE"], ["info", "--json", "x"], ["schema", "info"]],
    ids=" ".join,
)
def test_a_full_disk_behind_stdout(words: list[str], sic_file: Path) -> None:
    with FULL.open("wb") as full:
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "sic_cli",
                *(str(sic_file) if w == "FILE" else w for w in words),
            ],
            stdout=full,
            stderr=subprocess.PIPE,
            cwd=ROOT,
            text=True,
        )
    assert done.returncode == 9, done.stderr
    assert done.stderr.startswith("sic: error: ") and "Exception ignored" not in done.stderr


def test_stdout_that_is_closed_from_the_start(sic_file: Path) -> None:
    command = f'"{sys.executable}" -m sic_cli info "{sic_file}" >&-'
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode in (0, 9) and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_while_reading(sent: signal.Signals, code: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", READS, "info", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
    )
    assert process.stdout is not None and process.stdout.readline() == b"reading\n"
    timer = threading.Timer(120, process.kill)
    timer.start()
    process.send_signal(sent)
    assert process.stderr is not None
    error = process.stderr.read().decode()
    timer.cancel()
    assert process.wait() == code and "Traceback" not in error
    assert process.stdin is not None
    process.stdin.close()
    process.stdout.close()
    process.stderr.close()


READS = """
import sys
import sic_cli.storage.access as access
from sic_cli.cli.main import main
real = access.read_input
def told(*words):
    print("reading", flush=True)
    return real(*words)
access.read_input = told
main(sys.argv[1:])
"""


def test_several_inputs_end_in_1_whatever_the_mix(sic_file: Path, tmp_path: Path) -> None:
    assert run_main("info", str(sic_file), "x").code == 1
    assert run_main("verify", "y", "x").code == 1
    assert run_main("verify", "y").code == 4


def test_exit_codes_of_a_process_are_those_of_main(sic_file: Path) -> None:
    bad = ROOT / "tests" / "golden" / "bad"
    for words, code in (
        (["info", str(sic_file)], 0),
        (["info"], 2),
        (["verify", str(bad / "cut-in-layer-3.sic")], 3),
        (["info", str(sic_file) + os.sep], 4),
        (["verify", str(bad / "damaged-header.sic")], 5),
        (["models", "show", "nonsense"], 6),
        (["verify", str(bad / "huge.sic")], 7),
        (["truncate", str(sic_file), "-o", "-", "-l", "9"], 8),
        (["truncate", str(sic_file), "-o", str(sic_file), "-l", "1", "-f"], 9),
        (["verify", "--deep", str(bad / "wrong-digest-3.sic")], 11),
    ):
        assert run_process(*words).code == code, words


@pytest.mark.parametrize("value", ["nan", "inf", "-0.1", "1.1", "much"])
def test_realism_is_a_number_from_0_to_1(value: str, sic_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.png"
    got = run_main("decode", str(sic_file), "-o", str(out), "--realism", value)
    assert got.code == 2 and "--realism" in got.err and not out.exists()
