"""What the page on planning says comes from what was measured, and the store counts what it is asked."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.batch.test_folders import run
from tests.conftest import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))
import bucket
import cluster_page

RUN = {"start_s": 2.0, "pictures_a_s": 2.0, "whole_s": 52.0}
FOUND: dict[str, Any] = {
    "speed": {
        "crop": "512x384",
        "megapixels": 0.2,
        "release": "tiny",
        "cores": 2,
        "processor": "A processor",
        "rounds": 1,
        "pictures": 100,
        "bits_a_pixel": 0.8,
        "runs": dict.fromkeys(("-j 1", "--cluster local:1", "-j 2", "--cluster local:2"), RUN),
        "overhead_percent": {
            "1": {"steady": 1.5, "whole": 4.0},
            "2": {"steady": -0.5, "whole": 6.0},
        },
    },
    "requests": {"each": {"GET": 1.0, "HEAD": 2.0, "PUT": 1.0}, "run": {"LIST": 3, "PUT": 2}},
    "killed": {"pictures": 9, "done": 9, "twice": 0, "same_bytes_as_here": 9, "whole_s": 55.0},
    "memory": [
        {"files": 1000, "done": 1000, "before_mib": 60, "planned_mib": 61}
        | {"after_mib": 62, "most_in_flight": 4}
    ],
}


def test_a_million_pictures_cost_what_the_measured_rate_says(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{cluster_page.BEGIN}\nof before\n{cluster_page.END}\nafter\n")
    cluster_page.write(page, FOUND)
    text = page.read_text()
    assert text.startswith("before\n") and text.endswith("\nafter\n") and "of before" not in text
    # 0.4 megapixels a second: 12 million megapixels take 8,333 hours, which cost 333 dollars and 6.2
    assert "| 4000x3000 | 8,333 | 83.3 h | 340 dollars | 1,200 GB | 28 dollars |" in text
    assert "1.5 % more time once it runs" in text and "0.5 % less time once it runs" in text
    assert "1 GET, 2 HEAD, 1 PUT a picture" in text and "6.20 dollars" in text
    assert "| 1,000 | 60 MiB | 61 MiB | 62 MiB | 1,000 | 4 |" in text
    cluster_page.write(page, FOUND)
    assert page.read_text() == text


@pytest.mark.parametrize("left", list(FOUND))
def test_what_was_not_measured_is_not_reported(left: str) -> None:
    text = cluster_page.text({key: value for key, value in FOUND.items() if key != left})
    assert text and cluster_page.text({left: FOUND[left]}) not in text


@pytest.mark.filterwarnings("ignore")  # of s3fs, which closes late
def test_the_store_counts_what_a_picture_asks_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("moto.server", reason="make setup-cluster")
    s3fs = pytest.importorskip("s3fs", reason="make setup-cluster")
    for name in ("ENDPOINT_URL", "ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "DEFAULT_REGION"):
        monkeypatch.setenv(f"AWS_{name}", "")  # put back at the end
    s3fs.S3FileSystem.clear_instance_cache()
    try:
        with bucket.served(("pictures", "coded")) as (store, counted):
            asked = []
            for number in (1, 4):
                for n in range(number):
                    store.pipe_file(f"pictures/{number}/{n}.in", b"file")
                before = counted.seen.copy()
                got = run("-r", f"s3://pictures/{number}", "-o", f"s3://coded/{number}")
                assert got.code == 0, got.err
                asked.append(counted.since(before))
    finally:
        s3fs.S3FileSystem.clear_instance_cache()
    each = {kind: (asked[1][kind] - asked[0].get(kind, 0)) / 3 for kind in asked[1]}
    del each["REPORT"]  # by the clock
    assert {kind: n for kind, n in each.items() if n} == {"GET": 1, "HEAD": 2, "PUT": 1}
