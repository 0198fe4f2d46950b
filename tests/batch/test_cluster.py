"""A cluster does what processes do: the same files, the same report; and it survives lost workers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sic_cli.batch import cluster as engine
from sic_cli.batch import gate
from sic_cli.batch.cluster import Needs
from sic_cli.batch.plan import Job
from sic_cli.batch.run import Runner
from sic_cli.batch.work import Order, Work
from sic_cli.errors import ModelError, ResourceError, UsageError
from sic_cli.pipeline.options import EncodeOptions
from tests.batch.fake import Fake, records
from tests.batch.test_examples import examples
from tests.batch.test_folders import process, run, tree, wait_for
from tests.conftest import run_main
from tests.tiny import made_picture

distributed = pytest.importorskip("distributed", reason="--cluster needs the extra cluster")
pytestmark = pytest.mark.filterwarnings("ignore")  # Dask's own


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for n in range(6):
        (folder / f"{n}.in").write_text(f"file {n}")
    return folder


def test_a_cluster_makes_the_same_tree_and_poison_fails_alone(
    cluster: Any, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (source / "wrong.in").write_text("w")
    assert run("-r", source, "-o", tmp_path / "one").code == 1
    (source / "poison.in").write_text("p")
    monkeypatch.chdir(tmp_path)  # where workers do not stand
    got = run("-r", "in", "-o", "two", "--cluster", cluster.scheduler_address, "--report", "r")
    assert got.code == 1 and "6 done, 0 skipped, 2 failed" in got.err, got.err
    assert tree(tmp_path / "two") == tree(tmp_path / "one")
    codes = {row["input"]: row["code"] for row in records((tmp_path / "r").read_bytes())[:-1]}
    assert codes["in/poison.in"] == 7 and codes["in/wrong.in"] == 4
    assert sum(codes.values()) == 11 and len(codes) == 8


def test_from_bucket_to_bucket_with_a_worker_killed_in_the_middle(
    cluster: Any, s3: Any, tmp_path: Path
) -> None:
    (tmp_path / "in" / "sub").mkdir(parents=True)
    for n in range(24):
        name = f"{'sub/' * (n % 2)}{n:02}.png"
        Image.fromarray(made_picture(24, 33, n)).save(tmp_path / "in" / name)
        s3.pipe_file(f"pictures/{name}", (tmp_path / "in" / name).read_bytes())
    local = run_main("encode", "-m", "tiny", "-r", str(tmp_path / "in"), "-o", str(tmp_path / "o"))
    assert local.code == 0, local.err
    killer = threading.Thread(target=kill_one, args=(cluster, s3))
    killer.start()
    encode = ("encode", "-m", "tiny", "-r", "s3://pictures", "-o", "s3://coded")
    got = run_main(*encode, "--cluster", cluster.scheduler_address)
    killer.join()
    assert got.code == 0 and "24 done, 0 skipped, 0 failed" in got.err, got.err
    rows = records(s3.cat_file("coded/.sic-resume.jsonl"))
    assert len({row["output"] for row in rows[:-1]}) == len(rows) - 1 == 24, "nothing twice"
    names = s3.find("coded")
    assert {
        name.removeprefix("coded/"): s3.cat_file(name) for name in names if ".sic-" not in name
    } == dict(tree(tmp_path / "o").items())
    assert "24 skipped" in run_main(*encode, "--resume").err


def kill_one(cluster: Any, s3: Any) -> None:
    end = time.monotonic() + 300
    while not s3.find("coded") and time.monotonic() < end:
        time.sleep(0.02)
    os.kill(next(iter(cluster.workers.values())).pid, signal.SIGKILL)


def test_a_program_brings_its_own_executor(cluster: Any, tmp_path: Path) -> None:
    from sic_cli.batch import encode_many

    for n in range(3):
        Image.fromarray(made_picture(24, 33, n)).save(tmp_path / f"{n}.png")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    paths = sorted(tmp_path.glob("*.png"))
    tiny = EncodeOptions(model="tiny")
    here = list(encode_many(paths, tmp_path / "here", options=tiny))
    example: dict[str, Any] = {}
    exec(examples("run")[0], example)
    names, out = [str(path) for path in paths], str(tmp_path / "there")
    made = example["encode_on"](cluster.scheduler_address, names, out)
    assert [row["code"] for row in here] == [0, 0, 0, 4]
    assert sorted(made) == [str(tmp_path / "there" / f"{n}.sic") for n in range(3)]
    assert dict(tree(tmp_path / "there")) == dict(tree(tmp_path / "here"))
    again = encode_many(paths, tmp_path / "there", existing="resume")
    assert [row["status"] for row in again] == ["skipped"] * 3 + ["failed"]


def test_eval_measures_the_same_on_a_cluster(cluster: Any, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for n in range(3):
        Image.fromarray(made_picture(40, 48, n)).save(tmp_path / "in" / f"{n}.png")
    (tmp_path / "in" / "broken.png").write_bytes(b"no picture")
    options = ("--codecs", "sic,jpeg", "--levels", "1,3", "--steps", "2", "--metrics", "psnr")
    command = ("eval", str(tmp_path / "in"), "-m", "tiny", *options, "--show", "1", "-o")
    there = ("--cluster", cluster.scheduler_address)
    assert run_main(*command, str(tmp_path / "here")).code == 1
    got = run_main(*command, str(tmp_path / "there"), *there)
    assert got.code == 1 and "broken.png" in got.err, got.err
    found = []
    for name in ("here", "there"):
        rows = records((tmp_path / name / "results.jsonl").read_bytes())[:-1]
        assert len(rows) == 12
        found.append([{k: v for k, v in row.items() if not k.endswith("_s")} for row in rows])
        files = {path.name: path.read_bytes() for path in (tmp_path / name / "files").iterdir()}
        found[-1].append(files)
    assert found[0] == found[1]
    before = (tmp_path / "there" / "results.jsonl").read_bytes()
    assert run_main(*command, str(tmp_path / "there"), *there).code == 1
    rows = (tmp_path / "there" / "results.jsonl").read_bytes()
    assert rows.splitlines()[:12] == before.splitlines()[:12], "nothing is measured twice"


def test_workers_of_another_version_are_refused(cluster: Any, source: Path, tmp_path: Path) -> None:
    def be(version: str) -> None:
        import sic_cli

        sic_cli.__version__ = version

    with distributed.Client(cluster, set_as_default=False) as client:
        before = engine.__version__
        one = next(iter(client.scheduler_info(n_workers=-1)["workers"]))
        client.run(be, "9.9.9", workers=[one])
        try:
            got = run("-r", source, "-o", tmp_path / "o", "--cluster", cluster.scheduler_address)
        finally:
            client.run(be, before)
    assert got.code == 7 and "9.9.9" in got.err and before in got.err, got.err
    assert not list(tmp_path.glob("o/*.out"))


def test_an_interrupted_run_on_a_cluster_of_its_own_is_resumed(tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for n in range(40):
        (folder / f"{n}.in").write_text(f"file {n}")
    arguments = ("-r", folder, "-o", out, "--cluster", "local:1")
    running = process(*arguments, "--seconds", "0.2")
    wait_for(lambda: len(list(out.rglob("*.out"))) >= 2, 120)
    os.killpg(running.pid, signal.SIGINT)
    _, error = running.communicate(timeout=60)
    assert running.returncode == 130 and b"Traceback" not in error and b"done" in error, (
        error.decode()
    )
    got = run("-r", folder, "-o", out, "--resume")
    assert got.code == 0 and "40 done" not in got.err and len(tree(out)) == 40, got.err


def test_a_cluster_that_does_not_answer_is_reported(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "CONNECT_SECONDS", 1)
    got = run("-r", source, "-o", tmp_path / "o", "--cluster", "tcp://127.0.0.1:1")
    assert got.code == 7 and "does not answer" in got.err and not list(tmp_path.glob("o/*.out"))


@pytest.mark.parametrize("address", ["", "local:0", "local:x", "host:8786", "tcp://"])
def test_what_is_no_address_is_a_usage_error(address: str, source: Path, tmp_path: Path) -> None:
    assert run("-r", source, "-o", tmp_path / "o", "--cluster", address).code == 2
    with pytest.raises(UsageError):
        engine.workers_of(address)


def test_workers_are_judged_by_what_they_say() -> None:
    told = gate.facts()
    known = next(iter(told["weights"]))
    for facts, needs, words, kind in (
        (told, Needs("00" * 8), "lacks the weights 00", ModelError),
        ({**told, "sic": None}, Needs(), "has no sic", ResourceError),
        ({**told, "sic": "0.0.1"}, Needs(), "has sic 0.0.1", ResourceError),
        ({**told, "python": "2.7.1"}, Needs(), "has Python 2.7.1", ResourceError),
    ):
        fault = engine._fault("tcp://w", facts, needs)
        assert isinstance(fault, kind) and words in str(fault) and fault.hint
        assert not gate.fits(facts, (engine.__version__, told["python"], needs.model_id))
    for needs in (Needs(), Needs(known)):
        assert engine._fault("tcp://w", told, needs) is None
        assert gate.fits(told, (engine.__version__, told["python"], needs.model_id))


def test_the_gate_needs_no_sic() -> None:
    from distributed.protocol import pickle

    code = (
        "import sys; sys.modules['sic_cli'] = None\n"
        "from distributed.protocol import pickle\n"
        f"print(pickle.loads({pickle.dumps(gate.facts)!r})(), pickle.loads({pickle.dumps(gate.enter)!r}))"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True)
    assert "'sic': None" in done.stdout and "enter" in done.stdout, done.stderr


def test_a_cluster_that_goes_away_ends_the_run_instead_of_failing_every_file() -> None:
    from concurrent.futures import Executor, Future

    class Gone(Executor):
        taken = 0

        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
            self.taken += 1
            future: Future[Any] = Future()
            future.cancel()
            future.set_running_or_notify_cancel()
            return future

        def check(self) -> None:
            raise ResourceError("the scheduler is gone")

    gone = Gone()
    runner = Runner(Work(Fake()), lambda: gone, 2)
    orders = (Order(Job(n, f"{n}", f"{n}.out")) for n in range(10))
    with pytest.raises(ResourceError, match="gone"):
        list(runner.results(orders))
    assert gone.taken == 2
