"""sic from Python: pictures in memory or files, to .sic bytes and back.

Safe in threads. Weights load once per process. Every failure is a `SicError`; its `exit_code` is the
command line's, its `hint` says what to do.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Unpack

from .codec.bitstream.fields import MAX_PIXELS, MAX_SIDE
from .codec.bitstream.reader import open_sic, parse
from .codec.bitstream.truncate import level_within
from .codec.bitstream.truncate import truncate as truncate_bytes
from .errors import InputError, Notice, UsageError
from .facts import Info, Source, info_of, parse_source, read_source
from .pipeline.convert import decode_parsed, encode_file, encode_picture, prepare
from .pipeline.limits import DEFAULT, Limits, LimitsKw, limits_of
from .pipeline.options import EFFORTS, DecodeOptions, EncodeOptions
from .pipeline.rate_control import parse_targets

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

    from .codec.decode import DecodeProgress

    ImageLike = Image.Image | NDArray[np.uint8] | str | os.PathLike[str] | bytes
    """A picture of Pillow's, an array (H, W), (H, W, 3) or (H, W, 4), a path, or a file's bytes."""

MAX_INPUT = 8 * MAX_PIXELS + (64 << 20)
WORDS = {
    "alpha": ("keep", "flatten", "drop"),
    "depth16": ("warn", "error", "allow"),
    "icc": ("embed", "srgb", "ignore"),
    "orient": ("apply", "keep"),
    "metadata": ("all", "icc", "none"),
    "details": ("mean", "sample"),
}


class EncodeKw(LimitsKw, total=False):
    """Options of `encode`, except model and device, which a `Codec` has."""

    level: int | None
    quality: int | None
    target_size: int | None
    target_bpp: float | None
    targets: Mapping[str, float]
    best_effort: bool
    measure: bool
    realism: float
    alpha: Literal["keep", "flatten", "drop"]
    background: str
    frame: int | Literal["error"] | None
    depth16: Literal["warn", "error", "allow"]
    icc: Literal["embed", "srgb", "ignore"]
    orient: Literal["apply", "keep"]
    metadata: Literal["all", "icc", "none"]
    strip_gps: bool
    effort: int


class DecodeKw(LimitsKw, total=False):
    """Options of `decode`, except device."""

    level: int | Literal["max"]
    details: Literal["mean", "sample"]
    seed: int | None
    realism: float
    strict: bool


@dataclass(frozen=True, slots=True)
class Encoded:
    """data: the .sic file; level: its highest; layer_bytes: of each layer with its head; bpp: of the
    whole file; warnings: what was changed or left out."""

    data: bytes
    level: int
    layer_bytes: tuple[int, ...]
    bpp: float
    info: Info
    warnings: tuple[Notice, ...]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the file, whole or not at all; an old one is replaced."""
        from .storage.files import write_output

        write_output(os.fspath(path), self.data)


