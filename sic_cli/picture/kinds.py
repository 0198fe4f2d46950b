"""What happens to each kind of picture: the loader's table, and the one of docs/pictures.md.

`python -m sic_cli.picture.kinds` prints the latter; a test keeps both the same.
"""

from __future__ import annotations

from dataclasses import dataclass

READERS = (
    "PNG", "JPEG", "WEBP", "BMP", "DIB", "TIFF", "AVIF", "PPM", "GIF", "QOI", "JPEG2000", "TGA",
    "ICO",
)  # fmt: skip
"""Pillow's readers that sic lets near a file; the others parse formats that hold no photographs."""

SUFFIXES = {
    "PNG": (".png", ".apng"),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
    "WEBP": (".webp",),
    "BMP": (".bmp", ".dib"),
    "TIFF": (".tif", ".tiff"),
    "AVIF": (".avif", ".avifs"),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm", ".pfm"),
    "GIF": (".gif",),
    "QOI": (".qoi",),
    "JPEG2000": (".jp2", ".j2k", ".jpc", ".jpf", ".jpx", ".j2c"),
    "TGA": (".tga", ".icb", ".vda", ".vst"),
    "ICO": (".ico",),
}
SAME_AS = {"MPO": "JPEG", "DIB": "BMP"}
"""Formats that go by another's suffixes."""


@dataclass(frozen=True, slots=True)
class Guest:
    """A format that Pillow reads with a package of its own. module: what registers the reader;
    suffixes: of its files; marks: (place, bytes) by which a file is known."""

    format: str
    package: str
    module: str
    suffixes: tuple[str, ...]
    marks: tuple[tuple[int, bytes], ...]


GUESTS = (
    Guest(
        "HEIF",
        "pillow-heif",
        "pillow_heif",
        (".heic", ".heif", ".hif"),
        tuple((4, b"ftyp" + b) for b in (b"heic", b"heix", b"heim", b"heis", b"mif1", b"msf1")),
    ),
    Guest(
        "JXL",
        "pillow-jxl-plugin",
        "pillow_jxl",
        (".jxl",),
        ((0, b"\xff\x0a"), (0, b"\0\0\0\x0cJXL \r\n\x87\n")),
    ),
)

NAMES = {**SUFFIXES, **{guest.format: guest.suffixes for guest in GUESTS}}
"""Suffixes of all formats that can be read."""

STRANGERS = (
    ((0, b"%PDF"), "a PDF document"),
    ((0, b"%!PS"), "a PostScript document"),
    ((0, b"<svg"), "a drawing (SVG)"),
    ((0, b"FUJIFILMCCD-RAW"), "a raw camera file"),
    ((0, b"IIRO"), "a raw camera file"),
    ((0, b"IIU\0"), "a raw camera file"),
    ((4, b"ftypcrx"), "a raw camera file"),
    ((4, b"ftypisom"), "a video"),
    ((4, b"ftypmp4"), "a video"),
    ((4, b"ftypqt"), "a video"),
)
"""What people take for a picture file: marks, and what it is."""

GREY_MODES = ("L", "1", "LA", "La")
FLOAT_MODES = ("F",)


@dataclass(frozen=True, slots=True)
class Kind:
    """A row of docs/pictures.md. notice: code of the warning, or empty."""

    kind: str
    happens: str
    notice: str = ""


KINDS = (
    Kind("RGB, 8 bits", "as it is"),
    Kind(
        "RGB, grey or palette with transparency (also one clear colour, tRNS)",
        "opacity is kept without loss at every level, nothing is stored if all is opaque; `--alpha flatten` puts the picture on `--background`, `--alpha drop` shows it opaque",
    ),
    Kind("grey; black and white", "as grey; decoded as grey of 8 bits"),
    Kind("palette", "as RGB"),
    Kind(
        "16 bits: grey or colour; PNG, TIFF, PGM",
        "read at 16 bits and rounded to 8; `--depth16 error` refuses it, `allow` says nothing",
        "W-depth16",
    ),
    Kind(
        "more than 8 bits: JPEG 2000, AVIF, PPM; 16-bit colour TIFF in planes",
        "the 8 bits that Pillow makes of it",
        "W-depth16",
    ),
    Kind("floating point; whole numbers beyond 0 to 65535", "refused, exit code 4"),
    Kind(
        "CMYK",
        "to sRGB through its profile, without one by the plain formula; the profile is left out",
        "W-cmyk",
    ),
    Kind("YCbCr, LAB, HSV", "to RGB; the profile of LAB pictures is left out"),
    Kind(
        "colour profile (ICC)",
        "kept byte for byte and given back; `--icc srgb` converts the pixels, `--icc ignore` leaves it out",
        "W-icc-converted with -v",
    ),
    Kind("a profile that is broken or for other colours", "kept, not used", "W-icc-bad"),
    Kind(
        "orientation, all eight, in Exif or XMP",
        "pixels are turned upright and the tag set to 1; `--orient keep` leaves both",
    ),
    Kind(
        "Exif, XMP",
        "kept byte for byte but for the orientation; of TIFF files the tags that describe the picture; `--metadata icc` or `none` leaves them out",
    ),
    Kind("position (GPS) in Exif, XMP", "kept; `--strip-gps` takes it out"),
    Kind("resolution (dpi)", "kept unless Exif says it; WebP and AVIF files cannot hold it"),
    Kind("comments, IPTC, other chunks", "left out"),
    Kind(
        "animation, several pages, stereo JPEG (MPO)",
        "the first one; `--frame N` another, counted from 0; `--frame error` refuses",
        "W-frames",
    ),
    Kind("icon (ICO)", "the largest picture"),
    Kind(
        "HDR: PNG or AVIF with PQ or HLG",
        "8 bits, and the chunks that say so, given back to PNG files",
        "W-hdr",
    ),
    Kind("HDR: JPEG with a gain map", "the plain picture", "W-hdr"),
    Kind("HEIF; JPEG XL", "read if pillow-heif or pillow-jxl-plugin is installed, else refused"),
    Kind("raw camera files, SVG, PDF, PostScript, video", "refused, exit code 4"),
    Kind("a name that says another format than the contents", "the contents decide", "W-ext"),
    Kind("bytes behind the end of a PNG file", "ignored", "W-trailing"),
    Kind("cut or broken file", "refused, exit code 4"),
    Kind(
        "1x1 to 65 535 a side, 178 megapixels in all", "exactly that size comes back; more: code 7"
    ),
)


def table() -> str:
    """The table of docs/pictures.md."""
    rows = [f"| {k.kind} | {k.happens} | {k.notice} |" for k in KINDS]
    return "\n".join(["| picture | what happens | notice |", "|---|---|---|", *rows]) + "\n"


if __name__ == "__main__":
    print(table(), end="")
