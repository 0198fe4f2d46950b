"""What --json prints follows the schemas that `sic schema` prints, of failures too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from PIL import Image

from sic_cli import schemas
from sic_cli.cli.main import COMMANDS, cli
from sic_cli.codec.bitstream.reader import parse
from tests.conftest import ROOT, Outcome, run_main
from tests.usage import commands

GOLDEN = ROOT / "tests" / "golden"
SHORT = "compare config decode doctor encode eval-summary eval info models summary truncate verify"
NAMES = [f"sic.{name}/1" for name in SHORT.split(" ")]


def documents(got: Outcome) -> list[dict[str, Any]]:
    """Every line of stdout, each valid by its schema."""
    found = [json.loads(line) for line in got.out.decode().splitlines()]
    for document in found:
        validate(document)
    return found


def validate(document: dict[str, Any]) -> None:
    """Raise unless a document follows the schema that it names."""
    schema = schemas.load(document["schema"])
    jsonschema.Draft202012Validator(schema).validate(document)
    assert document["ok"] == (document["code"] == 0)
    told = document["code"] in (0, 3) or document["schema"] == "sic.summary/1"
    assert document["error"] is not None or told


@pytest.fixture
def files(tmp_path: Path, coded: bytes) -> dict[str, str]:
    """By name: a whole file, one that is cut, one of which level 3 is damaged, none."""
    ends = parse(coded).ends
    cases = {
        "whole": coded,
        "cut": coded[: ends[2] - 1],
        "nothing": coded[: ends[0] - 1],
        "text": b"this is a text",
    }
    for name, data in cases.items():
        (tmp_path / f"{name}.sic").write_bytes(data)
    return {name: str(tmp_path / f"{name}.sic") for name in (*cases, "missing")}


def test_every_schema_is_valid_and_printed() -> None:
    assert schemas.names() == NAMES
    for name in NAMES:
        printed = json.loads(run_main("schema", name).out)
        jsonschema.Draft202012Validator.check_schema(printed)
        assert name in run_main("schema").out.decode()
        assert set(printed["required"]) <= set(printed["properties"])
    short = name.removeprefix("sic.").removesuffix("/1")
    assert run_main("schema", short).out == run_main("schema", name).out
    refused = run_main("schema", "nonsense")
    assert refused.code == 2 and "verify" in refused.err


def test_a_document_without_a_key_is_not_valid(files: dict[str, str]) -> None:
    (document,) = documents(run_main("info", "--json", files["whole"]))
    del document["levels"]
    with pytest.raises(jsonschema.ValidationError):
        validate(document)


@pytest.mark.parametrize(
    ("command", "name", "code"),
    [
        ("info", "whole", 0),
        ("info", "cut", 0),
        ("info", "nothing", 5),
        ("info", "text", 5),
        ("info", "missing", 4),
        ("verify", "whole", 0),
        ("verify --deep", "whole", 0),
        ("verify", "cut", 3),
        ("verify --deep", "cut", 3),
        ("verify", "nothing", 5),
        ("verify", "text", 5),
        ("verify", "missing", 4),
    ],
)
def test_info_and_verify_state_the_code_they_exit_with(
    command: str, name: str, code: int, files: dict[str, str]
) -> None:
    got = run_main(*command.split(), "--json", files[name])
    (document,) = documents(got)
    assert got.code == document["code"] == code
    assert document["schema"] == f"sic.{command.split()[0]}/1" and document["input"] == files[name]
    if code:
        assert document["error"]["text"] in got.err
    elif command == "info":
        assert document["levels"] and document["model"]["name"] == "tiny"


def test_several_inputs_give_a_line_each_and_a_summary(files: dict[str, str]) -> None:
    names = ["whole", "missing", "cut", "nothing"]
    for command in ("info", "verify"):
        got = run_main(command, "--json", *(files[n] for n in names))
        *each, last = documents(got)
        assert got.code == last["code"] == 1 and last["schema"] == "sic.summary/1"
        assert [d["input"] for d in each] == [files[n] for n in names]
        assert last["failed"] == sum(not d["ok"] for d in each) and last["first_error_code"] == 4
    assert run_main("verify", files["whole"], files["cut"]).code == 3
    assert run_main("verify", files["whole"], files["whole"]).code == 0


def test_symbols_that_differ_are_reported(tmp_path: Path) -> None:
    bad = str(GOLDEN / "bad" / "wrong-digest-3.sic")
    got = run_main("verify", "--deep", "--json", bad)
    (document,) = documents(got)
    assert got.code == document["code"] == 11 and document["last_good_level"] == 2
    assert "layer 3" in document["error"]["text"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["models"],
        ["models", "list"],
        ["models", "show", "tiny"],
        ["models", "verify", "tiny"],
        ["config", "show"],
        ["config", "show", "--all"],
        ["config", "get", "device"],
        ["config", "path"],
    ],
    ids=" ".join,
)
def test_commands_that_look_around(arguments: list[str]) -> None:
    got = run_main(*arguments, "--json")
    (document,) = documents(got)
    assert got.code == 0 and document["schema"] == f"sic.{arguments[0]}/1"


@pytest.mark.parametrize(
    ("arguments", "code", "schema"),
    [
        (["info"], 2, "sic.info/1"),
        (["verify", "--bogus", "x.sic"], 2, "sic.verify/1"),
        (["models", "show", "nonsense"], 6, "sic.models/1"),
        (["models", "import", "nowhere"], 4, "sic.models/1"),
        (["config", "get", "nonsense"], 2, "sic.config/1"),
        (["doctor", "--self-tset"], 2, "sic.doctor/1"),
        (["verify", "x.sic", "--min", "psnr=30"], 2, "sic.verify/1"),
    ],
    ids=lambda v: " ".join(v) if isinstance(v, list) else str(v),
)
def test_a_command_that_fails_early_still_prints_a_document(
    arguments: list[str], code: int, schema: str
) -> None:
    got = run_main(*arguments, "--json")
    (document,) = documents(got)
    assert (got.code, document["code"], document["schema"]) == (code, code, schema)
    assert document["error"]["text"] in got.err


def test_a_file_called_json_does_not_ask_for_json() -> None:
    assert run_main("info", "--", "--json").out == b""


def test_names_that_are_no_utf8_do_not_break_the_line(tmp_path: Path, coded: bytes) -> None:
    name = str(tmp_path) + "/\udcff\n.sic"
    Path(name).write_bytes(coded)
    (document,) = documents(run_main("info", "--json", name))
    assert document["ok"] and "\\xff" in document["input"]


def test_every_command_with_json_has_a_schema() -> None:
    for words, command, _ in commands():
        if any(p.name == "as_json" for p in command.params):
            assert f"sic.{words.split()[1]}/1" in NAMES, words
    assert set(cli.list_commands(None)) == set(COMMANDS)  # type: ignore[arg-type]


@pytest.fixture
def photo(tmp_path: Path, picture: np.ndarray) -> str:
    Image.fromarray(picture).save(tmp_path / "photo.png")
    return str(tmp_path / "photo.png")


def test_commands_that_make_files_print_what_their_schemas_say(photo: str, tmp_path: Path) -> None:
    file, cut, back = (str(tmp_path / n) for n in ("a.sic", "cut.sic", "b.png"))
    for words in (
        ["encode", "-m", "tiny", photo, "-o", file, "--target", "psnr=10"],
        ["truncate", file, "-o", cut, "-l", "1"],
        ["decode", cut, "-o", back],
        ["compare", photo, file, back, "--metrics", "psnr"],
        ["encode", "-n", photo, "-o", str(tmp_path / "c.sic")],
    ):
        got = run_main(*words, "--json")
        (document,) = documents(got)
        assert got.code == 0 and document["schema"] == f"sic.{words[0]}/1", got.err


def test_folders_print_a_line_a_file_and_a_summary(photo: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    Path(photo).rename(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "b.png").write_text("no picture")
    got = run_main(
        "encode", "-m", "tiny", "-r", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--json"
    )
    *each, last = documents(got)
    assert [d["code"] for d in each] == [0, 4] and last["schema"] == "sic.summary/1"
    assert got.code == last["code"] == 1 and last["first_error_code"] == 4


def test_eval_prints_rows_and_a_summary(photo: str, tmp_path: Path) -> None:
    words = ["-m", "tiny", "--codecs", "sic", "--levels", "1,5", "--metrics", "psnr", "--json"]
    got = run_main("eval", photo, "-o", str(tmp_path / "report"), *words)
    assert got.code == 0, got.err
    found = [d["schema"] for d in documents(got)]
    assert found == ["sic.eval/1", "sic.eval/1", "sic.eval-summary/1"]


@pytest.mark.parametrize("command", ["encode", "decode", "truncate", "eval", "compare"])
def test_one_document_also_where_these_fail(command: str, tmp_path: Path, photo: str) -> None:
    missing = str(tmp_path / "missing")
    extra = ["-l", "1"] if command == "truncate" else []
    inputs = [missing, photo] if command == "compare" else [missing]
    output = [] if command == "compare" else ["-o", str(tmp_path / "out")]
    got = run_main(command, *inputs, *output, *extra, "--json")
    (document,) = documents(got)
    assert got.code == document["code"] == 4 and document["schema"] == f"sic.{command}/1"
    (document,) = documents(run_main(command, "--nonsense", "--json"))
    assert document["code"] == 2


def test_a_cut_file_is_decoded_with_code_3(files: dict[str, str], tmp_path: Path) -> None:
    got = run_main("decode", files["cut"], "-o", str(tmp_path / "a.png"), "--json")
    (document,) = documents(got)
    assert got.code == document["code"] == 3 and document["warnings"][0]["code"] == "W-truncated"