def encode(
    image: ImageLike,
    *,
    model: str | Path | None = None,
    device: str = "auto",
    **options: Unpack[EncodeKw],
) -> Encoded:
    """A picture -> a .sic file in memory.

    Args:
        image: A picture of Pillow's; an array uint8 of shape (H, W), (H, W, 3) or (H, W, 4), whose samples
            are taken as sRGB; a path; a picture file's bytes; or an open binary file.
        model: Weights by their name (`sic models`) or folder. None: those that come with sic.
        device: Where the networks run: "auto", "cpu", "cuda" or "cuda:N".
        level: Highest level that is written; 0 is a preview alone. None: all levels.
        quality: 1 to 100, the share of the levels that is written; not JPEG's scale. It excludes level,
            target_size, target_bpp and targets.
        target_size: Most bytes of the whole file; as many whole layers as fit are written.
        target_bpp: The same in bits per pixel.
        targets: What decoded pixels must meet, such as {"psnr": 32, "ssim": 0.97, "lpips": 0.1}: decibels,
            MS-SSIM and LPIPS-Alex. The lowest level that meets all is written, within the ceilings.
        best_effort: Take the nearest level where none meets what was asked for, instead of TargetError.
        measure: State the true PSNR of every level in the file, instead of an expected one.
        realism: 0 to 1, the decoder that targets and measure decode with, as of `decode`.
        effort: 1 to 9, how long the encoder searches for better quantisation indices. Decoding takes no
            longer.
        alpha: What becomes of transparency: "keep" (without loss), "flatten" (onto background) or "drop"
            (the picture is shown opaque).
        background: Colour for "flatten": #RRGGBB or a name.
        frame: Which of several pictures in a file, from 0; "error" refuses such files. None: the first,
            with a notice.
        depth16: More than 8 bits a sample are rounded to 8: "warn" adds a notice, "allow" none, "error"
            refuses.
        icc: The colour profile: "embed" keeps it, "srgb" converts the pixels to sRGB, "ignore" leaves it out.
        orient: "apply" turns the picture upright, "keep" leaves pixels and tag as they are.
        metadata: "all" keeps colour profile, Exif, XMP and resolution, "icc" the profile alone, "none"
            nothing.
        strip_gps: Take the position out of Exif and XMP.
        max_pixels: Refuse pictures with more pixels. Default: what the format allows, 178 megapixels.
        max_memory: Refuse pictures that may need more bytes of memory, 1.2 GB + 12 bytes a pixel. None:
            three quarters of this machine's memory.

    Raises:
        InputError: The picture is missing, unreadable, or of a kind that is refused.
        ResourceError: It is over a limit, memory ended, or there is no such device.
        TargetError: No level meets what was asked for, or the model has no such level.
        ModelError: The weights are missing, or are not what they should be.
        UsageError: An option has a wrong value, or two exclude each other.
    """
    limits, rest = limits_of(options)
    given = encode_options(rest, model, device)
    if hasattr(image, "read"):
        image = image.read()  # an open file
    if isinstance(image, bytes | bytearray | memoryview | str | os.PathLike):
        data, name = read_source(image, MAX_INPUT)
        made = encode_file(data, name, given, limits)
    else:
        from .picture.load import from_image

        pixels = _as_image(image)
        picture = from_image(pixels, "image", MAX_SIDE, MAX_PIXELS, given, limits.check)
        made = encode_picture(picture, "image", given)
    return Encoded(
        made.data, made.level, made.layer_bytes, made.bpp, info_of(parse(made.data)), made.notices
    )


def decode(source: Source, *, device: str = "auto", **options: Unpack[DecodeKw]) -> Image.Image:
    """A .sic file -> a picture of mode L, LA, RGB or RGBA.

    Of a cut or damaged file the best whole level comes, and `info["sic_fault"]` says why. `info` also holds
    icc_profile, exif, xmp and dpi where the file does, and sic_level, sic_levels and sic_model.

    Args:
        source: A path, a file's bytes, or an open binary file.
        device: Where the networks run: "auto", "cpu", "cuda" or "cuda:N".
        level: Level to decode, or "max" for the highest whole one, which is the default. 0 is the preview,
            enlarged.
        details: "mean", or "sample" for another picture that the file allows, by seed.
        seed: Which sample, 0 to 4294967295. None: 1. At realism 0 it changes nothing.
        realism: 0 to 1: 0 is the MSE decoder (least squared error), 1 the perceptual decoder (most natural),
            and values between them mix the parameters of both.
        strict: Refuse a cut or damaged file by CorruptError.
        max_pixels: Refuse files that declare more pixels. Default: what the format allows, 178 megapixels.
        max_memory: Refuse files that may need more bytes of memory, 1.2 GB + 12 bytes a pixel. None:
            three quarters of this machine's memory.

    Raises:
        CorruptError: The file holds no whole level, or, if strict, is damaged anywhere.
        VersionError: A newer sic made it.
        CheckError: Not even the first layer decodes to the symbols that were written.
        ModelError: Its weights are not on this machine, or are not what they should be.
        TargetError: The file is whole and has no such level.
        ResourceError: It is over a limit, memory ended, or there is no such device.
        InputError: The source is missing or unreadable.
        UsageError: An option has a wrong value.
    """
    data, name = read_source(source)
    return _decoded(data, name, options, device)


def decode_levels(
    source: Source, *, device: str = "auto", **options: Unpack[LimitsKw]
) -> Iterator[tuple[int, Image.Image]]:
    """Every whole level of a .sic file from the lowest, each layer read once.

    Args:
        source: A path, a file's bytes, or an open binary file.
        device: Where the networks run: "auto", "cpu", "cuda" or "cuda:N".
        max_pixels: As of `decode`.
        max_memory: As of `decode`.

    Yields:
        The level, and its picture as `decode` makes it; raises as `decode`.
    """
    from .codec.decode import DecodeProgress

    data, name = read_source(source)
    progress = DecodeProgress()
    for level in range(1, open_sic(data, name).level + 1):
        yield level, _decoded(data, name, {**options, "level": level}, device, progress)


