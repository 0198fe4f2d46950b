"""The command line as a user meets it: results, one-line errors, exit codes, nothing half-written."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sic_cli.codec.bitstream.reader import parse
from tests.conftest import ROOT, Outcome, run_main, run_process

GOLDEN = ROOT / "tests" / "golden"


@pytest.fixture
def photo(tmp_path: Path, picture: np.ndarray) -> Path:
    path = tmp_path / "photo.png"
    Image.fromarray(picture).save(path)
    return path


@pytest.fixture
def sic_file(tmp_path: Path, coded: bytes) -> Path:
    path = tmp_path / "file.sic"
    path.write_bytes(coded)
    return path


def refused(outcome: Outcome, code: int, *words: str) -> None:
    assert outcome.code == code, (outcome.code, outcome.err)
    lines = [line for line in outcome.err.splitlines() if not line.startswith("  hint: ")]
    assert len(lines) == 1 and lines[0].startswith("sic: error: "), outcome.err
    assert "Traceback" not in outcome.err
    for word in words:
        assert word in outcome.err, outcome.err


def noticed(outcome: Outcome, *words: str) -> None:
    """Exit code 3 and one notice."""
    assert outcome.code == 3 and outcome.err.startswith("sic: warning: "), outcome.err
    assert outcome.err.count("\n") == 1 and all(word in outcome.err for word in words)


def opened(path: Path) -> Image.Image:
    with Image.open(path) as image:
        image.load()
        return image.copy()


def leftovers(folder: Path) -> list[str]:
    return [p.name for p in folder.iterdir() if "part" in p.name]


def test_a_picture_goes_round(photo: Path, tmp_path: Path, picture: np.ndarray) -> None:
    out, back = tmp_path / "a.sic", tmp_path / "a.png"
    assert run_main("encode", "-m", "tiny", str(photo), "-o", str(out)).code == 0
    assert run_main("decode", str(out), "-o", str(back), "--level", "3").code == 0
    assert np.asarray(opened(back)).shape == picture.shape
    assert not leftovers(tmp_path)


def test_without_an_output_the_name_follows_the_input(photo: Path, tmp_path: Path) -> None:
    assert run_main("encode", "-m", "tiny", str(photo)).code == 0
    photo.unlink()
    assert run_main("decode", str(tmp_path / "photo.sic")).code == 0
    assert photo.exists()


def test_grey_and_profile_come_back(tmp_path: Path, picture: np.ndarray) -> None:
    source, out, back = tmp_path / "g.png", tmp_path / "g.sic", tmp_path / "b.png"
    Image.fromarray(picture[..., 0]).save(source, icc_profile=b"some profile")
    assert run_main("encode", "-m", "tiny", str(source), "-o", str(out)).code == 0
    assert run_main("decode", str(out), "-o", str(back)).code == 0
    image = opened(back)
    assert image.mode == "L" and image.info["icc_profile"] == b"some profile"
    stripped = tmp_path / "s.sic"
    assert (
        run_main(
            "encode", "-m", "tiny", str(source), "-o", str(stripped), "--metadata", "none"
        ).code
        == 0
    )
    assert b"some profile" not in stripped.read_bytes()


def test_truncate_takes_what_there_is_where_that_will_do(sic_file: Path, tmp_path: Path) -> None:
    whole = sic_file.read_bytes()
    ends = parse(whole).ends
    cut, source = tmp_path / "c.sic", tmp_path / "s.sic"
    broken = bytearray(whole)
    broken[ends[3] + 8] ^= 1
    wanted = str(len(ends))
    for data, level, code, said in (
        (whole[: ends[2]], 2, 8, "highest whole level is 2"),  # an honest file of two levels
        (whole[: ends[2] + 5], 2, 8, "highest whole level is 2"),  # cut inside the third
        (bytes(broken), 3, 5, "layer 4"),
    ):
        source.write_bytes(data)
        refused(run_main("truncate", str(source), "-o", str(cut), "-l", wanted), code, said)
        assert not cut.exists()
        got = run_main("truncate", str(source), "-o", str(cut), "-l", wanted, "--best-effort")
        assert got.code == 0 and f"is whole up to level {level}," in got.err, got.err
        assert "[W-target-best-effort]" in got.err and ("layer 4" in got.err) == (code == 5)
        assert cut.read_bytes() == whole[: ends[level]]
        cut.unlink()
    arguments = ("truncate", str(sic_file), "-o", str(cut), "--best-effort")
    assert run_main(*arguments, "-l", "1").err == ""
    refused(run_main(*arguments, "--target-size", "20", "-f"), 8, "smallest")


def test_truncate_is_encode_at_that_level_is_head(photo: Path, tmp_path: Path) -> None:
    whole, low, cut = (tmp_path / n for n in ("w.sic", "l.sic", "c.sic"))
    assert run_main("encode", "-m", "tiny", str(photo), "-o", str(whole)).code == 0
    assert run_main("encode", "-m", "tiny", str(photo), "-o", str(low), "-l", "2").code == 0
    assert run_main("truncate", str(whole), "-o", str(cut), "-l", "2").code == 0
    end = parse(whole.read_bytes()).ends[2]
    assert low.read_bytes() == cut.read_bytes() == whole.read_bytes()[:end]
    assert (
        run_main("truncate", str(whole), "-o", str(cut), "--target-size", str(end + 1), "-f").code
        == 0
    )
    assert cut.stat().st_size == end
    refused(
        run_main("truncate", str(whole), "-o", str(cut), "--target-size", "20", "-f"), 8, "smallest"
    )
    refused(
        run_main("truncate", str(low), "-o", str(cut), "-l", "3", "-f"),
        8,
        "highest whole level is 2",
    )
    refused(run_main("truncate", str(low), "-o", str(cut), "-f"), 2, "--level")
    assert cut.stat().st_size == end


def test_target_size_is_a_ceiling(photo: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.sic"
    assert (
        run_main("encode", "-m", "tiny", str(photo), "-o", str(out), "--target-size", "200").code
        == 0
    )
    assert 0 < out.stat().st_size <= 200
    refused(
        run_main(
            "encode", "-m", "tiny", str(photo), "-o", str(tmp_path / "b.sic"), "--target-size", "10"
        ),
        8,
    )
    assert not (tmp_path / "b.sic").exists()


def test_pipes(photo: Path, picture: np.ndarray) -> None:
    made = run_process("encode", "-m", "tiny", "-", "-o", "-", stdin=photo.read_bytes())
    cut = run_process("truncate", "-", "-o", "-", "-l", "2", stdin=made.out)
    back = run_process("decode", "-", "-o", "-", "--format", "ppm", stdin=cut.out)
    assert (made.code, cut.code, back.code) == (0, 0, 0) and made.out.startswith(cut.out)
    assert back.out.startswith(b"P6") and len(back.out) > picture.size


def test_info_shows_every_level(sic_file: Path, coded: bytes) -> None:
    printable = run_main("info", str(sic_file)).out.decode()
    facts = json.loads(run_main("info", "--json", str(sic_file)).out)
    assert [row["total_bytes"] for row in facts["levels"]] == list(parse(coded).ends)
    first, *rows = facts["levels"]
    assert first["level"] == 0 and first["expected_psnr_db"] is None
    assert facts["preview_bytes"] == first["total_bytes"] and "preview: the first" in printable
    assert all(row["expected_psnr_db"] > 10 for row in rows)
    assert facts["ok"] and facts["model"]["name"] == "tiny" and facts["file_bytes"] == len(coded)
    assert all(str(row["total_bytes"]) in printable for row in facts["levels"])


def test_a_cut_file_gives_its_best_level_and_exit_code_3(
    sic_file: Path, coded: bytes, tmp_path: Path
) -> None:
    ends, out = parse(coded).ends, tmp_path / "o.png"
    sic_file.write_bytes(coded[: ends[3] - 2])
    noticed(
        run_main("decode", str(sic_file), "-o", str(out)),
        "layer 3",
        f"byte {ends[3] - 2}",
        "wrote level 2",
    )
    assert out.exists()
    assert run_main("decode", str(sic_file), "-o", str(out), "-f", "-l", "1").code == 0
    refused(
        run_main("decode", str(sic_file), "-o", str(tmp_path / "p.png"), "--strict"), 5, "layer 3"
    )
    assert not (tmp_path / "p.png").exists()
    sic_file.write_bytes(coded[: ends[0] - 1])
    refused(run_main("decode", str(sic_file), "-o", str(tmp_path / "p.png")), 5, "no whole level")


@pytest.mark.parametrize("name", sorted(json.loads((GOLDEN / "manifest.json").read_text())["bad"]))
def test_bad_golden_files_end_in_their_exit_code(name: str, tmp_path: Path) -> None:
    want = json.loads((GOLDEN / "manifest.json").read_text())["bad"][name]
    got = run_main("decode", str(GOLDEN / "bad" / name), "-o", str(tmp_path / "o.png"))
    assert got.code == want, got.err
    assert (tmp_path / "o.png").exists() == (want in (0, 3)) and "Traceback" not in got.err


def test_verify_tells_whole_from_damaged(sic_file: Path, coded: bytes) -> None:
    assert run_main("verify", str(sic_file)).code == 0
    assert run_main("verify", "--deep", str(sic_file)).code == 0
    damaged = bytearray(coded)
    damaged[parse(coded).ends[2] + 14] ^= 1
    sic_file.write_bytes(damaged)
    noticed(run_main("verify", str(sic_file)), "layer 3")
    bad = GOLDEN / "bad" / "wrong-digest-3.sic"
    assert run_main("verify", str(bad)).code == 0
    refused(run_main("verify", "--deep", str(bad)), 11, "layer 3")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["encode", "MISSING", "-o", "OUT"], 4, ["No such file"]),
        (["encode", "FOLDER", "-o", "OUT"], 2, ["folder", "-r"]),
        (["encode", "EMPTY", "-o", "OUT"], 4, ["empty"]),
        (["encode", "TEXT", "-o", "OUT"], 4, ["not a picture"]),
        (["encode", "PHOTO", "-o", "NOWHERE/x.sic"], 9, ["no folder"]),
        (["encode", "-", "-o", "FOLDER"], 2, ["-o FILE"]),
        (["encode", "PHOTO", "-o", "TEXT/"], 9, ["exists"]),
        (["encode", "PHOTO", "-o", "PHOTO", "-f"], 9, ["input itself"]),
        (["encode", "PHOTO", "-o", "TEXT"], 9, ["exists"]),
        (["encode", "PHOTO", "-o", "OUT", "-m", "nonsense"], 6, ["nonsense", "tiny"]),
        (["encode", "PHOTO", "-o", "OUT", "-m", "tiny", "-l", "9"], 8, ["0 to 5"]),
        (["encode", "PHOTO", "-o", "OUT", "-l", "-1"], 2, ["--level"]),
        (["encode", "PHOTO", "-o", "OUT", "--device", "tpu"], 2, ["cuda"]),
        (["encode", "PHOTO", "-o", "OUT", "-m", "tiny", "--device", "cuda:7"], 7, ["cuda:7"]),
        (["encode", "PHOTO", "-o", "OUT", "--target-size", "many"], 2, ["size"]),
        (
            ["encode", "PHOTO", "-o", "OUT", "--target-size", "9k", "--target-bpp", "1"],
            2,
            ["exclude"],
        ),
        (["encode", "-", "-m", "tiny"], 2, ["-o"]),
        (["encode", ""], 4, ["empty name"]),
        (["encode", "/"], 2, ["not a file"]),
        (["decode", "SIC", "--format", "a/b"], 4, []),
        (["encode", "PHOTO", "-o", "OUT", "--target-bpp", "nan"], 2, ["nan"]),
        (["encode", "PHOTO", "-o", "OUT", "--device", "cuda:"], 2, ["cuda"]),
        (["encode", "PHOTO", "-o", "OUT", "-m", "a\nb"], 6, []),
        (["encode", "PHOTO", "-o", "OUT" + "x" * 300], 9, []),
        (["encode"], 2, ["INPUT"]),
        (["decode", "TEXT", "-o", "OUT"], 5, ["signature"]),
        (["decode", "SIC", "-o", "OUT.xyz"], 2, [".xyz"]),
        (["decode", "SIC", "-o", "OUT", "-l", "6"], 8, ["0 to 5"]),
        (["info", "MISSING"], 4, []),
        (["info", "TEXT"], 5, []),
        (["frobnicate"], 2, ["frobnicate"]),
        (["truncate", "SIC", "-o", "OUT", "-l", "1", "--target-size", "5"], 2, ["exclude"]),
    ],
    ids=lambda v: " ".join(v) if isinstance(v, list) else None,
)
def test_every_mistake_is_one_line_and_its_exit_code(
    arguments: list[str], code: int, words: list[str], photo: Path, sic_file: Path, tmp_path: Path
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty").touch()
    (tmp_path / "text.png").write_text("this is a text")
    names = {
        "PHOTO": photo,
        "SIC": sic_file,
        "OUT": tmp_path / "out",
        "TEXT": tmp_path / "text.png",
        "EMPTY": tmp_path / "empty",
        "FOLDER": tmp_path / "folder",
        "MISSING": tmp_path / "missing",
        "NOWHERE": tmp_path / "nowhere",
    }
    filled = []
    for word in arguments:
        head, sep, tail = word.partition("/") if "/" in word else word.partition(".")
        filled.append(str(names[head]) + sep + tail if head in names else word)
    before = {p: p.read_bytes() for p in tmp_path.iterdir() if p.is_file()}
    refused(run_main(*filled), code, *words)
    assert {p: p.read_bytes() for p in tmp_path.iterdir() if p.is_file()} == before


@pytest.mark.parametrize("level", ["-1", "65", "1.5", "top", "9" * 30])
def test_what_is_no_level_is_reported_with_those_there_are(
    photo: Path, sic_file: Path, tmp_path: Path, level: str
) -> None:
    for command, source, ends in (
        ("encode", photo, "5 the highest of tiny, or max"),
        ("decode", sic_file, "5 the highest of tiny, or max"),
        ("truncate", sic_file, "5 the highest of tiny"),
    ):
        got = run_main(command, str(source), "-o", str(tmp_path / "out"), f"--level={level}")
        refused(got, 2, f"'{level}' is not a level: 0 is a preview", ends)


def test_the_highest_level_has_a_name(photo: Path, tmp_path: Path, coded: bytes) -> None:
    made = tmp_path / "made.sic"
    assert run_main("encode", "-m", "tiny", str(photo), "-o", str(made), "-l", "max").code == 0
    assert made.read_bytes() == coded


def test_a_sic_file_with_the_name_of_a_picture_is_reported(
    photo: Path, sic_file: Path, tmp_path: Path
) -> None:
    named, cut = str(tmp_path / "z.PNG"), str(tmp_path / "z.jpg")
    got = run_main("encode", "-m", "tiny", str(photo), "-o", named)
    assert got.code == 0 and "z.PNG: gets a .sic file" in got.err and "[W-ext]" in got.err
    got = run_main("truncate", str(sic_file), "-o", cut, "-l", "1")
    assert got.code == 0 and "z.jpg: gets a .sic file" in got.err and "[W-ext]" in got.err
    got = run_main("decode", str(photo), "-o", str(tmp_path / "y.png"))
    refused(got, 5, "not a .sic file", "sic encode makes .sic files")


def test_a_folder_as_output_gets_a_file_of_the_inputs_name(photo: Path, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    for folder in (str(tmp_path / "here"), str(tmp_path / "new" / "deep") + "/"):
        assert run_main("encode", "-m", "tiny", str(photo), "-o", folder).code == 0
        assert (Path(folder) / photo.with_suffix(".sic").name).read_bytes()[:4] == b"\x89SIC"


def test_force_replaces_and_keeps_the_mode(photo: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.sic"
    out.write_text("old")
    out.chmod(0o640)
    assert run_main("encode", "-m", "tiny", str(photo), "-o", str(out), "--force").code == 0
    assert stat.S_IMODE(out.stat().st_mode) == 0o640 and out.read_bytes()[:4] == b"\x89SIC"


def test_a_device_stays_a_device(photo: Path) -> None:
    assert run_main("encode", "-m", "tiny", str(photo), "-o", "/dev/null").code == 0
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_an_output_error(photo: Path, tmp_path: Path) -> None:
    refused(run_main("encode", "-m", "tiny", str(photo), "-o", "/dev/full"), 9, "disk full")


def test_a_failed_write_leaves_the_old_file(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "a.sic"
    out.write_text("old")

    def fails(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fails)
    refused(run_main("encode", "-m", "tiny", str(photo), "-o", str(out), "-f"), 9, "disk full")
    assert out.read_text() == "old" and not leftovers(tmp_path)


@pytest.mark.parametrize("command", [["decode", "FILE", "-o", "-"], ["info", "FILE"], ["--help"]])
def test_a_closed_pipe_ends_quietly(command: list[str], sic_file: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "sic_cli", *(str(sic_file) if w == "FILE" else w for w in command)],
        stdout=write,
        stderr=subprocess.PIPE,
        cwd=ROOT,
    )
    os.close(write)
    assert done.returncode == 141 and done.stderr == b""


SLOW_WRITE = """
import os, sys, time
from sic_cli.cli.main import main
def stuck(handle):
    print("writing", flush=True)
    time.sleep(30)
