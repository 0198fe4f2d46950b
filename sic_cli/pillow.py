"""Pillow reads and writes .sic files once this is imported: `import sic_cli.pillow`.

    with Image.open("photo.sic") as picture:    # header and metadata alone are read
        picture.level = 4                       # or draft(), which thumbnail() calls
        picture.load()                          # decodes
    picture.save("small.sic", target_size=40_000)

Like other plugins it must be imported in every process that opens .sic files, so in the module of a
`Dataset` whose workers are spawned.
"""

from __future__ import annotations

import threading
from typing import IO, Any, Unpack

from PIL import Image, ImageFile

from .codec.bitstream.fields import CHUNK_ALPHA, MAX_CHUNKS_BYTES, MAX_PIXELS, MAX_SIDE, SIGNATURE
from .codec.bitstream.reader import Parsed, open_sic, read_head
from .errors import CorruptError, SicError, UsageError
from .pipeline.chunks import metadata_of
from .pipeline.convert import decode_parsed, encode_picture
from .pipeline.limits import DEFAULT, Limits, LimitsKw, limits_of
from .pipeline.options import DecodeOptions, EncodeOptions

FORMAT, SUFFIX, MIME = "SIC", ".sic", "image/x-sic"
FIRST_READ = 4096
"""Bytes that hold header and chunks of most files."""
MODES = {
    "1",
    "L",
    "LA",
    "La",
    "P",
    "PA",
    "RGB",
    "RGBA",
    "RGBa",
    "RGBX",
    "CMYK",
    "YCbCr",
    "LAB",
    "HSV",
}
WORDS = (
    *("level", "quality", "target_size", "target_bpp", "model", "device"),
    "effort",
    *("max_pixels", "max_memory"),
)
"""What `Image.save` takes beyond metadata."""
ENOUGH = ((6.0, 27.5), (4.0, 29.0), (3.0, 30.0), (2.0, 31.5))
"""(shrunk at least so much by `draft`, expected PSNR of the level in decibels that is enough then).
`thumbnail` asks for twice its size; its pictures are then some 40 dB from those of all levels."""


