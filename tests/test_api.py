"""sic from Python: what `import sic_cli` promises."""

from __future__ import annotations

import io
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import sic_cli
from sic_cli.codec.bitstream.reader import parse
from sic_cli.codec.symbols.layer_coder import LayerCoder
from tests.conftest import ROOT
from tests.picture.made import camera_exif, file_of
from tests.tiny import made_picture

PICTURE = made_picture(40, 57, 2)


def encoded(image: object = PICTURE, **options: object) -> sic_cli.Encoded:
    return sic_cli.encode(image, model="tiny", device="cpu", **options)  # type: ignore[arg-type]


def test_every_public_name_is_there_and_importing_is_light() -> None:
    for name in sic_cli.__all__:
        assert getattr(sic_cli, name) is not None and name in dir(sic_cli)
    with pytest.raises(AttributeError):
        sic_cli.nonsense  # noqa: B018
    code = (
        "import sys, sic_cli; sic_cli.info, sic_cli.SicError, sic_cli.truncate, sic_cli.Codec\n"
        "assert not {'torch', 'numpy', 'PIL'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_pictures_arrays_paths_and_bytes_give_the_same_file(tmp_path: Path) -> None:
    image = Image.fromarray(PICTURE)
    path = tmp_path / "a.png"
    image.save(path)
    files = {
        encoded(source).data for source in (PICTURE, image, path, str(path), path.read_bytes())
    }
    assert len(files) == 1
    made = encoded()
    assert made.bpp == pytest.approx(len(made.data) * 8 / PICTURE[..., 0].size)
    assert made.level == 5 == made.info.level and sum(made.layer_bytes) <= len(made.data)
    made.save(tmp_path / "a.sic")
    assert (tmp_path / "a.sic").read_bytes() == made.data


def test_it_is_the_file_that_the_command_writes(tmp_path: Path) -> None:
    from tests.conftest import run_main

    path = tmp_path / "a.png"
    Image.fromarray(PICTURE).save(path)
    done = run_main("encode", "-m", "tiny", str(path), "-o", str(tmp_path / "a.sic"))
    assert done.code == 0 and (tmp_path / "a.sic").read_bytes() == encoded(path).data


@pytest.mark.parametrize("shape", [(9, 8), (9, 8, 3), (9, 8, 4)])
def test_arrays_of_each_shape_come_back_in_their_mode(shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)
    got = sic_cli.decode(encoded(array).data, device="cpu")
    assert got.mode == {(9, 8): "L", (9, 8, 3): "RGB", (9, 8, 4): "RGBA"}[shape]
    assert got.size == (8, 9)
    if len(shape) == 3 and shape[2] == 4:
        assert np.array_equal(np.asarray(got)[..., 3], array[..., 3])


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((3, 3), np.float32),
        np.zeros((3, 3, 5), np.uint8),
        np.zeros((0, 3), np.uint8),
        7,
        None,
    ],
)
def test_what_is_no_picture_is_an_input_error(image: object) -> None:
    with pytest.raises(sic_cli.InputError):
        encoded(image)


def test_sources_are_paths_bytes_or_files(tmp_path: Path) -> None:
    data = encoded().data
    path = tmp_path / "a.sic"
    path.write_bytes(data)
    want = np.asarray(sic_cli.decode(data, device="cpu"))
    with path.open("rb") as file:
        for source in (path, str(path), bytearray(data), io.BytesIO(data), file):
            assert np.array_equal(np.asarray(sic_cli.decode(source, device="cpu")), want)
    with pytest.raises(sic_cli.InputError, match="No such file"):
        sic_cli.decode(tmp_path / "missing.sic")
    with pytest.raises(sic_cli.InputError, match="binary"):
        sic_cli.info(io.StringIO("text"))  # type: ignore[arg-type]


def test_levels_sizes_and_cuts_agree() -> None:
    whole = encoded()
    ends = parse(whole.data).ends
    assert encoded(level=2).data == sic_cli.truncate(whole.data, level=2) == whole.data[: ends[2]]
    assert len(encoded(target_size=ends[3]).data) == ends[3]
    assert len(sic_cli.truncate(whole.data, target_size=ends[3] + 1)) == ends[3]
    assert encoded(quality=100).level == 5 and encoded(quality=40).level == 2
    assert encoded(quality=1).level == 1
    pictures = dict(sic_cli.decode_levels(whole.data, device="cpu"))
    assert list(pictures) == [1, 2, 3, 4, 5]
    assert np.array_equal(
        np.asarray(pictures[3]), np.asarray(sic_cli.decode(whole.data, level=3, device="cpu"))
    )


def test_all_levels_cost_one_reading_of_the_symbols(monkeypatch: pytest.MonkeyPatch) -> None:
    data, read, layer = encoded().data, [], LayerCoder.layer

    def noted(self: LayerCoder, level: int, *more: Any) -> Any:
        read.append(level)
        return layer(self, level, *more)

    monkeypatch.setattr(LayerCoder, "layer", noted)
    pictures = dict(sic_cli.decode_levels(data, device="cpu"))
    assert read == [1, 2, 3, 4, 5]
    for level, picture in pictures.items():
        want = sic_cli.decode(data, level=level, device="cpu")
        assert picture.info["sic_level"] == level and picture.tobytes() == want.tobytes()


