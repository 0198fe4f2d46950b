"""Pictures that come in: broken ones, bombs, and what is said about the people in them."""

from __future__ import annotations

import io
import socket
import zlib
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image, PngImagePlugin

from sic_cli.errors import SicError
from sic_cli.picture.load import load
from sic_cli.pipeline.convert import decode_file, encode_file
from sic_cli.pipeline.options import DecodeOptions, EncodeOptions
from tests.conftest import run_main
from tests.tiny import made_picture
from tests.trust.campaign import Run, trial

LIMITS = (65_535, 178_000_000)
PICTURE = Image.fromarray(made_picture(37, 52, 6))


def files() -> dict[str, bytes]:
    """Name -> a small picture file, one for each way of storing pixels."""
    ways: dict[str, tuple[str, Image.Image, dict[str, object]]] = {
        "png": ("PNG", PICTURE, {}),
        "palette png": ("PNG", PICTURE.convert("P", palette=Image.Palette.ADAPTIVE), {}),
        "jpeg": ("JPEG", PICTURE, {}),
        "progressive jpeg": ("JPEG", PICTURE, {"progressive": True}),
        "webp": ("WEBP", PICTURE, {}),
        "lossless webp": ("WEBP", PICTURE, {"lossless": True}),
        "tiff": ("TIFF", PICTURE, {}),
        "deflated tiff": ("TIFF", PICTURE, {"compression": "tiff_deflate"}),
        "gif": ("GIF", PICTURE, {}),
        "bmp": ("BMP", PICTURE, {}),
        "ppm": ("PPM", PICTURE, {}),
        "tga": ("TGA", PICTURE, {"compression": "tga_rle"}),
        "qoi": ("QOI", PICTURE, {}),
        "jpeg 2000": ("JPEG2000", PICTURE, {}),
        "avif": ("AVIF", PICTURE, {}),
    }
    out = {}
    for name, (format_, picture, options) in ways.items():
        file = io.BytesIO()
        picture.save(file, format_, **options)
        out[name] = file.getvalue()
    return out


@trial(
    "T18", "broken pictures are refused, or read as some whole picture; cut ones never in part", 10
)
def broken_pictures(run: Run) -> None:
    refused = 0
    for name, whole in files().items():
        pixels = load(whole, "x", *LIMITS).pixels
        for index in range(run.times(10, 400, 4000)):
            data = bytearray(whole)
            at = int(run.rng.integers(len(data)))
            cut = index % 2 == 0
            if cut:
                del data[at:]
            else:
                for _ in range(int(run.rng.integers(1, 6))):
                    data[int(run.rng.integers(len(data)))] = int(run.rng.integers(256))
            with run.case(f"{name}, {'cut at' if cut else 'changed near'} byte {at}"):
                try:
                    got = load(bytes(data), "x", *LIMITS).pixels
                except SicError as error:
                    assert error.exit_code in (4, 7) and "\n" not in str(error), error
                    refused += 1
                    continue
                assert not cut or np.array_equal(got, pixels), "a part read as if it were whole"
    run.note(f"{refused} of {run.tried} refused")


def png(width: int, height: int, *, text: bytes = b"", rows: bytes = b"") -> bytes:
    """A PNG file that claims a size; `rows`: compressed data."""
    out = [b"\x89PNG\r\n\x1a\n"]
    head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes((8, 2, 0, 0, 0))
    for kind, data in ((b"IHDR", head), (b"zTXt", text), (b"IDAT", rows), (b"IEND", b"")):
        if data or kind in (b"IHDR", b"IEND"):
            check = zlib.crc32(kind + data).to_bytes(4, "big")
            out.append(len(data).to_bytes(4, "big") + kind + data + check)
    return b"".join(out)


@trial("T19b", "pictures that claim to be enormous are refused before their pixels are read", 6)
def picture_bombs(run: Run) -> None:
    small = zlib.compress(bytes(100_000))
    bombs = {
        "png of 50 000 x 50 000": png(50_000, 50_000, rows=small),
        "png of 2^31 - 1 a side": png(2**31 - 1, 2**31 - 1, rows=small),
        "png of 100 000 x 1": png(100_000, 1, rows=small),
        "png without rows": png(100, 100),
        "png of 0 x 0": png(0, 0, rows=small),
        "png text of 100 MB": png(
            10, 10, text=b"a\0\0" + zlib.compress(bytes(100_000_000), 9), rows=small
        ),
        "ppm of 10^9 pixels": b"P6 1000000 1000 255\n" + bytes(1000),
        "ppm of a long number": b"P6 " + b"9" * 400 + b" 1 255\n",
        "bmp": b"BM"
        + bytes(8)
        + (54).to_bytes(4, "little")
        + (40).to_bytes(4, "little")
        + (60_000).to_bytes(4, "little") * 2
        + bytes.fromhex("01001800")
        + bytes(24),
        "qoi": b"qoif" + (60_000).to_bytes(4, "big") * 2 + bytes((3, 0)) + bytes(100),
        "tga": bytes(12) + (65_535).to_bytes(2, "little") * 2 + bytes((24, 0)) + bytes(50),
    }
    for name, data in bombs.items():
        with run.case(name):
            try:
                load(data, "x", *LIMITS)
            except SicError as error:
                assert error.exit_code in (4, 7), error
            else:
                raise AssertionError("accepted")


