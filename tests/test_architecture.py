"""Who may import whom, and what the quick commands must not import: docs/architecture.toml as tests."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture import (
    DOCUMENT,
    OPEN,
    PACKAGE,
    document,
    folder_of,
    imports_of,
    light,
    rules,
)
from tests.conftest import ROOT

FILES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_files_import_only_what_their_folder_may(path: Path) -> None:
    folder = folder_of(path)
    if folder in OPEN:
        return
    folders, packages = imports_of(path)
    rule = rules()[folder]
    assert folders <= set(rule.imports), folders - set(rule.imports)
    assert packages <= set(rule.packages), packages - set(rule.packages)
    if str(path.relative_to(PACKAGE)) in light():
        assert not packages


def test_the_rules_name_what_there_is_and_point_downwards() -> None:
    known = list(rules())
    assert sorted({folder_of(p) for p in FILES} - OPEN) == sorted(known)
    for place, (name, rule) in enumerate(rules().items()):
        assert set(rule.imports) <= set(known[:place]), f"{name} imports upwards"
    assert set(light()) <= {str(p.relative_to(PACKAGE)) for p in FILES}


def test_the_rules_allow_nothing_that_is_not_used() -> None:
    for name, rule in rules().items():
        found = [imports_of(p) for p in FILES if folder_of(p) == name]
        assert set(rule.imports) == set().union(*(folders for folders, _ in found)), name
        assert set(rule.packages) == set().union(*(packages for _, packages in found)), name


def test_the_document_shows_the_rules() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == document(), "run `make architecture`"


def test_constriction_is_imported_in_one_place() -> None:
    users = [p.name for p in FILES if "constriction" in imports_of(p)[1]]
    assert users == ["__init__.py", "range_coder.py"]  # the first only looks whether it is there


def test_torch_is_for_training_cuda_and_metrics() -> None:
    users = {name for name, rule in rules().items() if "torch" in rule.packages}
    assert users == {"codec/networks", "doctor", "metrics", "training"}


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
    for path in FILES:
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
    for path in FILES:
        assert len(path.read_text().splitlines()) <= 600, path
        assert ast.get_docstring(ast.parse(path.read_text())), f"{path} does not say why it exists"


def test_importing_the_package_is_light() -> None:
    code = "import sic_cli, sys; assert not {'torch', 'numpy', 'PIL'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
