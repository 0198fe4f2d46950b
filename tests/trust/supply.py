"""What the package is made of: no network, no code from data, weights that are what they should be."""

from __future__ import annotations

import ast
import contextlib
import importlib.metadata
import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sic_cli.codec.weights.card import read_card
from sic_cli.codec.weights.load import load
from sic_cli.codec.weights.locate import find
from sic_cli.errors import ModelError
from tests.conftest import ROOT
from tests.trust.campaign import Run, trial

GUARDED = """
import sys
forbidden = {FORBIDDEN}
def guard(event, arguments):
    if event in forbidden or event.split(".")[0] in ("urllib", "ftplib", "smtplib"):
        raise RuntimeError("forbidden: " + event)
import numpy, PIL.Image, pickle, _pickle, click, safetensors.numpy, constriction, threadpoolctl
import sic_cli.codec.decode, sic_cli.codec.encode, sic_cli.picture.load, sic_cli.picture.save
if {GUARD_PICKLE}:
    def refuse(*a, **k):
        raise RuntimeError("forbidden: pickle")
    for module in (pickle, _pickle):
        module.load = module.loads = module.Unpickler = refuse
sys.addaudithook(guard)
from sic_cli.cli.main import main
try:
    main(sys.argv[1:])
finally:
    if "torch" in sys.modules:
        raise RuntimeError("torch was loaded")
"""
NETWORK = {"socket.connect", "socket.getaddrinfo", "socket.bind", "socket.sendto"}
PROCESSES = {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork"}


def guarded(pickle: bool, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `sic` where network and child processes raise (and unpickling, if asked)."""
    source = GUARDED.replace("{FORBIDDEN}", repr(NETWORK | PROCESSES))
    source = source.replace("{GUARD_PICKLE}", str(pickle))
    return subprocess.run(
        [sys.executable, "-c", source, *arguments], capture_output=True, text=True, cwd=ROOT
    )


@trial("T22", "no network, no child process, no telemetry while encoding and decoding", 9, 10)
def no_network(run: Run) -> None:
    with TemporaryDirectory() as name:
        coded, back = str(Path(name, "a.sic")), str(Path(name, "a.png"))
        photo = str(ROOT / "tests" / "pictures" / "parrots.png")
        for pickle in (True,) if run.scale == "PR" else (False, True):
            for arguments in (
                ["encode", photo, "-m", "tiny", "-o", coded, "-f", "-d", "cpu"],
                ["decode", coded, "-o", back, "-f", "-d", "cpu"],
            ):
                with run.case(f"{arguments[0]}, unpickling forbidden: {pickle}"):
                    done = guarded(pickle, *arguments)
                    assert done.returncode == 0, done.stderr[-300:]
    with run.case("control: torch would be seen"):
        source = GUARDED.replace("{FORBIDDEN}", "()").replace("{GUARD_PICKLE}", "False")
        source = source.replace("from sic_cli.cli.main import main", "import torch")
        done = subprocess.run(
            [sys.executable, "-c", source.replace("main(sys", "len(sys")],
            capture_output=True,
            text=True,
            cwd=ROOT,
        )
        assert "torch was loaded" in done.stderr
    with run.case("control: the guard does raise"):
        source = GUARDED.replace("{FORBIDDEN}", repr(NETWORK)).replace("{GUARD_PICKLE}", "False")
        source = (
            source.split("from sic_cli.cli.main")[0]
            + "import socket\nsocket.create_connection(('127.0.0.1', 9))"
        )
        done = subprocess.run(
            [sys.executable, "-c", source], capture_output=True, text=True, cwd=ROOT
        )
        assert "forbidden: socket" in done.stderr


WITHOUT = """
import sys
sys.modules["torch"] = None  # as where it is not installed: any import of it raises ImportError
"""
COMMANDS = """
import json, sys
from sic_cli.cli.main import main
for arguments in json.loads(sys.argv[1]):
    try:
        main(arguments)
    except SystemExit as end:
        if end.code:
            raise
"""
PROGRAM = """
import json, numpy, sic_cli, sys
from PIL import Image
import sic_cli.pillow
source, coded, back = json.loads(sys.argv[1])
made = sic_cli.encode(numpy.asarray(Image.open(source).convert("RGB")), model="tiny")
made.save(coded)
sic_cli.decode(made.data).save(back)
assert sic_cli.verify(coded).ok
Image.open(coded).load()
"""


def python(source: str, arguments: list[Any]) -> subprocess.CompletedProcess[str]:
    """Run some source, which finds the arguments as JSON."""
    return subprocess.run(
        [sys.executable, "-c", source, json.dumps(arguments)],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )


@trial("T22c", "on the CPU, encoding and decoding need no torch, and do the same beside it", 4, 9)
def no_torch(run: Run) -> None:
    """T22 sees that they load none."""
    photo = str(ROOT / "tests" / "pictures" / "parrots.png")
    with TemporaryDirectory() as name:
        made: dict[bool, list[bytes]] = {}
        for there in (False, True):
            start = "import torch\n" if there else WITHOUT
            what = f"torch {'loaded' if there else 'not installed'}"
            folder = Path(name, str(there))
            folder.mkdir()
            coded = str(folder / "a.sic")
            rows = [
                ["encode", photo, "-m", "tiny", "-o", coded, "-d", "cpu"],
                ["decode", coded, "-o", str(folder / "a.png"), "-d", "cpu"],
                ["decode", coded, "-o", str(folder / "b.png"), "--details", "sample"],
                ["verify", "--deep", coded],
            ]
            for row in [rows] if run.scale == "PR" else [[row] for row in rows]:
                with run.case(f"{', '.join(r[0] for r in row)}: {what}"):
                    done = python(start + COMMANDS, row)
                    assert done.returncode == 0, done.stderr[-300:]
            with run.case(f"Python and Pillow: {what}"):
                done = python(
                    start + PROGRAM, [photo, str(folder / "c.sic"), str(folder / "c.png")]
                )
                assert done.returncode == 0, done.stderr[-300:]
            made[there] = [p.read_bytes() for p in sorted(folder.iterdir())]
        with run.case("the same files and pictures with torch and without"):
            assert len(made[True]) == 5 and made[True] == made[False]
        with run.case("control: torch is not there, and what needs it says so"):
            done = python(WITHOUT + COMMANDS, [["decode", coded, "-d", "cuda", "-o", "-"]])
            assert done.returncode and "torch" in done.stderr, done.stderr[-300:]
            assert "Traceback" not in done.stderr, done.stderr[-300:]


DANGEROUS = {
    *("eval", "exec", "compile", "__import__", "os.system", "os.popen", "torch.load", "np.load"),
    *("pickle.load", "pickle.loads", "yaml.load", "marshal.loads", "shelve.open", "torch.hub.load"),
    *("torch.hub.load_state_dict_from_url", "urllib.request.urlopen", "requests.get"),
}
MODULES = {"pickle", "marshal", "shelve", "joblib", "dill", "socket", "requests", "http"}
MODULES |= {
    "urllib.request",
    "urllib.error",
    "ctypes",
    "telnetlib",
    "ftplib",
    "smtplib",
    "xmlrpc",
    "webbrowser",
}


def dangers(source: str) -> list[str]:
    """Imports and calls in a piece of source that run code from data, or go out."""
    found = []
    for node in ast.walk(ast.parse(source)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [n.name for n in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module or "", *(f"{node.module}.{n.name}" for n in node.names)]
        found += [n for n in names if n in MODULES or n.split(".")[0] in MODULES][:1]
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in DANGEROUS or any(k.arg == "shell" for k in node.keywords):
                found.append(called)
    return found


@trial("T22b", "the source imports and calls nothing that runs code from data or goes out", 9, 10)
def source_is_plain(run: Run) -> None:
    for path in sorted((ROOT / "sic_cli").rglob("*.py")):
        with run.case(str(path.relative_to(ROOT))):
            found = dangers(path.read_text())
            assert not found, ", ".join(found)
    with run.case("control: dangers are seen"):
        text = "import pickle\nfrom urllib.request import urlopen\nx = torch.load(y)\nrun(z, shell=True)"
        assert len(dangers(text)) == 4
    facts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for line in facts["dependencies"]:
        with run.case(f"dependency {line}: a floor, met here"):
            name, floor = re.match(r"([A-Za-z0-9_-]+)[^>]*>=([0-9.]+)", line).groups()  # type: ignore[union-attr]
            try:
                here = importlib.metadata.version(name)
            except importlib.metadata.PackageNotFoundError:
                run.not_run(f"{name} is not installed")
                continue
            assert numbers(here) >= numbers(floor), here
    _audit(run)


def numbers(version: str) -> list[int]:
    return [int(n) for n in re.findall(r"\d+", version.split("+")[0])]


def _audit(run: Run) -> None:
    """pip-audit, where it is installed and its database can be reached."""
    if run.scale == "PR":
        return
    audit = shutil.which("pip-audit") or str(Path(sys.executable).with_name("pip-audit"))
    if not Path(audit).exists():
        run.not_run("pip-audit is not installed")
        return
    done = subprocess.run([audit, "-f", "json"], capture_output=True, text=True)
    try:
        found = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        run.not_run(f"pip-audit: {done.stderr.strip()[-150:]}")
        return
    ours = {"torch", "numpy", "pillow", "click", "safetensors", "constriction", "rich"}
    ours |= {"jinja2", "pathspec", "platformdirs", "markupsafe", "threadpoolctl"}
    for package in found:
        if package["name"].lower() in ours:
            if "skip_reason" in package:
                run.not_run(f"pip-audit: {package['skip_reason']}")
                continue
            with run.case(f"pip-audit: {package['name']}"):
                assert not package.get("vulns"), [v["id"] for v in package["vulns"]]


@trial("T23", "weights that are not byte for byte the released ones are refused before parsing", 10)
def weights(run: Run) -> None:
    card = find("tiny")
    with TemporaryDirectory() as name:
        folder = Path(name, "copy")
        shutil.copytree(card.folder, folder)
        file = folder / "model.safetensors"
        whole = file.read_bytes()
        for index in range(run.times(100, 3000, 10_000)):
            data = bytearray(whole)
            at = int(run.rng.integers(len(data)))
            way = index % 4
            if way == 0:
                data[at] ^= 1 << int(run.rng.integers(8))
            elif way == 1:
                del data[at:]
            elif way == 2:
                data[at:at] = run.rng.bytes(8)
            else:
                data[:8] = int(run.rng.choice([0, 2**63, 100_000_000, len(whole)])).to_bytes(
                    8, "little"
                )
            if bytes(data) == whole:
                continue
            file.write_bytes(data)
            with run.case(f"weights, way {way} at byte {at}"):
                try:
                    load(read_card(folder))
                except ModelError as error:
                    assert "digest" in str(error)
                else:
                    raise AssertionError("accepted")
        file.write_bytes(whole)
        cards = folder / "card.toml"
        text = cards.read_text()
        for index in range(run.times(100, 3000, 10_000)):
            broken = bytearray(text.encode())
            for _ in range(int(run.rng.integers(1, 4))):
                broken[int(run.rng.integers(len(broken)))] = int(run.rng.integers(256))
            cards.write_bytes(broken)
            with run.case(f"card {index}"), contextlib.suppress(ModelError):
                load(read_card(folder))