def truncate(
    source: Source,
    *,
    level: int | None = None,
    target_size: int | None = None,
    target_bpp: float | None = None,
) -> bytes:
    """The lower levels of a .sic file, without decoding: byte for byte what encoding to that level gives.

    Exactly one of the three options says how much to keep.

    Args:
        source: A path, a file's bytes, or an open binary file.
        level: Highest level to keep; 0 keeps the preview alone.
        target_size: Most bytes of the result; as many whole layers as fit are kept.
        target_bpp: The same in bits per pixel.

    Raises:
        TargetError: The file does not hold the level, or no level fits.
        CorruptError: The file holds no whole level.
        UsageError: None or several of the three were given, or a wrong value.
    """
    given = {"level": level, "target_size": target_size, "target_bpp": target_bpp}
    if sum(value is not None for value in given.values()) != 1:
        raise UsageError("say how much to keep by one of level, target_size and target_bpp")
    _check_numbers(given)
    parsed, data, _ = parse_source(source)
    parsed.require_level()
    if level is None:
        level = level_within(parsed, target_size, target_bpp)
    return truncate_bytes(data, level, parsed)


def preview(source: Source, *, scale: int = 1) -> Image.Image:
    """The preview of a .sic file, from its first bytes alone: no transform, and no model's weights.

    Args:
        source: A path, a file's bytes, or an open binary file. What `info(source).preview_bytes` says is
            enough of it.
        scale: 1 for a sixteenth of the picture's width and height, 2 or 4 for so many times that, by
            bicubic interpolation.

    Raises:
        CorruptError: The file does not hold layer 0, or it is damaged.
        VersionError: A newer sic made it.
        CheckError: Layer 0 decodes to other symbols than were written.
        InputError: The source is missing or unreadable.
        UsageError: scale is not 1, 2 or 4.
    """
    if scale not in (1, 2, 4):
        raise UsageError(f"scale is {scale!r}, not 1, 2 or 4")
    data, name = read_source(source)
    return _shown(data, name, DecodeOptions(preview=True, scale=scale), DEFAULT, None)


class Codec:
    """`encode` and `decode` with one model on one device, loaded when this is made.

    Threads may share it: the codec takes one picture at a time, files are read and written side by side.
    The networks stay in the process when it is closed. It is its own context manager.

    Args:
        model: Weights by their name (`sic models`) or folder, for encoding. None: those that come with sic.
            A file that names other weights is decoded with those.
        device: Where the networks run: "auto", "cpu", "cuda" or "cuda:N".
        threads: CPU threads, for the whole process. 0: as they are.

    Raises:
        ModelError: The weights are missing, or are not what they should be.
        ResourceError: There is no such device.
        UsageError: device is none of these words.
    """

    def __init__(
        self, model: str | Path | None = None, device: str = "auto", threads: int = 0
    ) -> None:
        self._model = None if model is None else str(model)
        self._device = _device(device)
        self._closed = False
        if threads:
            from .codec.inference import parallel

            parallel.set_threads(threads)
        prepare(self._model, self._device)

    def encode(self, image: ImageLike, **options: Unpack[EncodeKw]) -> Encoded:
        """As the function `encode`, which describes the options."""
        self._check()
        return encode(image, model=self._model, device=self._device, **options)

    def decode(self, source: Source, **options: Unpack[DecodeKw]) -> Image.Image:
        """As the function `decode`, which describes the options; a file is decoded with the model it names."""
        self._check()
        return decode(source, device=self._device, **options)

    def decode_levels(
        self, source: Source, **options: Unpack[LimitsKw]
    ) -> Iterator[tuple[int, Image.Image]]:
        """As the function `decode_levels`."""
        self._check()
        return decode_levels(source, device=self._device, **options)

    def close(self) -> None:
        """Further calls raise UsageError."""
        self._closed = True

    def _check(self) -> None:
        if self._closed:
            raise UsageError("this Codec is closed")

    def __enter__(self) -> Codec:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.close()


def _decoded(
    data: bytes, name: str, wanted: Any, device: str, progress: DecodeProgress | None = None
) -> Image.Image:
    limits, rest = limits_of(wanted)
    return _shown(data, name, _decode_options(rest, device), limits, progress)


def _shown(
    data: bytes,
    name: str,
    options: DecodeOptions,
    limits: Limits,
    progress: DecodeProgress | None,
) -> Image.Image:
    """What a file shows, as a picture of Pillow's."""
    from .picture.save import layered

    parsed = open_sic(data, name, options.strict)
    made = decode_parsed(parsed, name, options, limits, progress)
    picture = layered(made.pixels, made.alpha)
    picture.info.update(made.metadata.to_info())
    picture.info["sic_level"] = made.level
    picture.info["sic_levels"] = made.levels
    picture.info["sic_model"] = parsed.header.model.hex()
    if made.fault:
        picture.info["sic_fault"] = made.fault
    return picture


