"""Debian packages without installing them: fetched by apt into a folder, checked, read in memory.

apt is asked for with lists and settings of its own in that folder, so that nothing of the machine
changes and no root is needed; it checks signatures. What it brings must also have the SHA-256 that
the caller knows. Nothing is unpacked to disk: names in an archive are only names.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
LARGEST = 64 << 20
"""No file of a package larger than this is read."""


class PackageError(Exception):
    """Why a package is not to be had; one sentence."""


@dataclass(frozen=True, slots=True)
class Package:
    """One version of one package, known by its digest."""

    name: str
    suite: str
    version: str
    sha256: str


def sound(path: Path, package: Package) -> bool:
    """Whether the file is exactly that version."""
    return hashlib.sha256(path.read_bytes()).hexdigest() == package.sha256


def local(folder: Path, package: Package) -> Path | None:
    """The file of a package that was fetched before; one with another digest is removed."""
    for path in sorted(folder.glob(f"{package.name}_*.deb")):
        if sound(path, package):
            return path
        path.unlink()
    return None


def fetch(packages: Sequence[Package], folder: Path, mirror: str | None = None) -> None:
    """Bring what is not there yet into `folder`; PackageError if apt or the network is missing."""
    missing = [package for package in packages if local(folder, package) is None]
    if not missing:
        return
    folder.mkdir(parents=True, exist_ok=True)
    try:
        settings = own_settings(folder / "apt", mirror or machines_mirror(), missing)
        apt(["update"], folder, settings)
        wanted = [f"{package.name}={package.version}" for package in missing]
        try:
            apt(["download", *wanted], folder, settings)
        except PackageError:  # one that is gone must not keep the others away
            for one in wanted:
                try:
                    apt(["download", one], folder, settings)
                except PackageError as error:
                    print(f"{one} left out: {error}")
    except FileNotFoundError:
        raise PackageError("apt-get is not here") from None


def machines_mirror() -> str:
    """Where this machine's apt gets Debian from."""
    asked = subprocess.run(
        ["apt-get", "update", "--print-uris"], capture_output=True, text=True, timeout=60
    )
    found = re.search(r"'([^']+/debian)/dists/", asked.stdout)
    if not found:
        raise PackageError("apt knows no mirror of Debian here; name one with --mirror")
    return found[1]


def own_settings(folder: Path, mirror: str, packages: Sequence[Package]) -> Path:
    """apt's settings with lists, cache and sources in `folder` alone."""
    folder = folder.absolute()
    for part in ("lists/partial", "cache/archives/partial", "state"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    signed = f"Signed-By: {KEYRING}\n" if KEYRING.exists() else ""
    suites = " ".join(sorted({package.suite for package in packages}))
    (folder / "debian.sources").write_text(
        f"Types: deb\nURIs: {mirror}\nSuites: {suites}\nComponents: main\nArchitectures: amd64\n{signed}"
    )
    (folder / "status").write_text("")
    settings = {
        "Dir::State": folder / "state",
        "Dir::State::lists": folder / "lists",
        "Dir::State::status": folder / "status",
        "Dir::Cache": folder / "cache",
        "Dir::Etc::sourcelist": folder / "debian.sources",
        "Dir::Etc::sourceparts": "-",
        "Acquire::Languages": "none",
        "Acquire::Retries": 1,
        "Acquire::http::Timeout": 20,
        "APT::Architecture": "amd64",
        "APT::Sandbox::User": "root",
        "APT::Update::Error-Mode": "any",
    }
    path = folder / "apt.conf"
    path.write_text("".join(f'{name} "{value}";\n' for name, value in settings.items()))
    return path


def apt(arguments: Sequence[str], folder: Path, settings: Path) -> None:
    """Run apt-get with these settings in `folder`; PackageError with its first complaint."""
    environment = os.environ | {"APT_CONFIG": str(settings), "LC_ALL": "C"}
    try:
        done = subprocess.run(
            ["apt-get", "-q", *arguments],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=1200,
        )
    except subprocess.TimeoutExpired:
        raise PackageError(f"apt-get {arguments[0]} took too long") from None
    if done.returncode:
        said = [line[3:] for line in done.stderr.splitlines() if line.startswith("E: ")]
        raise PackageError(said[0] if said else f"apt-get {arguments[0]} failed")


def files(deb: Path) -> Iterator[tuple[str, bytes]]:
    """(path, content) of every ordinary file in a package; links and odd paths are passed over."""
    part, data = data_part(deb.read_bytes())
    if part.endswith(".zst"):  # the standard library reads it from Python 3.14 on
        try:
            asked = subprocess.run(["dpkg-deb", "--fsys-tarfile", str(deb)], capture_output=True)
        except FileNotFoundError:
            raise PackageError(f"{deb.name} is packed with zstd, and dpkg-deb is missing") from None
        data = asked.stdout
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:*") as archive:
            for member in archive:
                path = PurePosixPath(member.name)
                odd = path.is_absolute() or ".." in path.parts
                if not member.isreg() or odd or member.size > LARGEST:
                    continue
                content = archive.extractfile(member)
                if content is not None:
                    yield str(path), content.read()
    except tarfile.TarError as error:
        raise PackageError(f"{deb.name} is not a sound package: {error}") from None


def data_part(deb: bytes) -> tuple[str, bytes]:
    """Name and content of what holds the files of a package (an `ar` archive of three)."""
    place = 8
    while deb.startswith(b"!<arch>\n") and place + 60 <= len(deb):
        name = deb[place : place + 16].decode("ascii", "replace").strip().rstrip("/")
        digits = deb[place + 48 : place + 58].strip()
        if not digits.isdigit():
            break
        size, place = int(digits), place + 60
        if name.startswith("data.tar"):
            return name, deb[place : place + size]
        place += size + size % 2
    raise PackageError("not a Debian package")