os.fsync = stuck
main(sys.argv[1:])
"""


@pytest.mark.parametrize(
    ("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_while_writing_leaves_the_old_file(
    sent: signal.Signals, code: int, sic_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "o.sic"
    out.write_text("old")
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            SLOW_WRITE,
            "truncate",
            str(sic_file),
            "-o",
            str(out),
            "-l",
            "1",
            "-f",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
    )
    assert process.stdout is not None and process.stdout.readline() == b"writing\n"
    assert leftovers(tmp_path)
    process.send_signal(sent)
    error = process.communicate(timeout=60)[1].decode()
    assert process.returncode == code and "Traceback" not in error
    assert not leftovers(tmp_path) and out.read_text() == "old"


def test_the_same_command_gives_the_same_bytes_in_another_process(
    photo: Path, tmp_path: Path
) -> None:
    outs = []
    for threads in ("1", "2"):
        made = run_process("encode", "-m", "tiny", str(photo), "-o", "-", "--threads", threads)
        assert made.code == 0
        outs.append(made.out)
    assert outs[0] == outs[1]


def test_help_of_every_command_has_examples_or_options() -> None:
    for name in ("encode", "decode", "truncate", "info", "verify", "models", "train"):
        got = run_main(name, "--help")
        assert got.code == 0 and b"Usage: sic" in got.out
