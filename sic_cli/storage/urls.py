"""URLs as text: which names are URLs, and the parts of one. Standard library only, nothing is opened."""

from __future__ import annotations

import os
import re

URL = re.compile(r"([a-z][a-z0-9+.-]+)://")
READ_ONLY = ("http", "https")
ONE_PROCESS = "memory"
"""A kind of URL whose files are seen by the process that wrote them, and by no other."""


def is_url(name: str | None) -> bool:
    """Whether a name is a URL; ./s3://x is a path."""
    return name is not None and URL.match(name) is not None


def scheme(url: str) -> str:
    """`s3` of s3://bucket/name."""
    found = URL.match(url)
    return found[1] if found else ""


def join(folder: str, *parts: str) -> str:
    """A path or URL below a folder; empty parts are left out."""
    if not is_url(folder):
        return os.path.join(folder, *parts)
    inner = [part.replace(os.sep, "/").strip("/") for part in parts]
    return "/".join([folder.rstrip("/"), *filter(None, inner)])


def split(name: str) -> tuple[str, str]:
    """Folder and last part; of https:// without query and fragment."""
    if not is_url(name):
        return os.path.split(name)
    if scheme(name) in READ_ONLY:
        name = re.split("[?#]", name)[0]
    start = len(scheme(name)) + 3
    folder, _, last = name[start:].rpartition("/")
    return name[:start] + folder, last


def suffix(name: str) -> str:
    """`.png`, in small letters."""
    return os.path.splitext(split(name)[1])[1].lower()


def tidy(url: str) -> str:
    """The same place written in one way only: no empty parts."""
    start = len(scheme(url)) + 3
    return url[:start] + "/".join(part for part in url[start:].split("/") if part)