CANARY = b"CANARY-4711-Kanarienvogel"


def with_secrets(format_: str) -> bytes:
    """A picture file with a canary wherever its format holds text."""
    word = CANARY.decode()
    exif = Image.Exif()
    exif[0x010F], exif[0x013B], exif[0x9286] = word, word, CANARY
    gps = exif.get_ifd(0x8825)
    gps[1], gps[29] = "N", word
    options: dict[str, object] = {"exif": exif}
    if format_ == "PNG":
        text = PngImagePlugin.PngInfo()
        text.add_text("Author", word)
        text.add_text("Comment", word, zip=True)
        text.add_itxt("XML:com.adobe.xmp", f"<x:xmpmeta>{word}</x:xmpmeta>")
        options["pnginfo"] = text
    if format_ in ("PNG", "JPEG", "WEBP", "TIFF", "AVIF"):
        options["icc_profile"] = b"\0" * 128 + CANARY
    if format_ in ("JPEG", "WEBP", "AVIF"):
        options["xmp"] = f"<x:xmpmeta>{word}</x:xmpmeta>".encode()
    if format_ == "JPEG":
        options["comment"] = CANARY
    out = io.BytesIO()
    PICTURE.save(out, format_, **options)
    return out.getvalue()


def tells(data: bytes) -> bool:
    """True if the canary is in there, plain, as UTF-16, or in anything that inflates."""
    forms = (CANARY, CANARY.decode().encode("utf-16-le"), CANARY.decode().encode("utf-16-be"))
    if any(form in data for form in forms):
        return True
    for at in range(len(data) - 2):
        if data[at] == 0x78:
            try:
                if CANARY in zlib.decompressobj().decompress(data[at:], 1 << 20):
                    return True
            except zlib.error:
                continue
    return False


@trial("T12", "--metadata none leaves nothing of the source, and nothing of the machine gets in", 9)
def secrets(run: Run) -> None:
    for format_ in ("PNG", "JPEG", "WEBP", "TIFF", "AVIF"):
        data = with_secrets(format_)
        with run.case(f"control: the {format_} file tells"):
            assert tells(data)
        options = EncodeOptions(metadata="none", model="tiny", device="cpu")
        with run.case(f"{format_}: nothing in the .sic file"):
            made = encode_file(data, "x", options)
            assert not tells(made.data)
            for out in ("PNG", "JPEG", "TIFF"):
                back = decode_file(made.data, "x", out, DecodeOptions(device="cpu"))
                assert not tells(back.data), f"decoded {out} tells"
    _places_only(run)
    with (
        run.case("file name, folder and host do not get in; two runs are equal"),
        TemporaryDirectory() as folder,
    ):
        made_files = []
        for name in ("a-very-long-name-of-mine.png", "another-name.png"):
            source, out = Path(folder, name), Path(folder, "out.sic")
            PICTURE.save(source)
            arguments = ("-m", "tiny", "-d", "cpu", "-f", "--metadata", "none")
            assert run_main("encode", str(source), "-o", str(out), *arguments).code == 0
            made_files.append(out.read_bytes())
            for word in (name, folder, socket.gethostname()):
                assert word.encode() not in out.read_bytes()
        assert made_files[0] == made_files[1]


def _places_only(run: Run) -> None:
    """--strip-gps takes the place and leaves the rest."""
    exif = Image.Exif()
    exif[0x010F] = "a maker that stays"
    exif.get_ifd(0x8825)[29] = CANARY.decode()
    for format_ in ("PNG", "JPEG", "WEBP"):
        source = io.BytesIO()
        PICTURE.save(source, format_, exif=exif)
        with run.case(f"{format_} without its place"):
            assert tells(source.getvalue())
            options = EncodeOptions(model="tiny", device="cpu", strip_gps=True)
            made = encode_file(source.getvalue(), "x", options).data
            assert not tells(made) and b"a maker that stays" in made
            back = decode_file(made, "x", "JPEG", DecodeOptions(device="cpu")).data
            assert not tells(back) and b"a maker that stays" in back
