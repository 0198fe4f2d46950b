"""The examples in docs/cluster.md: what says that it is run is run in test_cluster, the rest is parsed."""

from __future__ import annotations

import ast
import re

from tests.conftest import ROOT

DOCUMENT = ROOT / "docs" / "cluster.md"


def examples(kind: str) -> list[str]:
    """The programs behind `<!-- run -->` or `<!-- compile -->`."""
    found: list[str] = re.findall(
        rf"<!-- {kind} -->\n```python\n(.*?)```", DOCUMENT.read_text(), re.S
    )
    return found


def test_every_program_says_how_it_is_checked() -> None:
    assert len(examples("run")) == 1 and len(examples("compile")) == 2
    assert DOCUMENT.read_text().count("```python") == 3


def test_programs_parse_and_use_names_that_exist() -> None:
    from sic_cli import batch

    for text in examples("run") + examples("compile"):
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sic_cli"):
                assert node.module == "sic_cli.batch"
                assert all(hasattr(batch, name.name) for name in node.names)
