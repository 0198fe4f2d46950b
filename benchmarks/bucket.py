"""A store that speaks S3 on loopback, which counts what it is asked for. Needs moto[server] and s3fs."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs
from urllib.request import Request, urlopen

PRICES = {"GET": 0.4, "HEAD": 0.4, "PUT": 5.0, "LIST": 5.0, "DELETE": 0.0, "REPORT": 5.0}
"""Dollars a million requests: S3 Standard, list prices."""

REPORT = "/.sic-resume.jsonl"


class Counted:
    """A WSGI application, and how many requests of each kind came."""

    def __init__(self, inner: Any) -> None:
        self.refinement, self.seen = inner, Counter[str]()

    def __call__(self, environ: dict[str, Any], start: Any) -> Any:
        kind = environ["REQUEST_METHOD"]
        asked = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
        if REPORT in environ["PATH_INFO"]:
            kind = "REPORT"  # by the clock, not by the picture
        elif kind == "GET" and ("list-type" in asked or environ["PATH_INFO"].count("/") < 2):
            kind = "LIST"
        elif kind == "POST":
            kind = "DELETE" if "delete" in asked else "PUT"
        self.seen[kind] += 1
        return self.refinement(environ, start)

    def since(self, before: Counter[str]) -> dict[str, int]:
        """What came since a copy of `seen` was taken."""
        return {kind: self.seen[kind] - before[kind] for kind in sorted(self.seen)}


@contextmanager
def served(buckets: tuple[str, ...]) -> Iterator[tuple[Any, Counted]]:
    """A file system on a new store with these buckets; processes that start later find it too."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line for every request
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    inside: Any = server._server
    empty = Request(f"http://127.0.0.1:{inside.server_port}/moto-api/reset", method="POST")
    urlopen(empty).close()  # moto keeps what it holds for a process, not for a server
    counted = inside.app = Counted(inside.app)
    os.environ["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{inside.server_port}"
    os.environ.update(
        dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "loopback"),
        AWS_DEFAULT_REGION="us-east-1",
    )
    import s3fs

    store = s3fs.S3FileSystem(use_listings_cache=False)
    for bucket in buckets:
        store.mkdir(bucket)
    try:
        yield store, counted
    finally:
        server.stop()