@pytest.mark.parametrize(
    "options",
    [
        {"level": -1}, {"level": 2.0}, {"quality": 101}, {"quality": 5, "level": 2},
        {"target_bpp": float("nan")}, {"alpha": "maybe"}, {"device": "tpu"}, {"level": True},
        {"background": "nonsense", "alpha": "flatten"}, {"background": 5, "alpha": "flatten"},
        {"device": None}, {"realism": "much"}, {"targets": 5}, {"level": "3"},
    ],
)  # fmt: skip
def test_wrong_options_are_usage_errors(options: dict[str, object]) -> None:
    see_through = np.zeros((4, 4, 4), np.uint8)
    with pytest.raises(sic_cli.UsageError):
        sic_cli.encode(see_through, **{"model": "tiny", "device": "cpu", **options})  # type: ignore[arg-type]
    with pytest.raises(sic_cli.UsageError, match="realism"):
        sic_cli.decode(encoded().data, device="cpu", realism=2)
    for seed in (-1, 1.5, 2**32):
        with pytest.raises(sic_cli.UsageError, match="seed"):
            sic_cli.decode(encoded().data, device="cpu", seed=seed)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="nonsense"):
        encoded(nonsense=1)


def test_errors_have_the_codes_of_the_command_line() -> None:
    whole = encoded().data
    with pytest.raises(sic_cli.TargetError) as caught:
        sic_cli.truncate(whole, target_size=10)
    assert caught.value.exit_code == 8 and caught.value.hint
    with pytest.raises(sic_cli.CorruptError):
        sic_cli.decode(whole[:-3], device="cpu", strict=True)
    assert sic_cli.decode(whole[:-3], device="cpu").info["sic_fault"]
    assert "sic_fault" not in sic_cli.decode(whole[:-3], device="cpu", level=2).info
    with pytest.raises(sic_cli.UsageError):
        sic_cli.truncate(whole)
    with pytest.raises(sic_cli.ModelError):
        sic_cli.encode(PICTURE, model="nonsense")


def test_info_and_verify_tell_what_is_there() -> None:
    image = Image.fromarray(PICTURE)
    image.putalpha(9)
    data = encoded(file_of(image, "PNG", exif=camera_exif(1), icc_profile=b"p" * 200)).data
    facts = sic_cli.info(data)
    assert (facts.width, facts.height, facts.alpha, facts.model_name) == (57, 40, True, "tiny")
    assert [kind for kind, _ in facts.metadata] == ["alpha", "icc", "exif"]
    assert facts.levels[-1].total_bytes == len(data) == facts.file_bytes
    assert sic_cli.verify(data, deep=True, devices=("cpu",)).ok
    damaged = bytearray(data)
    damaged[facts.levels[3].total_bytes + 14] ^= 1
    told = sic_cli.verify(damaged)
    assert not told.ok and told.last_good_level == 3


def test_metadata_comes_back_with_the_picture() -> None:
    source = file_of(Image.fromarray(PICTURE), "JPEG", exif=camera_exif(1), dpi=(300, 300))
    got = sic_cli.decode(encoded(source, level=1).data, device="cpu")
    assert got.info["exif"] == camera_exif(1).tobytes() and got.info["dpi"] == (300, 300)
    assert (got.info["sic_level"], got.info["sic_levels"]) == (1, 5)
    assert encoded(source, metadata="none").info.metadata == ()


def test_a_codec_is_shared_by_threads() -> None:
    pictures = [made_picture(33, 47, seed) for seed in range(6)]
    with sic_cli.Codec("tiny", "cpu") as codec:
        want = [codec.encode(picture).data for picture in pictures]
        got: dict[int, bytes] = {}
        back: dict[int, np.ndarray] = {}

        def work(index: int) -> None:
            got[index] = codec.encode(pictures[index]).data
            back[index] = np.asarray(codec.decode(got[index]))

        threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [got[i] for i in range(6)] == want
        for index in range(6):
            assert np.array_equal(back[index], np.asarray(codec.decode(want[index])))
    with pytest.raises(sic_cli.UsageError, match="closed"):
        codec.encode(pictures[0])


def test_targets_and_open_files_work_from_python(picture: np.ndarray, tmp_path: Path) -> None:
    Image.fromarray(picture).save(tmp_path / "a.png")
    whole = sic_cli.encode(picture, model="tiny")
    with open(tmp_path / "a.png", "rb") as file:
        assert sic_cli.encode(file, model="tiny").data == whole.data
    made = sic_cli.encode(picture, model="tiny", targets={"psnr": 22})
    assert made.level < whole.level and whole.data.startswith(made.data)
    with pytest.raises(sic_cli.UsageError, match="psnr"):
        sic_cli.encode(picture, model="tiny", targets={"beauty": 3})
    with pytest.raises(sic_cli.UsageError, match="mapping"):
        sic_cli.encode(picture, model="tiny", targets="psnr=30")  # type: ignore[typeddict-item]
    with pytest.raises(TypeError, match="beauty"):
        sic_cli.encode(picture, model="tiny", beauty=3)  # type: ignore[call-arg]
