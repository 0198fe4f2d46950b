"""The documents: links lead somewhere, lines can be read, pictures and tables are what their scripts make."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import ROOT, run_main

sys.path.insert(0, str(ROOT / "benchmarks"))
import readme_table

FOLDERS = (".github", "benchmarks", "docs", "sic_cli", "tests", "weights")
PAGES = sorted(
    {*ROOT.glob("*.md"), *(p for folder in FOLDERS for p in (ROOT / folder).rglob("*.md"))}
)
READ = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "sic_cli" / "codec" / "bitstream" / "FORMAT.md",
]
"""Pages that people read from the beginning."""
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
CELL, LINE = 200, 600
"""Most characters of a cell of a table, and of a line."""


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def prose(path: Path) -> Iterator[str]:
    """Lines outside of fenced blocks."""
    fenced = False
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("```"):
            fenced = not fenced
        elif not fenced:
            yield line


def anchors(path: Path) -> set[str]:
    """What `#...` may name: headings as GitHub makes anchors of them."""
    found: set[str] = set()
    for line in prose(path):
        if heading := re.match(r"#+ (.*)", line):
            words = re.sub(r"[^\w\- ]", "", heading[1].lower())
            anchor = base = words.strip().replace(" ", "-")
            count = 0
            while anchor in found:
                count += 1
                anchor = f"{base}-{count}"
            found.add(anchor)
    return found


def broken(path: Path) -> list[str]:
    """Links of a page that lead nowhere; addresses of the network are not looked at."""
    wrong = []
    for line in prose(path):
        for target in LINK.findall(re.sub(r"`[^`]*`", "", line)):
            if re.match(r"[a-z]+:", target):
                continue
            file, _, anchor = target.partition("#")
            there = (path.parent / file).resolve() if file else path
            if not there.exists() or (anchor and anchor not in anchors(there)):
                wrong.append(target)
    return wrong


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_links_lead_somewhere(path: Path) -> None:
    assert broken(path) == []


def test_a_link_that_leads_nowhere_is_seen(tmp_path: Path) -> None:
    page = tmp_path / "a.md"
    page.write_text("# One, two\n[a](#one-two) [b](#three) [c](b.md) ![d](a.md#one) [e](a.md)\n")
    assert broken(page) == ["#three", "b.md", "a.md#one"]


@pytest.mark.parametrize("path", READ, ids=name)
def test_lines_and_cells_of_tables_are_short(path: Path) -> None:
    for line in prose(path):
        assert len(line) <= LINE, line
        if line.startswith("|"):
            cells = re.split(r"(?<!\\)\|", line)
            assert max(len(cell.strip()) for cell in cells) <= CELL, line


FILE = re.compile(r"`((?:[\w.]+/)*[\w.]+\.(?:py|md|toml|json|csv))`")
"""A file by its path in this repository, in the package, or in its `codec` folder."""


@pytest.mark.parametrize("path", READ, ids=name)
def test_files_that_are_named_are_there(path: Path) -> None:
    places = (ROOT, ROOT / "sic_cli", ROOT / "docs", ROOT / "sic_cli" / "codec")
    for line in prose(path):
        for file in FILE.findall(line):
            if "/" in file:
                assert any((place / file).is_file() for place in places), file


def test_the_index_leads_to_every_page() -> None:
    index = ROOT / "docs" / "README.md"
    linked = set(LINK.findall(index.read_text(encoding="utf-8")))
    pages = {p.name for p in (ROOT / "docs").glob("*.md")} - {index.name}
    assert pages <= linked, pages - linked


def test_the_diagrams_are_what_their_script_draws(tmp_path: Path) -> None:
    sys.path.insert(0, str(ROOT / "docs"))
    import diagrams

    for file, draw in diagrams.DIAGRAMS.items():
        known = (ROOT / "docs" / "images" / file).read_text(encoding="utf-8")
        assert known == draw(), "run `make pictures`"
        assert draw(True) != known
    script = [sys.executable, str(ROOT / "docs" / "diagrams.py"), "--dark", str(tmp_path)]
    subprocess.run(script, check=True)
    assert {p.name for p in tmp_path.iterdir()} == set(diagrams.DIAGRAMS)


@pytest.mark.parametrize("function", ["encode", "decode", "decode_levels", "truncate", "Codec"])
def test_every_option_is_described(function: str) -> None:
    """The names in `Args:` are those of the signature, those behind `**options` with them."""
    from sic_cli import api
    from sic_cli.pipeline.limits import LimitsKw

    what = getattr(api, function)
    names = [n for n in inspect.signature(what).parameters if n != "options"]
    options = {"encode": api.EncodeKw, "decode": api.DecodeKw, "decode_levels": LimitsKw}
    names += options[function].__optional_keys__ if function in options else ()
    text = inspect.getdoc(what) or ""
    listed = text.partition("Args:\n")[2].partition("\n\n")[0]
    assert set(re.findall(r"^    (\w+): ", listed, re.M)) == set(names)


def test_the_page_on_trust_names_tests_that_there_are() -> None:
    from tests.trust import trials

    rows = (ROOT / "docs" / "trust.md").read_text(encoding="utf-8").splitlines()
    named = {m[1] for row in rows if (m := re.match(r"\| (T\d+\w* .*?) \| [\d,]+ \|", row))}
    there = {f"{trial.name} {trial.title}" for trial in trials()}
    assert len(named) > 40 and named <= there, named - there


def test_the_table_of_the_readme_is_that_of_its_figures() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert text == readme_table.readme(readme_table.read(), text), "run `make readme-table`"


def test_figures_come_back_as_they_were_written(tmp_path: Path) -> None:
    figures: readme_table.Figures = [
        ("psnr", "A, b", [27.5, None, 30.25, 33.0]),
        ("lpips", "A, b", [0.25, 0.2, 0.1, 0.05]),
    ]
    path = tmp_path / "figures.csv"
    readme_table.write(figures, path)
    assert readme_table.read(path) == figures
    lines = readme_table.table(figures).splitlines()
    assert "| A, b | 27.50 | - | 30.25 | 33.00 |" in lines
    assert "| A, b | 0.250 | 0.200 | 0.100 | 0.050 |" in lines
    path.write_text("codec,metric\n")
    with pytest.raises(ValueError, match="not the figures"):
        readme_table.read(path)
    with pytest.raises(ValueError, match="no place"):
        readme_table.readme(figures, "# sic\n")


def test_a_report_of_eval_gives_the_figures(tmp_path: Path, picture: np.ndarray) -> None:
    Image.fromarray(picture).save(tmp_path / "a.png")
    words = ["-m", "tiny", "--codecs", "sic,jpeg", "--metrics", "psnr", "--steps", "3"]
    words += ["--realism", "0", "-o", str(tmp_path / "report")]
    assert run_main("eval", str(tmp_path / "a.png"), *words).code == 0
    figures = readme_table.measured(tmp_path / "report", "tiny")
    assert [row[:2] for row in figures] == [("psnr", "sic (tiny, realism 0)"), ("psnr", "JPEG")]
    assert all(len(values) == 4 for _, _, values in figures)
    readme_table.write(figures, tmp_path / "figures.csv")
    assert [row[1] for row in readme_table.read(tmp_path / "figures.csv")] == [
        "sic (tiny, realism 0)",
        "JPEG",
    ]
