"""A cluster of two workers and a store that speaks S3, both on loopback, for a module of tests."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any
from urllib.request import Request, urlopen

import pytest

from tests.conftest import ROOT


@pytest.fixture(scope="module")
def environment() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.setenv("OMP_NUM_THREADS", "1")
        yield patch


@pytest.fixture(scope="module")
def buckets(environment: pytest.MonkeyPatch) -> Iterator[Any]:
    """A store that speaks S3, on loopback, or None; workers that start later know it too."""
    try:
        import moto.server as moto
        import s3fs
    except ImportError:
        yield None
        return
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    port = server._server.server_port
    again = Request(f"http://127.0.0.1:{port}/moto-api/reset", method="POST")
    urlopen(again).close()  # moto keeps what it holds for a process, not for a server
    environment.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    environment.setenv("AWS_ACCESS_KEY_ID", "of the tests")
    environment.setenv("AWS_SECRET_ACCESS_KEY", "of the tests")
    environment.setenv("AWS_DEFAULT_REGION", "us-east-1")
    store = s3fs.S3FileSystem(use_listings_cache=False)
    for bucket in ("pictures", "coded"):
        store.mkdir(bucket)
    yield store
    server.stop()
    del store
    s3fs.S3FileSystem.clear_instance_cache()
    gc.collect()  # what is not closed warns here, where warnings are no errors


@pytest.fixture
def s3(buckets: Any) -> Any:
    if buckets is None:
        pytest.skip("S3 is tested with s3fs and moto[server]: make setup-cluster")
    return buckets


@pytest.fixture(scope="module")
def cluster(buckets: Any) -> Iterator[Any]:
    """Two workers; a file whose worker died is tried once more."""
    import dask
    import distributed

    with (
        dask.config.set(
            {
                "distributed.scheduler.allowed-failures": 1,
                "distributed.deploy.lost-worker-timeout": "5 minutes",
            }
        ),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0", silence_logs=50
        ) as started,
    ):
        yield started
