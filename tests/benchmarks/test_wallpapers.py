"""Fetched pictures never hold a test picture, a wrong package is refused, and nothing is written
outside; with made-up packages and without a network."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))
import debian_packages
import wallpapers
from debian_packages import Package, PackageError


def scene(seed: int, width: int = 900, height: int = 800) -> Image.Image:
    """Blobs of all sizes and a little noise: structure at every scale, as in a photograph."""
    rng = np.random.default_rng(seed)
    total = np.zeros((height, width, 3))
    for side in (3, 7, 15, 31, 63, 127):
        noise = Image.fromarray(rng.integers(0, 256, (side, side, 3), np.uint8))
        total += np.asarray(noise.resize((width, height), Image.Resampling.BICUBIC), float) - 127.5
    return Image.fromarray((127.5 + total / 2).clip(0, 255).astype(np.uint8))


def file_of(picture: Image.Image, kind: str = "PNG", quality: int = 85) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, quality=quality)
    return out.getvalue()


def write_deb(folder: Path, name: str, contents: dict[str, bytes], links: bool = False) -> Package:
    """A package with these files, as `dpkg-deb` would make it."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:xz") as archive:
        if links:
            link = tarfile.TarInfo("./usr/share/away")
            link.type, link.linkname = tarfile.SYMTYPE, str(folder.parent)
            archive.addfile(link)
        for path, content in contents.items():
            member = tarfile.TarInfo(path)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    parts = {"debian-binary": b"2.0\n", "control.tar.xz": b"odd", "data.tar.xz": data.getvalue()}
    deb = b"!<arch>\n"
    for part, content in parts.items():
        deb += f"{part:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n".encode()
        deb += content + b"\n" * (len(content) % 2)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}_1_all.deb").write_bytes(deb)
    return Package(name, "trixie", "1", hashlib.sha256(deb).hexdigest())


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A test picture and a training picture."""
    for folder, seed, name in (("kodak", 1, "a.png"), ("train/shard-0", 2, "b.avif")):
        (tmp_path / folder).mkdir(parents=True)
        scene(seed, 640, 480).save(tmp_path / folder / name)
    (tmp_path / "train" / "manifest.tsv").write_text("file\tsource_sha256\n")
    return tmp_path


def collected(data: Path, contents: dict[str, bytes], links: bool = False) -> tuple[str, list[str]]:
    """(what was said, paths that were kept)."""
    package = write_deb(data / "out" / "debs", "made-up", contents, links)
    said = wallpapers.collect(data, data / "out", (package,))
    sources = data / "out" / "pictures" / "SOURCES.tsv"
    rows = sources.read_text().splitlines()[1:] if sources.exists() else []
    return said, [row.split("\t")[3] for row in rows]


def test_whatever_shows_a_test_picture_is_left_out_and_others_are_kept(data: Path) -> None:
    test = scene(1, 640, 480)
    within = scene(3, 2400, 1600)
    within.paste(test.resize((1100, 825)), (900, 500))
    darker = test.resize((1800, 1350)).point(lambda v: round(v * 0.7 + 10))
    pictures = {
        "same.jpg": file_of(test.resize((1600, 1200)), "JPEG", 60),
        "cropped.jpg": file_of(test.crop((100, 60, 560, 420)).resize((1380, 1080)), "JPEG"),
        "mirrored.png": file_of(test.transpose(Image.Transpose.FLIP_LEFT_RIGHT)),
        "darker.png": file_of(darker),
        "within.png": file_of(within),
        "new.png": file_of(scene(4)),
    }
    said, kept = collected(data, {f"usr/share/backgrounds/{n}": d for n, d in pictures.items()})
    assert kept == ["usr/share/backgrounds/new.png"], said
    assert "   5 show the same as a test picture" in said


def test_training_pictures_and_doubles_come_only_once(data: Path) -> None:
    by_digest = file_of(scene(6))
    with open(data / "train" / "manifest.tsv", "a") as manifest:
        manifest.write(f"c.avif\t{hashlib.sha256(by_digest).hexdigest()}\n")
    pictures = {
        "known.png": by_digest,
        "alike.jpg": file_of(scene(2, 640, 480).resize((1600, 1200)), "JPEG", 70),
        "large.png": file_of(scene(5).resize((1350, 1200))),
        "double.png": file_of(scene(5)),
    }
    said, kept = collected(data, pictures)
    assert kept == ["large.png"], said
    assert "   2 are training pictures already" in said
    assert "   1 show the same as another one" in said


def test_a_package_with_another_digest_is_refused_and_removed(tmp_path: Path) -> None:
    package = write_deb(tmp_path, "made-up", {"a.png": file_of(scene(1))})
    assert debian_packages.local(tmp_path, package)
    wrong = dataclasses.replace(package, sha256="0" * 64)
    assert debian_packages.local(tmp_path, wrong) is None
    assert not list(tmp_path.glob("*.deb"))


def test_odd_paths_and_links_in_a_package_write_nothing_elsewhere(data: Path) -> None:
    picture = file_of(scene(4))
    odd = ("../../escaped.png", f"{data}/absolute.png", "usr/../../up.png", "usr/share/away/in.png")
    before = {p for p in data.rglob("*") if "out" not in p.relative_to(data).parts}
    _, kept = collected(data, dict.fromkeys(odd, picture), links=True)
    assert kept == ["usr/share/away/in.png"]
    assert {p for p in data.rglob("*") if "out" not in p.relative_to(data).parts} == before
    assert not (data.parent / "escaped.png").exists()
    written = sorted(p.name for p in (data / "out" / "pictures").iterdir())
    assert written == [
        f"{hashlib.sha256(picture).hexdigest()[:16]}.avif",
        "SOURCES.tsv",
        "made.json",
    ]


def test_without_test_pictures_nothing_is_added(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="no test pictures"):
        collected(tmp_path, {"a.png": file_of(scene(1))})
    assert not (tmp_path / "out" / "pictures").exists()


def test_without_a_network_one_sentence_is_said_and_what_is_there_stays(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_network(*_: object) -> None:
        raise PackageError("no network")

    monkeypatch.setattr(debian_packages, "apt", no_network)
    monkeypatch.setattr(
        sys, "argv", ["wallpapers.py", str(data), str(data / "out"), "--mirror", "http://localhost"]
    )
    wallpapers.main()
    assert "No wallpapers were fetched (no network)" in capsys.readouterr().out
    assert not (data / "out" / "pictures").exists()


def test_lossy_pictures_are_halved_at_least_and_all_stay_below_two_megapixels() -> None:
    sizes = [
        found.size
        for data in (file_of(scene(1), "JPEG"), file_of(scene(1)), file_of(scene(1, 2600, 1300)))
        if (found := wallpapers.read(data))
    ]
    assert sizes == [(450, 400), (900, 800), (2000, 1000)]
    assert wallpapers.read(b"\xff\xd8 no picture") is None


def test_author_and_licence_are_those_of_the_picture() -> None:
    stated = (
        "Files: *\nCopyright: 2020, All\nLicense: GPL-2+\n\n"
        "Files: nature/Dune.jpg\nCopyright: 2007, Marco\nLicense: CC-BY-4.0\n"
    )
    assert wallpapers.origin(stated, "usr/share/nature/Dune.jpg") == ("2007, Marco", "CC-BY-4.0")
    assert wallpapers.origin(stated, "usr/share/nature/Sea.jpg") == ("2020, All", "GPL-2+")
