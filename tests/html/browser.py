"""Chromium without a window, where there is one: runs a page's scripts and draws it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

NAMES = ("chromium", "chromium-headless-shell", "chromium-browser", "google-chrome", "chrome")


def find() -> str | None:
    """The first browser on the PATH."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def run(page: Path, folder: Path, *more: str) -> str:
    """The page's document after its scripts have run; nothing can be fetched."""
    done = subprocess.run(
        [
            *(str(find()), "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
            *(f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=5000"),
            *("--host-resolver-rules=MAP * ~NOTFOUND", "--window-size=1200,1000", *more),
            page.resolve().as_uri(),
        ],
        capture_output=True,
        timeout=180,
        check=True,
    )
    return done.stdout.decode()