class SicImageFile(ImageFile.ImageFile):
    """A .sic file. level: decoded by `load`; None: the highest whole one."""

    format = FORMAT
    format_description = "Synonymous image compression"
    device = "auto"
    limits = DEFAULT
    _level: int | None = None
    _size_wanted: tuple[int, int] | None = None
    _preview_scale = 0
    _decoding = threading.Lock()

    def _open(self) -> None:
        if self.fp is None:
            raise SyntaxError("no file")
        self._start = self.fp.tell()
        data = self.fp.read(FIRST_READ)
        while True:
            short: SicError | None = None
            try:
                header, chunks, end, _ = read_head(data)
            except CorruptError as error:
                short = error
            except SicError as error:
                raise SyntaxError(str(error)) from None
            if short is None and end < len(data):
                break
            more = self.fp.read(len(data) or 1)
            if not more or len(data) > 2 * MAX_CHUNKS_BYTES:
                if short is None:
                    break
                raise SyntaxError(str(short))
            data += more
        alpha = any(chunk.type == CHUNK_ALPHA for chunk in chunks)
        self._size = (header.width, header.height)
        self._mode = ("L" if header.grey else "RGB") + ("A" if alpha else "")
        self._levels = header.levels
        self.info.update(metadata_of(chunks).to_info())
        self.info["sic_levels"] = header.levels
        self.info["sic_model"] = header.model.hex()
        self.tile = []
        self._decoding = threading.Lock()

    @property
    def level(self) -> int | None:
        """The level that `load` decodes. Raises ValueError for one that the model does not have, or
        when the picture is decoded already."""
        return self._level

    @level.setter
    def level(self, value: int | None) -> None:
        if value is not None and not (isinstance(value, int) and 0 <= value <= self._levels):
            raise ValueError(f"level {value!r} is not 0 to {self._levels}")
        if self._im is not None:
            raise ValueError("the picture is already decoded")
        self._level = value

    def draft(
        self, mode: str | None, size: tuple[int, int] | None
    ) -> tuple[str, tuple[int, int, float, float]] | None:
        """Decode no finer level than a picture of `size` shows; `level` wins if it is set.

        Where the file's preview holds as many pixels as are shown (`thumbnail` asks for twice as many), it
        alone is decoded, and the picture has its size, as JPEG's drafts have.
        """
        if size is None or self._im is not None:
            return None
        self._size_wanted = size
        width, height = self.size
        for scale in (1, 2):
            sides = -(-width * scale // 16), -(-height * scale // 16)
            if self._level is None and sides[0] >= size[0] and sides[1] >= size[1]:
                self._preview_scale, self._size = scale, sides
                return self.mode, (0, 0, width * scale / 16, height * scale / 16)
        return self.mode, (0, 0, *self.size)

    def load(self) -> Any:
        """Decode at first use. Raises OSError for what is damaged or cut, unless
        `ImageFile.LOAD_TRUNCATED_IMAGES` asks for the best whole level."""
        with self._decoding:
            if self._im is None:
                try:
                    self._decode()
                except SicError as error:
                    raise OSError(str(error)) from error
        return super().load()

    def _decode(self) -> None:
        if self.fp is None:
            raise OSError("cannot load this image: its file is closed")
        self.fp.seek(self._start)
        name = str(self.filename or "image")
        parsed = open_sic(self.fp.read(), name)
        level = self._drafted(parsed) if self._level is None else self._level
        options = DecodeOptions(level=level, device=self.device)
        if self._preview_scale:
            options = DecodeOptions(preview=True, scale=self._preview_scale)
        made = decode_parsed(parsed, name, options, self.limits)
        if made.fault and not ImageFile.LOAD_TRUNCATED_IMAGES:
            raise OSError(f"image file is truncated: {made.fault}")

        from .picture.save import layered

        picture = layered(made.pixels, made.alpha)
        self.im = picture.im
        self._mode, self._size = picture.mode, picture.size
        self.info["sic_level"] = made.level
        self.readonly = 0
        if self._exclusive_fp and self._close_exclusive_fp_after_loading:
            self.fp.close()
        self.fp = None

    def _drafted(self, parsed: Parsed) -> int | None:
        """The lowest level that is enough for what `draft` asked for."""
        if self._size_wanted is None:
            return None
        shrink = min(
            have / max(1, want) for have, want in zip(self.size, self._size_wanted, strict=True)
        )
        needed = next((psnr for at_least, psnr in ENOUGH if shrink >= at_least), None)
        fine = [row.level for row in parsed.layers[1:] if needed and row.psnr / 4 >= needed]
        return fine[0] if fine else None

    def verify(self) -> None:
        """Compare all checksums. Raises OSError."""
        try:
            if self.fp is not None:
                self.fp.seek(self._start)
                open_sic(self.fp.read(), str(self.filename or "image"), strict=True)
        except SicError as error:
            raise OSError(str(error)) from error
        finally:
            super().verify()


def _accept(prefix: bytes) -> bool:
    return prefix.startswith(SIGNATURE)


def _save(im: Image.Image, fp: IO[bytes], filename: str | bytes) -> None:
    """`Image.save(fp, "SIC", level=, quality=, target_size=, target_bpp=, model=, device=, effort=,
    max_pixels=, max_memory=, exif=, icc_profile=, xmp=)`; metadata is `info`'s unless it is given."""
    from .picture.load import from_image

    if im.mode not in MODES:
        raise OSError(f"cannot write mode {im.mode} as SIC")
    wanted = getattr(im, "encoderinfo", {})
    given = {name: wanted[name] for name in WORDS if wanted.get(name) is not None}
    source = im.copy()
    source.info = {
        **im.info,
        **{k: wanted[k] for k in ("icc_profile", "xmp", "dpi") if k in wanted},
    }
    exif = wanted.get("exif", im.info.get("exif"))
    source.info["exif"] = exif.tobytes() if isinstance(exif, Image.Exif) else exif
    try:
        limits, options = _checked(given)
        picture = from_image(source, "image", MAX_SIDE, MAX_PIXELS, options, limits.check)
        fp.write(encode_picture(picture, "image", options).data)
    except UsageError as error:
        raise ValueError(str(error)) from error
    except SicError as error:
        raise OSError(str(error)) from error


def _checked(given: dict[str, Any]) -> tuple[Limits, EncodeOptions]:
    from .api import encode_options

    limits, rest = limits_of(given)
    model, device = rest.pop("model", None), rest.pop("device", "auto")
    return limits, encode_options({**rest, "orient": "keep"}, model, device)


def register(device: str = "auto", **limits: Unpack[LimitsKw]) -> None:
    """Tell Pillow; importing this module has done it. device: where `load` decodes; max_pixels,
    max_memory: what it refuses, as of `sic_cli.decode`. Raises UsageError."""
    SicImageFile.limits, _ = limits_of(limits)
    SicImageFile.device = device
    Image.register_open(FORMAT, SicImageFile, _accept)
    Image.register_save(FORMAT, _save)
    Image.register_extension(FORMAT, SUFFIX)
    Image.register_mime(FORMAT, MIME)


register()
