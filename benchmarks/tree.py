"""The shape of the package: files and lines by folder, and the import arrows between folders.

python benchmarks/tree.py [CHECKOUT]

A folder is a directory with Python files, and so is each module that lies loose beside others at the
package's root. An arrow leads from a folder to another one that any of its files imports, wherever in the
file the import stands.
"""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from pathlib import Path

PACKAGE = "sic_cli"


def modules(root: Path) -> dict[str, Path]:
    """Dotted name -> file, of every module of the package."""
    found = {}
    for path in sorted((root / PACKAGE).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def folder_of(path: Path, root: Path) -> str:
    """The folder of a file, relative to the package; a loose module counts as a folder of its own."""
    inner = path.relative_to(root / PACKAGE)
    return inner.parent.as_posix() if len(inner.parts) > 1 else inner.name


def imported(name: str, path: Path, known: dict[str, Path]) -> set[str]:
    """Modules of the package that a module imports, at any depth of its text."""
    found = set()
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name in known}
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            base = ".".join(parts[: len(parts) - node.level + 1]) if node.level else ""
            source = ".".join(filter(None, (base, node.module)))
            for alias in node.names:
                inner = f"{source}.{alias.name}"
                if inner in known or source in known:
                    found.add(inner if inner in known else source)
    return found


def arrows(root: Path) -> dict[str, set[str]]:
    """Folder -> folders that it imports."""
    known = modules(root)
    found: dict[str, set[str]] = defaultdict(set)
    for name, path in known.items():
        own = folder_of(path, root)
        for target in imported(name, path, known):
            found[own].add(folder_of(known[target], root))
        found[own].discard(own)
    return dict(found)


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Groups of folders each of which reaches every other one of its group."""

    def reached(start: str) -> set[str]:
        seen, todo = set(), [start]
        while todo:
            for after in graph.get(todo.pop(), ()):
                if after not in seen:
                    seen.add(after)
                    todo.append(after)
        return seen

    reach = {folder: reached(folder) for folder in graph}
    groups = {
        tuple(sorted(b for b in reach[a] if a in reach.get(b, ()))) for a in graph if a in reach[a]
    }
    return [list(group) for group in sorted(groups)]


def main() -> None:
    root = Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
    graph = arrows(root)
    files: dict[str, list[int]] = defaultdict(list)
    for path in modules(root).values():
        files[folder_of(path, root)].append(len(path.read_text(encoding="utf-8").splitlines()))
    print(f"{'folder':<28}{'files':>6}{'lines':>7}  imports")
    for folder, lines in sorted(files.items()):
        targets = " ".join(sorted(graph.get(folder, ())))
        print(f"{folder:<28}{len(lines):>6}{sum(lines):>7}  {targets}")
    loose = sum("/" not in f and f.endswith(".py") for f in files)
    print()
    print(f"folders {len(files) - loose}, modules loose at the root {loose}")
    print(f"files {sum(map(len, files.values()))}, lines {sum(map(sum, files.values()))}")
    print(f"import arrows {sum(map(len, graph.values()))}")
    print("circles", *(circles(graph) or ["none"]), sep="\n  ")


if __name__ == "__main__":
    main()
