"""The photographs of Debian's wallpaper packages as further training pictures.

    python benchmarks/wallpapers.py DATA OUT [--mirror URL]

DATA holds `train`, `kodak` and `holdout`. OUT/debs keeps the packages, so that none is fetched
twice; OUT/pictures gets the pictures (AVIF 4:4:4) and SOURCES.tsv says whose they are. Left out is
what shows the same as a test picture, as a training picture or as another of these
(`likeness.py`), and what was looked at and is no photograph. Without a network it says so and
leaves what is there.
"""

from __future__ import annotations

import argparse
import fnmatch
import hashlib
import io
import json
import math
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import debian_packages
import likeness
from debian_packages import Package, PackageError
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

PACKAGES = (
    Package(
        "budgie-backgrounds",
        "trixie",
        "3.0-1",
        "b91c2d5209558bc11d8d3a161f22a608857e3f8c735980cfab0d6650b03014ca",
    ),
    Package(
        "gnome-backgrounds",
        "bullseye",
        "3.38.0-1",
        "76d8a4c52e5f346d9cb08bc8a1f58ad443d2bae211721af8a7248457c7a520e8",
    ),
    Package(
        "lomiri-wallpapers-16.04",
        "trixie",
        "20.04.0-4",
        "f74676719f9d0128e5310e65ef97d596bcece8b6a43524ab8949ee1be0a4f18c",
    ),
    Package(
        "lomiri-wallpapers-20.04",
        "trixie",
        "20.04.0-4",
        "fbf4c3bcbfea7f70bc1f5ed270fe97995119d02e9102715e0377d877ee848b0b",
    ),
    Package(
        "mate-backgrounds",
        "trixie",
        "1.26.0-1",
        "7bf4c2209f34b4f61ba6d24c8b58c28b361e82e4b943aae6d42c030169af9e04",
    ),
    Package(
        "plasma-workspace-wallpapers",
        "trixie",
        "4:6.3.4-1",
        "b521d36486817f7a44c26faf247b9528138cc1ea1e8b154442a757c7e31faa2c",
    ),
)
"""Every picture of these versions was looked at; another version must be looked at first."""

NOT_FETCHED = {
    "ukui-wallpapers 20.04.3": "twelve renderings and drawings",
    "gnome-backgrounds 48": "renderings, most of them drawn as curves",
    "breeze-wallpaper, desktop-base, phosh-wallpapers, lomiri-wallpapers": "drawn or rendered",
    "sway-backgrounds, arc-kde, xfdesktop4-data, debian-edu-artwork": "drawn or rendered",
    "propaganda-debian, gnome-screensaver-flags, mate-screensaver-common": "tiles, flags, shapes",
    "wordpress-theme-twentytwentyfour, -five": "some CC0 photographs, small; a new version, not "
    "looked at, with every security update",
}
"""Not used, with the reason; the rows of sway-backgrounds and propaganda-debian go by names and descriptions
alone."""

