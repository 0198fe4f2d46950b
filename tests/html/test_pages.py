"""Pages: self-contained, the same for the same input, safe against hostile names, and alive."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sic_cli.codec.weights.card import ModelCard
from sic_cli.html.chart import chart, steps
from tests.conftest import run_main
from tests.html import browser

HOSTILE = "<img src=x onerror=alert(1)>&'\".png"
CHROMIUM = pytest.mark.skipif(browser.find() is None, reason="no Chromium on the PATH")
SCRIPT = """<script>addEventListener("load", () => setTimeout(() => {
const press = (key) => document.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
const look = () => ({ right: document.querySelector(".tag.b").textContent,
  clip: document.querySelector(".layer.b").style.clipPath,
  note: document.querySelector('[data-of="note-b"]').textContent,
  difference: document.querySelector(".pair").classList.contains("difference"),
  zoom: document.querySelector('[data-of="zoom"]').textContent,
  width: document.querySelector(".layer.b img").naturalWidth });
const seen = [look()];
for (const key of KEYS) { press(key); seen.push(look()); }
const out = document.createElement("pre"); out.id = "seen"; out.textContent = JSON.stringify(seen);
document.body.append(out); }, 500));</script>"""


@pytest.fixture
def page_of(tmp_path: Path, picture: np.ndarray, coded: bytes) -> Callable[..., Path]:
    """Makes compare.html or file.html."""
    (tmp_path / "a.sic").write_bytes(coded)
    Image.fromarray(picture).save(tmp_path / HOSTILE, "PNG")

    def make(command: str, *more: str) -> Path:
        out = tmp_path / f"{command}.html"
        inputs = {
            "compare": [str(tmp_path / HOSTILE), str(tmp_path / "a.sic")],
            "report": [str(tmp_path / "a.sic"), "--reference", str(tmp_path / HOSTILE)],
        }[command]
        done = run_main(
            *(command, *inputs, "-o", str(out), "-f", "--metrics", "psnr", "--device", "cpu"), *more
        )
        assert done.code == 0, done.err
        return out

    return make


def offline(page: str) -> None:
    """Nothing outside the page is named but the two name spaces of markup."""
    assert not re.findall(r"https?://(?!www\.w3\.org)", page)
    assert not re.findall(r"<(?:link|iframe|object|embed)\b", page)
    assert all(s.startswith("data:") for s in re.findall(r'src="([^"]*)"', page))


@pytest.mark.parametrize("command", ["compare", "report"])
def test_a_page_holds_all_that_it_shows_and_no_name_escapes(
    command: str, page_of: Callable[..., Path]
) -> None:
    text = page_of(command).read_text()
    offline(text)
    assert "<img src=x" not in text and "onerror=alert(1)&gt;" in text
    block = re.search(r'class="data">(.*?)</script>', text, re.S)
    assert block
    document = json.loads(block[1])
    assert all(i.startswith("data:image/") for i in document["images"])
    assert page_of(command).read_text() == text


def test_a_report_of_a_file_has_every_level_with_bytes_and_metrics(
    page_of: Callable[..., Path], tmp_path: Path
) -> None:
    text = page_of("report").read_text()
    document = json.loads(re.search(r'class="data">(.*?)</script>', text, re.S)[1])  # type: ignore[index]
    frames = document["scenes"][0]["frames"]
    assert [f["name"] for f in frames[1:]] == [f"level {k}" for k in range(1, 6)]
    assert all("bytes" in f["note"] and "PSNR" in f["note"] for f in frames[1:])
    few = page_of("report", "--levels", "2,4").read_text()
    assert len(few) < len(text) and "level 3" not in few


def test_too_many_bytes_go_into_a_folder_beside_the_page(page_of: Callable[..., Path]) -> None:
    page = page_of("compare", "--embed-limit", "10")
    names = re.findall(r"compare\.html\.files/[0-9a-z.]+", page.read_text())
    assert len(names) == 2 and all((page.parent / n).is_file() for n in names)


def test_a_batch_report_shows_failures_first_and_escapes(tmp_path: Path) -> None:
    lines = [
        {"schema": "sic.encode/1", "ok": True, "input": "a.png", "output": "a.sic", "bpp": 0.5}
        | {"status": "done", "source_bytes": 1000, "output_bytes": 100, "level": 3, "code": 0},
        {"schema": "sic.encode/1", "ok": False, "input": HOSTILE, "status": "failed", "code": 4}
        | {"error": {"name": "input", "text": "</script><b>broken", "hint": None}},
        {"schema": "sic.summary/1", "done": 1},
    ]
    source, out = tmp_path / "r.jsonl", tmp_path / "r.html"
    source.write_text("".join(json.dumps(d) + "\n" for d in lines) + '{"torn')
    assert run_main("report", str(source), "-o", str(out)).code == 0
    text = out.read_text()
    offline(text)
    assert "1 done, 1 failed" in text and "10.0 %" in text
    assert "<b>broken" not in text and "&lt;b&gt;broken" in text
    assert text.index("Failures") < text.index("Bits per pixel") < text.index("a.sic")


@pytest.mark.parametrize(
    "text",
    ["", "no json\nat all\n", '{"schema": "other/1"}\n', '{"schema": "sic.eval/1", "ok": true}'],
)
def test_what_is_no_result_is_refused(text: str, tmp_path: Path) -> None:
    source, out = tmp_path / "r.jsonl", tmp_path / "r.html"
    source.write_text(text)
    assert run_main("report", str(source), "-o", str(out)).code == 4
    assert not out.exists()


def test_compare_states_what_it_measured(
    page_of: Callable[..., Path], tmp_path: Path, picture: np.ndarray
) -> None:
    other = np.clip(picture.astype(int) + 3, 0, 255).astype(np.uint8)
    a, b = tmp_path / "a.png", tmp_path / "b.png"
    Image.fromarray(picture).save(a)
    Image.fromarray(other).save(b)
    done = run_main("compare", str(a), str(b), str(a), "--json")
    document = json.loads(done.out)
    assert document["schema"] == "sic.compare/1" and document["reference"] == str(a)
    first, same = document["candidates"]
    assert first["max_abs_diff"] == 3 and first["bytes"] == b.stat().st_size
    assert (same["psnr_db"], same["max_abs_diff"], same["lpips"]) == (100.0, 0, None)


def test_compare_report_and_targets_take_the_decoder_that_was_asked_for(
    tmp_path: Path, picture: np.ndarray, tiny: ModelCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIC_MODEL_PATH", str(tiny.folder.parent))
    a, b, page = (str(tmp_path / name) for name in ("a.png", "a.sic", "a.html"))
    Image.fromarray(picture).save(a)

    def written(realism: str) -> float:
        words = ("-m", "tiny", "-t", "psnr=5", "--realism", realism, "--json", "--device", "cpu")
        done = run_main("encode", a, "-o", b, "-f", *words)
        return float(json.loads(done.out)["metrics"]["psnr_db"])

    def compared(realism: str) -> float:
        words = ("--metrics", "psnr", "--realism", realism, "--json", "--device", "cpu")
        document = json.loads(run_main("compare", a, b, *words).out)
        assert document["realism"] == float(realism)
        return float(document["candidates"][0]["psnr_db"])

    for realism in ("0", "1"):
        assert written(realism) == pytest.approx(compared(realism), abs=1e-6)
    assert compared("0") != compared("1")
    done = run_main("report", b, "-o", page, "--realism", "0", "--device", "cpu")
    assert done.code == 0 and "realism 0" in Path(page).read_text()


@pytest.mark.parametrize(
    ("inputs", "code"), [(["a.png"], 2), (["a.png", "c.png"], 4), (["a.png", "x"], 4)]
)
def test_compare_refuses_what_it_cannot_compare(
    inputs: list[str], code: int, tmp_path: Path, picture: np.ndarray
) -> None:
    Image.fromarray(picture).save(tmp_path / "a.png")
    Image.fromarray(picture[:-1]).save(tmp_path / "c.png")
    out = tmp_path / "o.html"
    done = run_main("compare", *(str(tmp_path / i) for i in inputs), "-o", str(out))
    assert done.code == code and not out.exists(), done.err


def test_charts_have_round_ticks_and_keep_every_point_inside() -> None:
    assert steps(24.1, 38.2) == [25, 27.5, 30, 32.5, 35, 37.5]
    made = chart("x", [("one", [(0.1, 24.0, "a"), (1.0, 38.0, "b")]), ("none", [])])
    assert made
    dots = [d for line in made.lines for d in line.dots]
    assert all(made.left <= d.x <= made.right and made.top <= d.y <= made.bottom for d in dots)
    assert chart("x", [("none", [])]) is None


@CHROMIUM
def test_keys_work_and_a_screenshot_is_not_empty(
    page_of: Callable[..., Path], tmp_path: Path, picture: np.ndarray
) -> None:
    page = page_of("report")
    driven = tmp_path / "driven.html"
    keys = json.dumps(["[", "[", "f", "f", "Escape", "d", "1"])
    driven.write_text(page.read_text() + SCRIPT.replace("KEYS", keys))
    text = browser.run(driven, tmp_path, "--dump-dom")
    found = re.search(r'<pre id="seen">(.*?)</pre>', text)
    assert found, "the page's script did not run"
    start, four, three, left, right, split, difference, one = json.loads(found[1])
    assert start["right"] == "level 5" and start["width"] == picture.shape[1]
    assert (four["right"], three["right"]) == ("level 4", "level 3")
    assert three["note"].startswith("level 3: ")
    assert "100%" in left["clip"] and right["clip"] != left["clip"] and "50%" in split["clip"]
    assert difference["difference"] and not split["difference"]
    assert one["zoom"] == "100 %"

    shot = tmp_path / "shot.png"
    browser.run(page, tmp_path, f"--screenshot={shot}")
    with Image.open(shot) as drawn:
        colours = drawn.convert("RGB").getcolors(1 << 24)
    assert colours and len(colours) > 1000  # text on white alone has far fewer