def _as_image(image: Any) -> Image.Image:
    import numpy as np
    from PIL import Image

    if isinstance(image, Image.Image):
        return image
    if not isinstance(image, np.ndarray):
        raise InputError(f"{type(image).__name__}: neither a picture, an array, a path nor bytes")
    shape = image.shape
    if image.dtype != np.uint8 or not (len(shape) == 2 or (len(shape) == 3 and shape[2] in (3, 4))):
        raise InputError(
            f"array of {image.dtype} and shape {shape}",
            "uint8 of shape (H, W), (H, W, 3) or (H, W, 4) is encoded",
        )
    if 0 in shape:
        raise InputError(f"array of shape {shape}: has no pixels")
    return Image.fromarray(np.ascontiguousarray(image))


def _device(device: str) -> str:
    if not isinstance(device, str) or not re.fullmatch("auto|cpu|cuda(:[0-9]{1,3})?", device):
        raise UsageError(f"device {device!r} is not auto, cpu, cuda or cuda:N")
    return device


def _check_numbers(given: dict[str, Any]) -> None:
    for name in ("level", "quality", "target_size", "target_bpp"):
        value, whole = given.get(name), name != "target_bpp"
        if value is None:
            continue
        kinds = int if whole else (int, float)
        if isinstance(value, bool) or not isinstance(value, kinds) or not math.isfinite(value):
            raise UsageError(f"{name} is {value!r}, not a {'whole ' if whole else ''}number")
        low = value < 0 or (value == 0 and name != "level")  # level 0 is a preview
        if low or (name == "quality" and value > 100):
            raise UsageError(f"{name} is {value!r}, out of range")


def _check_words(given: dict[str, Any]) -> None:
    for name, words in WORDS.items():
        if name in given and given[name] not in words:
            raise UsageError(f"{name} is {given[name]!r}, not one of {', '.join(words)}")
    if not isinstance(given.get("background", "white"), str):
        raise UsageError(f"background is {given['background']!r}, not a colour's name")
    realism, seed = given.get("realism", 1), given.get("seed")
    if not isinstance(realism, int | float) or not 0 <= realism <= 1:
        raise UsageError(f"realism is {realism!r}, not 0 to 1")
    effort = given.get("effort", 1)
    if isinstance(effort, bool) or not isinstance(effort, int) or effort not in EFFORTS:
        raise UsageError(f"effort is {effort!r}, not 1 to 9")
    if seed is not None and (not isinstance(seed, int) or not 0 <= seed < 2**32):
        raise UsageError(f"seed is {seed!r}, not 0 to 4294967295")


def encode_options(options: Any, model: str | Path | None, device: str) -> EncodeOptions:
    """Checked options of `encode`. Raises UsageError, and TypeError for names that are none."""
    given: dict[str, Any] = dict(options)
    _check_numbers(given)
    _check_words(given)
    if given.get("quality") is not None and any(
        given.get(name) is not None for name in ("level", "target_size", "target_bpp")
    ):
        raise UsageError("quality excludes level, target_size and target_bpp")
    targets = given.pop("targets", None) or {}
    if not isinstance(targets, Mapping):
        raise UsageError(f"targets is {targets!r}, not a mapping such as {{'psnr': 32}}")
    given["targets"] = parse_targets([f"{name}={value}" for name, value in targets.items()])
    if given.get("quality") is not None and targets:
        raise UsageError("quality excludes targets")
    if unknown := sorted(set(given) - {f.name for f in fields(EncodeOptions)}):
        raise TypeError(f"encode() got an unknown option: {', '.join(unknown)}")
    try:
        return EncodeOptions(
            model=None if model is None else str(model), device=_device(device), **given
        )
    except TypeError as error:
        raise TypeError(f"encode() got an unknown option: {error}") from None


def _decode_options(options: Any, device: str) -> DecodeOptions:
    given: dict[str, Any] = dict(options)
    if given.get("level") == "max":
        del given["level"]
    _check_numbers(given)
    _check_words(given)
    if hidden := {"preview", "scale"} & set(given):  # `preview` is a function of its own
        raise TypeError(f"decode() got an unknown option: {hidden.pop()}")
    try:
        return DecodeOptions(device=_device(device), **given)
    except TypeError as error:
        raise TypeError(f"decode() got an unknown option: {error}") from None
