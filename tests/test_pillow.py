"""The Pillow plugin: what a program that knows Pillow and not sic relies on."""

from __future__ import annotations

import io
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile, UnidentifiedImageError

import sic_cli
import sic_cli.pillow
from sic_cli.codec.bitstream.reader import parse
from tests.conftest import ROOT
from tests.picture.made import XMP, camera_exif
from tests.tiny import made_picture

PICTURE = made_picture(70, 93, 5)


@pytest.fixture
def path(tmp_path: Path, coded: bytes) -> Path:
    out = tmp_path / "a.sic"
    out.write_bytes(coded)
    return out


def saved(image: Image.Image, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, "SIC", model="tiny", device="cpu", **options)
    return file.getvalue()


def test_opening_reads_the_head_alone_and_loading_decodes(path: Path, coded: bytes) -> None:
    head = io.BytesIO(coded[: parse(coded).header_end + 1])
    with Image.open(head) as image:
        assert (image.format, image.size, image.mode) == ("SIC", (93, 70), "RGB")
        assert image.info["sic_levels"] == 5 and image.get_format_mimetype() == "image/x-sic"
    with Image.open(path) as image:
        assert np.array_equal(np.asarray(image), np.asarray(sic_cli.decode(coded)))
        assert image.info["sic_level"] == 5
    code = (
        "import sys, sic_cli.pillow\nfrom PIL import Image\n"
        f"assert Image.open({str(path)!r}).size == (93, 70)\nassert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_a_level_may_be_chosen_before_loading(path: Path, coded: bytes) -> None:
    image = Image.open(path)
    for bad in (-1, 6, "2"):
        with pytest.raises(ValueError, match="0 to 5"):
            image.level = bad  # type: ignore[attr-defined]
    image.level = 2  # type: ignore[attr-defined]
    assert np.array_equal(np.asarray(image), np.asarray(sic_cli.decode(coded, level=2)))
    with pytest.raises(ValueError, match="already"):
        image.level = 3  # type: ignore[attr-defined]


def test_thumbnails_decode_a_low_level(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    psnr = [layer.psnr / 4 for layer in parse(path.read_bytes()).layers]
    monkeypatch.setattr(sic_cli.pillow, "ENOUGH", ((2.0, psnr[2]),))
    whole, image = Image.open(path), Image.open(path)
    image.thumbnail((16, 16))
    assert image.info["sic_level"] == 2 and image.size == (16, 12)
    whole.load()
    whole.thumbnail((16, 16))
    assert whole.info["sic_level"] == 5
    barely = Image.open(path)
    barely.thumbnail((90, 90))
    assert barely.info["sic_level"] == 5


def test_small_thumbnails_are_the_preview(path: Path, coded: bytes) -> None:
    """Where the preview, 6 x 5 pixels, holds as many as are shown; it needs no model."""
    for size, scale in (((3, 3), 1), ((5, 4), 2)):
        image = Image.open(path)
        image.thumbnail(size)
        assert image.info["sic_level"] == 0 and max(image.size) == size[0]
        want = sic_cli.preview(coded, scale=scale)
        box = (0.0, 0.0, 93 * scale / 16, 70 * scale / 16)
        want = want.resize(image.size, Image.Resampling.BICUBIC, box, reducing_gap=2.0)
        assert np.abs(np.asarray(image).astype(int) - np.asarray(want)).max() <= 4
    drafted = Image.open(path)
    assert drafted.draft("RGB", (6, 5)) is not None and drafted.size == (6, 5)
    drafted.load()
    assert np.array_equal(np.asarray(drafted), np.asarray(sic_cli.preview(coded)))


def test_cut_files_raise_unless_pillow_is_told_otherwise(
    path: Path, coded: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = parse(coded).ends
    path.write_bytes(coded[: ends[4] - 2])
    with Image.open(path) as image, pytest.raises(OSError, match="truncated"):
        image.load()
    low = Image.open(path)
    low.level = 3  # type: ignore[attr-defined]
    assert low.load() is not None  # what is asked for is there
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    image = Image.open(path)
    image.load()
    assert image.info["sic_level"] == 3
    path.write_bytes(coded[: ends[0] - 1])
    with Image.open(path) as image, pytest.raises(OSError, match="no whole level"):
        image.load()
    path.write_bytes(coded[: ends[4]])  # a cut behind a layer is a whole file
    monkeypatch.undo()
    assert Image.open(path).load() is not None


def test_damage_is_reported_by_verify(path: Path, coded: bytes) -> None:
    Image.open(path).verify()
    path.write_bytes(coded[:-1] + bytes((coded[-1] ^ 1,)))
    with pytest.raises(OSError, match="layer 5"):
        Image.open(path).verify()


@pytest.mark.parametrize("bad", [b"", b"\x89SIC\r\n\x1a\n", b"\x89SIC\r\n\x1a\n\x09" + bytes(50)])
def test_broken_heads_are_left_to_other_readers(bad: bytes) -> None:
    with pytest.raises(UnidentifiedImageError):
        Image.open(io.BytesIO(bad))


def test_metadata_longer_than_the_first_read_is_found() -> None:
    profile = np.random.default_rng(0).bytes(50_000)
    for length in (4096 - 60, 9000, 50_000):
        data = saved(Image.fromarray(PICTURE), icc_profile=profile[:length], xmp=XMP)
        with Image.open(io.BytesIO(data)) as image:
            assert image.info["icc_profile"] == profile[:length] and image.info["xmp"] == XMP


@pytest.mark.parametrize("edge", range(-3, 4))
def test_a_read_that_ends_between_two_chunks_goes_on(edge: int) -> None:
    plain = parse(saved(Image.fromarray(PICTURE))).header_end
    length = sic_cli.pillow.FIRST_READ - plain - 10 + edge
    data = saved(Image.fromarray(PICTURE), icc_profile=b"p" * length, xmp=XMP)
    with Image.open(io.BytesIO(data)) as image:
        assert image.info["xmp"] == XMP


def test_saving_takes_levels_sizes_and_metadata(tmp_path: Path) -> None:
    image = Image.fromarray(PICTURE)
    image.putalpha(100)
    image.info["icc_profile"] = b"the picture's own"
    ends = parse(saved(image)).ends
    assert saved(image, level=2) == saved(image, quality=40) == saved(image)[: ends[2]]
    assert len(saved(image, target_size=ends[3] + 5)) == ends[3]
    out = tmp_path / "a.sic"
    image.save(out, model="tiny", device="cpu", exif=camera_exif(6), xmp=XMP)
    with Image.open(out) as back:
        assert back.mode == "RGBA" and back.size == image.size
        assert back.info["icc_profile"] == b"the picture's own" and back.info["xmp"] == XMP
        assert back.getexif()[0x0112] == 6
        assert set(np.unique(np.asarray(back)[..., 3])) == {100}
    for mode in ("F", "I", "I;16"):
        with pytest.raises(OSError, match=f"cannot write mode {mode} as SIC"):
            saved(Image.new(mode, (4, 4)))
    with pytest.raises(OSError, match="level 1 takes"):
        saved(image, target_size=20)
    with pytest.raises(ValueError, match="quality"):
        saved(image, quality=500)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr"])
def test_modes_come_back_as_what_they_show(mode: str) -> None:
    source = Image.fromarray(PICTURE)
    source = (source.convert("RGBA") if mode in ("LA", "RGBA") else source).convert(mode)
    want = {"1": "L", "LA": "L", "RGBA": "RGB", "L": "L"}.get(mode, "RGB")
    assert Image.open(io.BytesIO(saved(source))).mode == want


def test_opened_pictures_are_pickled_copied_and_used_by_threads(path: Path, coded: bytes) -> None:
    want = np.asarray(sic_cli.decode(coded))
    assert np.array_equal(np.asarray(pickle.loads(pickle.dumps(Image.open(path)))), want)
    assert np.array_equal(np.asarray(Image.open(path).copy()), want)
    one = Image.open(path)
    with ThreadPoolExecutor(4) as pool:
        for got in pool.map(lambda _: np.asarray(one), range(8)):
            assert np.array_equal(got, want)
        for got in pool.map(lambda _: np.asarray(Image.open(path)), range(8)):
            assert np.array_equal(got, want)


class Pictures:
    """A data set as people write them: paths, opened in the worker."""

    def __init__(self, paths: list[str]) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> np.ndarray:
        with Image.open(self.paths[index]) as image:
            return np.asarray(image.convert("RGB")).copy()


@pytest.mark.parametrize("how", ["fork", "spawn"])
def test_data_loaders_with_workers_read_it(path: Path, coded: bytes, how: str) -> None:
    import torch
    from torch.utils.data import DataLoader

    want = torch.from_numpy(np.asarray(sic_cli.decode(coded)).copy())
    loader = DataLoader(
        Pictures([str(path)] * 4), batch_size=2, num_workers=2, multiprocessing_context=how
    )  # type: ignore[arg-type]
    batches = list(loader)
    assert len(batches) == 2
    assert all(torch.equal(picture, want) for batch in batches for picture in batch)


def test_format_is_not_offered_for_decoding_to() -> None:
    from sic_cli.errors import UsageError
    from sic_cli.picture.save import format_for

    with pytest.raises(UsageError):
        format_for("a.sic", None)