LEFT_OUT = {
    "budgie-backgrounds": {
        "ocean-waves.jpg": "a woodblock print",
        "*-midnight.jpg": "drawn",
    },
    "gnome-backgrounds": {
        "adwaita-*": "rendered",
        "Endless-shapes.jpg": "drawn",
        "Icetwigs.jpg": "neither author nor licence is stated",
        "Stripes.jpg": "rendered",
        "Symbolics-*": "drawn",
        "VNC.png": "one colour",
        "Wood.jpg": "rendered",
    },
    "lomiri-wallpapers-16.04": {"umang_*": "a gradient"},
    "lomiri-wallpapers-20.04": {
        "Fossa_*": "drawn",
        "Infinite-Sea_*": "drawn over a photograph",
        "Painting-Colors_*": "drawn",
    },
    "mate-backgrounds": {"*/abstract/*": "drawn or painted", "*/desktop/*": "drawn"},
    "plasma-workspace-wallpapers": {
        "*/contents/screenshot.*": "a preview",
        "*.png": "drawn or rendered (all PNG files of this package)",
        "*/Autumn/*": "painted",
        "*/Flow/*": "rendered",
        "*/Honeywave/*": "rendered",
        "*/PastelHills/*": "drawn",
        "*/SafeLanding/*": "drawn",
        "*/Shell/*": "rendered",
        "*/Volna/*": "rendered",
    },
}
"""package -> pattern of the path or the name -> why; by eye."""

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".avif", ".tif", ".tiff", ".bmp"}
LOSSY = {"JPEG", "WEBP", "AVIF", "MPO"}
MOST_PIXELS, LEAST_SIDE = 2_000_000, 384
COLUMNS = [
    "file",
    "package",
    "version",
    "path",
    "author",
    "licence",
    "source_sha256",
    "width",
    "height",
]
REASONS = {
    "test": "show the same as a test picture",
    "train": "are training pictures already",
    "other": "show the same as another one",
    "eye": "are no photographs, or of unknown origin (looked at)",
    "small": "are too small",
    "broken": "cannot be read or are transparent",
}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A picture file of a package."""

    package: Package
    path: str
    data: bytes
    author: str
    licence: str

    @property
    def digest(self) -> str:
        """SHA-256 of the file as the package has it."""
        return hashlib.sha256(self.data).hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description="Photographs of Debian's wallpaper packages.")
    parser.add_argument("data", type=Path, help="folder with train, kodak and holdout")
    parser.add_argument("out", type=Path, help="folder for packages and pictures")
    parser.add_argument("--mirror", help="URL of a Debian mirror (default: that of apt here)")
    given = parser.parse_args()
    Image.MAX_IMAGE_PIXELS = 1 << 27
    try:
        debian_packages.fetch(PACKAGES, given.out / "debs", given.mirror)
    except PackageError as error:
        print(f"No wallpapers were fetched ({error}); going on with what is there.")
    print(collect(given.data, given.out, PACKAGES))


def collect(data: Path, out: Path, packages: tuple[Package, ...]) -> str:
    """Make OUT/pictures from the packages in OUT/debs; say what was found and what left out."""
    found = {p: path for p in packages if (path := debian_packages.local(out / "debs", p))}
    pictures, stamp = out / "pictures", stamp_of(data, list(found))
    if not found:
        return "No wallpaper package is there, so no pictures are added."
    if (pictures / "made.json").exists():
        made = json.loads((pictures / "made.json").read_text())
        if made["stamp"] == stamp:
            return str(made["summary"])
    tests = [path for name in ("kodak", "holdout") for path in sorted((data / name).glob("*.png"))]
    if not tests:
        raise SystemExit(f"{data}: no test pictures to compare with, so nothing is added")
    part = out / "pictures.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    candidates = [c for package, path in found.items() for c in candidates_of(package, path)]
    rows, left = sift(candidates, data, tests, part)
    (part / "SOURCES.tsv").write_text(
        "".join("\t".join(row) + "\n" for row in [COLUMNS, *rows]), encoding="utf-8"
    )
    pixels = sum(int(row[-2]) * int(row[-1]) for row in rows)
    summary = "\n".join(
        [
            f"{len(found)} of {len(packages)} wallpaper packages, {len(candidates)} pictures in "
            f"them, {len(rows)} kept ({pixels / 1e6:.1f} megapixels). Left out:",
            *(f"{left[reason]:4} {text}" for reason, text in REASONS.items()),
        ]
    )
    (part / "made.json").write_text(json.dumps({"stamp": stamp, "summary": summary}))
    shutil.rmtree(pictures, ignore_errors=True)
    if rows:  # `sic train pack` refuses an empty folder
        part.rename(pictures)
    return summary


def stamp_of(data: Path, packages: list[Package]) -> str:
    """Changes with the packages that are there, the pictures to compare with, and this code."""
    digest = hashlib.sha256()
    for module in (__file__, likeness.__file__, debian_packages.__file__):
        digest.update(Path(module).read_bytes())
    for package in packages:
        digest.update(package.sha256.encode())
    for folder in ("train", "kodak", "holdout"):
        for path in sorted((data / folder).rglob("*.*")):
            digest.update(f"{path.relative_to(data)} {path.stat().st_size}\n".encode())
    return digest.hexdigest()


def candidates_of(package: Package, deb: Path) -> Iterator[Candidate]:
    """Every raster picture of a package, with author and licence as far as they are stated."""
    contents = {
        path: data
        for path, data in debian_packages.files(deb)
        if PurePosixPath(path).suffix.lower() in {*SUFFIXES, ".json"}
        or PurePosixPath(path).name in ("copyright", "AUTHORS")
    }
    stated = "\n".join(
        data.decode("utf-8", "replace")
        for path, data in contents.items()
        if PurePosixPath(path).name in ("copyright", "AUTHORS")
    )
    for path, data in contents.items():
        if PurePosixPath(path).suffix.lower() not in SUFFIXES:
            continue
        folder = path.split("/contents/")[0]
        author, licence = (
            plasma(contents[f"{folder}/metadata.json"])
            if (f"{folder}/metadata.json" in contents)
            else origin(stated, path)
        )
        yield Candidate(package, path, data, author, licence)


def plasma(metadata: bytes) -> tuple[str, str]:
    """(author, licence) of a wallpaper of Plasma."""
    plugin = json.loads(metadata).get("KPlugin", {})
    authors = ", ".join(author.get("Name", "") for author in plugin.get("Authors", []))
    return authors, str(plugin.get("License", ""))


def origin(stated: str, path: str) -> tuple[str, str]:
    """(author, licence) by the stanza of a copyright file, or the paragraph of a list of authors,
    that names the picture; else by the stanza for all files."""
    name, best = PurePosixPath(path).name, ("", "")
    for stanza in re.split(r"\n\s*\n", stated):
        fields = dict(re.findall(r"^(Files|Copyright|License):[ \t]*(.*)$", stanza, re.M))
        patterns = [PurePosixPath(p).name for p in fields.get("Files", "").split()]
        named = any(p != "*" and fnmatch.fnmatch(name, p) for p in patterns)
        if named:
            return fields.get("Copyright", ""), fields.get("License", "")
        if fields.get("Files") == "*":
            best = fields.get("Copyright", ""), fields.get("License", "")
        elif f"- {name}:" in stanza:
            text = " ".join(line.strip() for line in stanza.split(":\n")[-1].splitlines())
            return text, "CC0" if "CC0" in text else text.partition("Licensed under ")[2]
    return best


def sift(
    candidates: list[Candidate], data: Path, tests: list[Path], out: Path
) -> tuple[list[list[str]], Counter[str]]:
    """Write what may be trained on into `out`: (rows of SOURCES.tsv, how many were left out why)."""
    left: Counter[str] = Counter()
    train = sorted((data / "train").rglob("*.avif"))
    known = {line.split("\t")[-1] for line in lines(data / "train" / "manifest.tsv")}
    looked: list[tuple[Candidate, Image.Image]] = []
    for candidate in candidates:
        name = PurePosixPath(candidate.path).name
        patterns = LEFT_OUT.get(candidate.package.name, {})
        if any(fnmatch.fnmatch(t, p) for p in patterns for t in (name, f"/{candidate.path}")):
            left["eye"] += 1
        elif candidate.digest in known:
            left["train"] += 1
        elif (picture := read(candidate.data)) is None:
            left["broken"] += 1
        elif min(picture.size) < LEAST_SIDE:
            left["small"] += 1
        else:
            looked.append((candidate, picture))
    forbidden = likeness.album(opened(tests), 0.2, parts=True, mirrored=True)
    trained = likeness.album(opened(train), 0.5, parts=False, mirrored=False)
    others = likeness.Album([], 0.5, mirrored=True)
    rows = []
    for candidate, picture in sorted(looked, key=lambda c: (-c[1].width * c[1].height, c[0].path)):
        for reason, album in (("test", forbidden), ("train", trained), ("other", others)):
            if match := album.find(picture):
                print(f"{candidate.path}: {REASONS[reason]} ({match[0]}, {match[1]:.2f})")
                left[reason] += 1
                break
        else:
            file = f"{candidate.digest[:16]}.avif"
            others.add(likeness.prints(candidate.path, picture))
            picture.save(out / file, quality=92, subsampling="4:4:4", speed=8, max_threads=1)
            version, author = candidate.package.version, " ".join(candidate.author.split())
            licence = " ".join(candidate.licence.split())
            row = [file, candidate.package.name, version, candidate.path, author, licence]
            rows.append([*row, candidate.digest, str(picture.width), str(picture.height)])
    return sorted(rows), left


def lines(path: Path) -> list[str]:
    """Lines of a text file, none if it is not there."""
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def opened(paths: list[Path]) -> Iterator[tuple[str, Image.Image]]:
    """(name, picture), one at a time."""
    for path in paths:
        with Image.open(path) as picture:
            yield path.name, picture.convert("RGB")


def read(data: bytes) -> Image.Image | None:
    """The picture in sRGB, by an area filter so small that no compression noise is left."""
    try:
        with Image.open(io.BytesIO(data)) as file:
            lossy = file.format in LOSSY
            picture = ImageOps.exif_transpose(file)
            profile = file.info.get("icc_profile")
        if picture.has_transparency_data:
            return None
        if profile and picture.mode == "RGB":
            srgb = ImageCms.createProfile("sRGB")
            picture = ImageCms.profileToProfile(picture, io.BytesIO(profile), srgb) or picture
        picture = picture.convert("RGB")
    except (OSError, ValueError, UnidentifiedImageError, Image.DecompressionBombError):
        return None
    except ImageCms.PyCMSError:
        return None
    factor = math.sqrt(MOST_PIXELS / (picture.width * picture.height))
    factor = min(0.5 if lossy else 1.0, factor)
    size = (max(1, int(picture.width * factor)), max(1, int(picture.height * factor)))
    return picture.resize(size, Image.Resampling.BOX) if factor < 1 else picture


if __name__ == "__main__":
    main()
