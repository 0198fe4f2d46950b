"""What travels beside the pixels: colour profile, Exif, XMP, resolution, HDR; and what may be cut.

Works on what a reader left in `info`, so it needs no Pillow of its own. Standard library only.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..errors import Notice
from . import exif as edit

HDR_CHUNKS = ("cICP", "mDCV", "cLLI")
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PQ, HLG = 16, 18
"""Transfer characteristics of HDR pictures (ITU-T H.273)."""
X_RESOLUTION = 0x011A
GAIN_MAPS = (b"ns.adobe.com/hdr-gain-map", b"ns.apple.com/HDRGainMap")


@dataclass(frozen=True, slots=True)
class Metadata:
    """exif: without prefix; dpi: columns, rows; hdr: PNG chunks by name."""

    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None
    hdr: Mapping[str, bytes] = field(default_factory=dict)

    def upright(self) -> Metadata:
        """After the pixels were turned: nobody must turn them twice."""
        return replace(
            self,
            exif=self.exif and edit.upright(self.exif),
            xmp=self.xmp and edit.xmp_upright(self.xmp),
        )

    def to_info(self) -> dict[str, Any]:
        """As Pillow's pictures have it in `info`."""
        out: dict[str, Any] = {}
        if self.icc:
            out["icc_profile"] = self.icc
        if self.exif:
            out["exif"] = edit.PREFIX + self.exif
        if self.xmp:
            out["xmp"] = self.xmp
        if self.dpi:
            out["dpi"] = self.dpi
        return out

    def chosen(self, keep: str, strip_gps: bool, name: str) -> tuple[Metadata, list[Notice]]:
        """What `--metadata` all, icc or none keeps, perhaps without the position."""
        if keep == "none":
            return Metadata(), []
        if keep == "icc":
            return Metadata(icc=self.icc, hdr=self.hdr), []
        if not strip_gps:
            return self, []
        return _without_gps(self, name)


def _without_gps(metadata: Metadata, name: str) -> tuple[Metadata, list[Notice]]:
    """What cannot be searched for a position goes as a whole."""
    exif, xmp, lost = metadata.exif, metadata.xmp, []
    try:
        exif = exif and edit.without_gps(exif)
    except ValueError:
        exif = None
        lost.append("Exif")
    try:
        xmp = xmp and edit.xmp_without_gps(xmp)
    except ValueError:
        xmp = None
        lost.append("XMP")
    notices = [
        Notice(f"{name}: {kind} left out: no position can be taken out of it", "W-meta-lost")
        for kind in lost
    ]
    return replace(metadata, exif=exif, xmp=xmp), notices


def from_info(info: Mapping[Any, Any], data: bytes = b"") -> Metadata:
    """What a reader of Pillow found. data: the file, for what Pillow does not tell."""
    exif = info.get("exif")
    if exif is None and isinstance(raw := info.get("Raw profile type exif"), str):
        try:  # how ImageMagick keeps it in a PNG file
            exif = bytes.fromhex("".join(raw.split("\n")[3:]))
        except ValueError:
            exif = None
    xmp = info.get("xmp") or info.get("XML:com.adobe.xmp")
    if isinstance(xmp, str):
        xmp = xmp.encode()
    icc = info.get("icc_profile")
    kept = edit.stripped(exif) if isinstance(exif, bytes) else b""
    dpi = _dpi(info.get("dpi"))
    if dpi and (edit.has(kept, X_RESOLUTION) or _made_up(dpi, info)):
        dpi = None
    return Metadata(
        icc=icc if isinstance(icc, bytes) and icc else None,
        exif=kept or None,
        xmp=xmp if isinstance(xmp, bytes) and xmp else None,
        dpi=dpi,
        hdr=hdr_of(data),
    )


def _dpi(value: Any) -> tuple[float, float] | None:
    try:
        x, y = (float(v) for v in value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    fine = all(math.isfinite(v) and 0.001 <= v <= 1e6 for v in (x, y))
    return (x, y) if fine else None


def _made_up(dpi: tuple[float, float], info: Mapping[Any, Any]) -> bool:
    """What Pillow says of TIFF and JPEG files that state no resolution."""
    return dpi == (1, 1) or (dpi == (72, 72) and "exif" in info and not info.get("jfif_unit"))


def hdr_of(data: bytes) -> dict[str, bytes]:
    """The chunks of a PNG file that say that its samples are HDR; for AVIF the same as `cICP`."""
    if data.startswith(PNG_SIGNATURE):
        found = {kind: body for kind, body in _png_chunks(data) if kind in HDR_CHUNKS}
    else:
        nclx = re.search(rb"colrnclx(.{7})", data[:65536], re.DOTALL)
        found = {}
        if nclx and data[4:8] == b"ftyp":
            primaries, transfer, _, full = struct.unpack(">HHHB", nclx[1])
            if transfer in (PQ, HLG) and primaries < 256:
                found["cICP"] = bytes((primaries, transfer, 0, full >> 7))
    cicp = found.get("cICP", b"")
    return found if len(cicp) == 4 and cicp[1] in (PQ, HLG) else {}


def _png_chunks(data: bytes) -> list[tuple[str, bytes]]:
    """(type, data) up to the pixels, data only of small chunks."""
    out, place = [], len(PNG_SIGNATURE)
    while place + 12 <= len(data):
        length = int.from_bytes(data[place : place + 4], "big")
        kind = data[place + 4 : place + 8].decode("latin-1")
        if kind in ("IDAT", "IEND"):
            break
        out.append((kind, data[place + 8 : place + 8 + length] if length <= 64 else b""))
        place += 12 + length
    return out


def trailing_bytes(data: bytes) -> int:
    """Bytes behind the end of a PNG file."""
    place = len(PNG_SIGNATURE)
    while data.startswith(PNG_SIGNATURE) and place + 12 <= len(data):
        kind = data[place + 4 : place + 8]
        place += 12 + int.from_bytes(data[place : place + 4], "big")
        if kind == b"IEND":
            return max(0, len(data) - place)
    return 0


def hdr_notices(metadata: Metadata, name: str) -> list[Notice]:
    """What is lost of an HDR picture."""
    if metadata.hdr:
        return [
            Notice(f"{name}: HDR picture; 8 bits of it are kept, and what says so", "W-hdr"),
        ]
    if metadata.xmp and any(mark in metadata.xmp for mark in GAIN_MAPS):
        return [Notice(f"{name}: its HDR gain map is not carried", "W-hdr")]
    return []
