"""Who may import whom, and what the quick commands must not import: package.md's tables as tests."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

PACKAGE = ROOT / "sic_cli"
ROOMS = {
    "errors": (set(), set()),
    "extras": (set(), set()),
    "files": ({"errors"}, set()),
    "remote": ({"errors", "files", "bitstream"}, {"fsspec"}),
    "batch": (
        {"errors", "files", "documents", "remote", "many", "memory"},
        {"pathspec", "distributed", "dask"},
    ),
    "tasks": (
        {
            *("errors", "files", "remote", "batch", "bitstream", "convert", "codec", "release"),
            *("picture", "limits", "model", "search"),
        },
        set(),
    ),
    "cut": ({"errors", "files", "batch", "bitstream"}, set()),
    "many": ({"errors", "remote", "batch", "convert", "release", "picture", "tasks"}, set()),
    "limits": ({"errors", "bitstream", "memory"}, set()),
    "memory": (set(), set()),
    "places": (set(), {"platformdirs"}),
    "schemas": ({"errors"}, set()),
    "bitstream": ({"errors"}, set()),
    "entropy": ({"errors"}, {"numpy", "constriction"}),
    "cells": ({"errors"}, {"numpy"}),
    "picture": ({"errors"}, {"numpy", "PIL"}),
    "model": ({"errors", "cells"}, {"torch", "numpy", "threadpoolctl"}),
    "search": ({"errors", "cells", "entropy", "model"}, {"numpy"}),
    "release": ({"errors", "cells", "model", "files", "places"}, {"numpy", "safetensors"}),
    "codec": (
        {
            *("errors", "extras", "picture", "model", "cells", "entropy", "bitstream", "release"),
            "search",
        },
        {"numpy", "torch"},
    ),
    "documents": ({"errors"}, set()),
    "targets": ({"errors", "bitstream", "codec", "measure"}, {"numpy"}),
    "facts": ({"errors", "files", "remote", "bitstream", "convert", "release"}, set()),
    "api": (
        {
            *("errors", "files", "bitstream", "convert", "facts", "limits", "picture", "targets"),
            *("codec", "model"),
        },
        {"numpy", "PIL"},
    ),
    "pillow": (
        {"errors", "bitstream", "carry", "convert", "limits", "picture", "api"},
        {"PIL"},
    ),
    "carry": ({"errors", "bitstream", "picture"}, {"numpy"}),
    "convert": (
        {
            *("errors", "bitstream", "picture", "codec", "release", "carry", "targets", "limits"),
            "search",
        },
        {"numpy"},
    ),
    "measure": ({"errors", "extras", "picture"}, {"numpy", "torch", "lpips", "safetensors", "PIL"}),
    "evaluation": (
        {
            *("errors", "files", "remote", "batch", "documents", "bitstream", "picture", "codec"),
            *("release", "measure"),
        },
        {"numpy", "PIL"},
    ),
    "html": (
        {
            *("errors", "files", "bitstream", "picture", "codec", "convert", "measure"),
            "evaluation",
        },
        {"jinja2", "markupsafe", "numpy", "PIL"},
    ),
    "verification": (
        {"errors", "bitstream", "convert", "facts", "measure", "picture"},
        {"numpy"},
    ),
    "doctor": (
        {"errors", "extras", "bitstream", "picture", "codec", "release", "model", "measure"},
        {"torch"},
    ),
    "train": (
        {"errors", "files", "cells", "model", "entropy", "codec", "release", "picture"},
        {"numpy", "torch", "PIL", "safetensors"},
    ),
}
"""Room -> (rooms it may import, packages beside the standard library)."""

LIGHT = {  # files that the quick commands load: the standard library alone
    "model/config.py",
    "picture/choices.py",
    "evaluation/rows.py",
    "measure/names.py",
    "release/card.py",
    "release/digest.py",
    "release/locate.py",
    "release/pinned.py",
    "release/add.py",
}


def imports_of(path: Path) -> tuple[set[str], set[str]]:
    """(rooms of the package, other top-level packages) that a file imports, at any depth."""
    rooms, others = set(), set()
    depth = len(path.relative_to(PACKAGE).parts)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            others |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            if node.level == 0:
                others.add((node.module or "").split(".")[0])
            elif node.level == depth:
                names = [node.module] if node.module else [n.name for n in node.names]
                rooms |= {n.split(".")[0] for n in names if n and not n.startswith("__")}
    return rooms, others - set(sys.stdlib_module_names)


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: str(p.relative_to(PACKAGE))
)
def test_rooms_import_only_what_they_may(path: Path) -> None:
    room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if room in ("cli", "__init__", "__main__"):
        return
    rooms, others = imports_of(path)
    allowed_rooms, allowed_others = ROOMS[room]
    assert rooms <= allowed_rooms | {room}, rooms
    assert others <= allowed_others, others
    if str(path.relative_to(PACKAGE)) in LIGHT:
        assert not others


def test_constriction_is_imported_in_one_place() -> None:
    users = [p.name for p in PACKAGE.rglob("*.py") if "constriction" in imports_of(p)[1]]
    assert sorted(users) == [
        "__init__.py",
        "range_coder.py",
    ]  # the first only looks whether it is there


TORCH = {  # training, CUDA and metrics; nothing that a CPU codes with
    *("model/block.py", "model/codec_model.py", "model/context.py", "model/on_gpu.py"),
    *("model/transforms.py", "codec/engine.py", "codec/information.py", "doctor/environment.py"),
}


def test_torch_is_for_training_cuda_and_metrics() -> None:
    users = {
        str(p.relative_to(PACKAGE)) for p in PACKAGE.rglob("*.py") if "torch" in imports_of(p)[1]
    }
    assert {name for name in users if not name.startswith(("train/", "measure/"))} == TORCH


@pytest.mark.parametrize("command", ["encode", "decode"])
def test_a_cpu_codes_without_torch(command: str, coded: bytes, tmp_path: Path) -> None:
    picture, out = ROOT / "tests" / "pictures" / "parrots.png", tmp_path / "out.png"
    (tmp_path / "a.sic").write_bytes(coded)
    arguments = {
        "encode": ["encode", str(picture), "-m", "tiny", "-o", str(tmp_path / "b.sic")],
        "decode": ["decode", str(tmp_path / "a.sic"), "-o", str(out)],
    }[command]
    code = (
        "import sys\nsys.modules['torch'] = None\nfrom sic_cli.cli.main import main\n"
        f"try:\n    main({arguments!r})\nexcept SystemExit as e:\n    assert not e.code, e.code\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["encode", "--help"],
        ["eval", "--help"],
        ["compare", "--help"],
        ["report", "--help"],
        ["models"],
        ["models", "verify", "--json"],
        ["config", "show", "--all"],
        ["completion", "zsh"],
        ["schema", "info"],
        ["info", "FILE"],
        ["info", "--json", "FILE"],
        ["encode", "-n", "-r", "FOLDER", "-o", "OUT"],
        ["decode", "-n", "FILE", "-o", "OUT"],
        ["truncate", "FILE", "-l", "2", "-o", "OUT"],
        ["verify", "FILE"],
    ],
    ids=" ".join,
)
def test_quick_commands_import_neither_torch_nor_numpy_nor_pillow(
    arguments: list[str], coded: bytes, tmp_path: Path
) -> None:
    (tmp_path / "a.sic").write_bytes(coded)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.png").touch()
    names = {
        "FOLDER": str(tmp_path / "folder"),
        "FILE": str(tmp_path / "a.sic"),
        "OUT": str(tmp_path / "b.sic"),
    }
    code = (
        "import sys\nfrom sic_cli.cli.main import main\n"
        f"try:\n    main({[names.get(a, a) for a in arguments]!r})\n"
        "except SystemExit as e:\n    assert not e.code, e.code\n"
        "heavy = {'torch', 'numpy', 'PIL', 'constriction', 'safetensors', 'fsspec', 'distributed'}\n"
        "heavy &= set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def test_nothing_unpickles_or_evaluates() -> None:
    """No pickle, no torch.load, no eval in the package."""
    for path in PACKAGE.rglob("*.py"):
        tree = ast.parse(path.read_text())
        imported = {n.name for n in ast.walk(tree) if isinstance(n, ast.alias)}
        imported |= {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
        assert not imported & {"pickle", "marshal", "shelve", "joblib"}, path
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                assert name not in ("eval", "exec", "torch.load", "np.load", "compile"), (
                    f"{path}: {name}"
                )


def test_files_stay_readable() -> None:
    for path in PACKAGE.rglob("*.py"):
        assert len(path.read_text().splitlines()) <= 350, path
        assert ast.get_docstring(ast.parse(path.read_text())), f"{path} does not say why it exists"


def test_importing_the_package_is_light() -> None:
    code = "import sic_cli, sys; assert not {'torch', 'numpy', 'PIL'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
