"""The rules of docs/architecture.toml, and what the package's files really import.

`python -m tests.architecture` writes the rules as a table into docs/architecture.md.
"""

from __future__ import annotations

import ast
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import ROOT

PACKAGE = ROOT / "sic_cli"
RULES, DOCUMENT = ROOT / "docs" / "architecture.toml", ROOT / "docs" / "architecture.md"
BEGIN, END = "<!-- folders: written by make architecture -->", "<!-- end of folders -->"
OPEN = {"__init__", "__main__"}
"""The package's own two files, which only point at others."""


@dataclass(frozen=True, slots=True)
class Folder:
    """What a folder, or a module at the package's root, is for, and what it may import."""

    does: str
    imports: tuple[str, ...]
    packages: tuple[str, ...]


def rules() -> dict[str, Folder]:
    """Folder -> its rule, the lowest first."""
    rows = tomllib.loads(RULES.read_text(encoding="utf-8"))["folders"]
    return {
        name: Folder(row["does"], tuple(row["imports"]), tuple(row["packages"]))
        for name, row in rows.items()
    }


def light() -> list[str]:
    """Files that import the standard library alone, relative to the package."""
    found: list[str] = tomllib.loads(RULES.read_text(encoding="utf-8"))["light"]
    return found


def folder_of(path: Path) -> str:
    """`codec/rdo` of one of its files; `api` of api.py."""
    inner = path.relative_to(PACKAGE)
    return inner.parent.as_posix() if len(inner.parts) > 1 else inner.stem


def _module(parts: tuple[str, ...]) -> Path | None:
    for path in (
        PACKAGE.joinpath(*parts, "__init__.py"),
        PACKAGE.joinpath(*parts).with_suffix(".py"),
    ):
        if path.is_file():
            return path
    return None


def imports_of(path: Path) -> tuple[set[str], set[str]]:
    """(other folders of the package, packages beside the standard library), imported at any depth."""
    folders, packages = set(), set()
    own = path.relative_to(PACKAGE).parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            packages |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            packages.add((node.module or "").split(".")[0])
        elif isinstance(node, ast.ImportFrom):
            base = own[: len(own) - node.level + 1] + tuple((node.module or "").split("."))
            base = tuple(filter(None, base))
            for name in node.names:
                target = _module((*base, name.name)) or (_module(base) if base else None)
                folders |= {folder_of(target)} if target else set()
    return folders - {folder_of(path)}, packages - set(sys.stdlib_module_names)


def table() -> str:
    """The part of docs/architecture.md that states the rules."""
    lines = [BEGIN, "| folder | what it is for | may import | packages |", "|---|---|---|---|"]
    for name, folder in rules().items():
        below = f"`{', '.join(folder.imports)}`" if folder.imports else ""
        lines.append(f"| `{name}` | {folder.does} | {below} | {', '.join(folder.packages)} |")
    return "\n".join([*lines, END])


def document() -> str:
    """docs/architecture.md with its table anew."""
    before, _, rest = DOCUMENT.read_text(encoding="utf-8").partition(BEGIN)
    return before + table() + rest.partition(END)[2]


if __name__ == "__main__":
    DOCUMENT.write_text(document(), encoding="utf-8")
