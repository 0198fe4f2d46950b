"""Cuts and flips: every damage is reported, and what is shown is a whole level of the true picture."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from sic_cli.codec.bitstream.reader import Parsed, parse
from sic_cli.codec.bitstream.writer import write
from sic_cli.codec.decode import decode_indices, file_engine
from sic_cli.errors import CorruptError, ResourceError, SicError
from sic_cli.pipeline.convert import decode_file
from sic_cli.pipeline.options import DecodeOptions
from tests.conftest import run_main
from tests.fuzz.targets import without_digests
from tests.trust.campaign import Run, trial
from tests.trust.forge import taken_apart
from tests.trust.goldens_at_hand import good

CPU = DecodeOptions(device="cpu")


@cache
def picture(data: bytes, level: int) -> bytes:
    """Pixels of a whole file at a level, as a PPM file."""
    return decode_file(data, "whole", "PPM", replace(CPU, level=level)).data


def names_the_place(fault: str | None, layer: int, byte: int) -> None:
    """The sentence says which layer and which byte."""
    assert fault and f"layer {layer}" in fault and f"byte {byte}" in fault, fault


def command_agrees(data: bytes, level: int, whole: bytes) -> None:
    """`sic decode`: exit 3, one notice with the level, and the picture of that level; or exit 5 and
    no output where not even level 0 is left (level: -1)."""
    with TemporaryDirectory() as folder:
        source, out = Path(folder, "a.sic"), Path(folder, "a.ppm")
        source.write_bytes(data)
        got = run_main("decode", str(source), "-o", str(out), "-d", "cpu")
        assert got.err.count("\n") <= 2 and "Traceback" not in got.err, got.err
        if level >= 0:
            assert got.code == 3, (got.code, got.err)
            assert f"wrote level {level}" in got.err and "byte" in got.err, got.err
            assert out.read_bytes() == picture(whole, level)
        else:
            assert got.code in (5, 7) and not out.exists(), (got.code, got.err)


def shows_only_truth(data: bytes, whole: bytes, decoding: bool) -> int:
    """A damaged file is refused, or read as a true lower level and said to be damaged.

    -> the level that is left, -1 if none is.
    """
    good_one = parse(whole)
    try:
        parsed = parse(data)
    except SicError as error:
        assert error.exit_code in (5, 7)
        return -1
    same = (
        parsed.layers == good_one.layers[: len(parsed.layers)] and parsed.header == good_one.header
    )
    assert same, "a layer was accepted that the file never had"
    told = parsed.fault is not None or parsed.level < good_one.level or data == whole
    assert told, "damage that nobody notices"
    if decoding and parsed.layers:
        made = decode_file(data, "x", "PPM", CPU)
        assert made.level == parsed.level and made.data == picture(whole, parsed.level)
    return parsed.level


@trial("T2", "every cut gives its best whole level, never less with more bytes", 2, 3)
def cuts(run: Run) -> None:
    for name, whole in {**good("tiny"), **(good() if run.scale != "PR" else {})}.items():
        parsed, before = parse(whole), -1
        edges = {e + d for e in (parsed.header_end, *parsed.ends) for d in (-2, -1, 0, 1, 2)}
        every = 1 if run.scale == "R" or name.startswith("tiny") else 7
        for cut in sorted({*range(0, len(whole), every), *(e for e in edges if e <= len(whole))}):
            with run.case(f"{name} cut at byte {cut}"):
                before = _cut(run, whole, parsed, cut, before, cut in edges)


def _cut(run: Run, whole: bytes, parsed: Parsed, cut: int, before: int, at_edge: bool) -> int:
    """Check one cut; -> the level that it has."""
    level = sum(end <= cut for end in parsed.ends) - 1
    try:
        part = parse(whole[:cut])
    except CorruptError as error:
        assert level == -1 and cut < parsed.header_end
        assert "too short" in str(error) or "empty" in str(error), error
        return -1
    assert part.level == level >= before and part.layers == parsed.layers[: level + 1]
    whole_levels = cut in (parsed.header_end, *parsed.ends)
    if whole_levels:
        assert part.fault is None
    elif cut > parsed.header_end:
        names_the_place(part.fault, level + 1, cut)
    if level >= 0 and (run.scale == "R" or (at_edge and cut % 3 == 0)):
        assert decode_file(whole[:cut], "x", "PPM", CPU).data == picture(whole, level)
        if not whole_levels and level < parsed.level:
            command_agrees(whole[:cut], level, whole)
    return level


@trial("T3", "every flipped bit is noticed, and the levels before it stand", 3)
def flips(run: Run) -> None:
    files = good("tiny") if run.scale == "PR" else good()
    often = run.times(613, 101, 31)
    for name, whole in files.items():
        parsed = parse(whole)
        for bit in range(0, 8 * len(whole), 1 if len(whole) < 1000 or run.scale == "R" else 5):
            with run.case(f"{name}, bit {bit}"):
                _flip(whole, parsed, bit, run.tried % often == 0)


def _flip(whole: bytes, parsed: Parsed, bit: int, by_command: bool) -> None:
    byte = bit // 8
    data = bytearray(whole)
    data[byte] ^= 1 << bit % 8
    level = shows_only_truth(bytes(data), whole, decoding=by_command)
    assert level == sum(end <= byte for end in parsed.ends) - 1
    if byte >= parsed.header_end:
        start = (parsed.header_end, *parsed.ends)[level + 1]
        try:
            names_the_place(parse(bytes(data)).fault, level + 1, _place(bytes(data), start))
        except CorruptError as error:  # the level byte of layer 0 can turn into a chunk's letter
            assert level == -1 and f"byte {start}" in str(error)
    if by_command:
        command_agrees(bytes(data), level, whole)


def _place(data: bytes, start: int) -> int:
    """The byte that the sentence names: the layer's start, its length field, or the file's end."""
    fault = parse(data).fault or ""
    if "cut inside" in fault:
        return len(data)
    return start + 6 if "length of" in fault else start


@trial("T3b", "bursts, lost sectors, moved blocks, rubbish: never a wrong picture", 3)
def blows(run: Run) -> None:
    files = list((good("tiny") if run.scale == "PR" else good()).items())
    for index in range(run.times(1500, 50_000, 500_000)):
        name, whole = files[index % len(files)]
        data, what = blow(whole, run.rng)
        with run.case(f"{name}, {what}, try {index}"):
            if data != whole:
                shows_only_truth(data, whole, decoding=index % 100 == 0)


def blow(whole: bytes, rng: np.random.Generator) -> tuple[bytes, str]:
    """One kind of damage that disks, networks and editors do."""
    data = bytearray(whole)
    at = int(rng.integers(len(data)))
    size = int(rng.choice([1, 2, 4, 16, 64, 512]))
    way = int(rng.integers(8))
    if way == 0:
        for _ in range(int(rng.integers(1, 65))):
            data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
        return bytes(data), "random bits"
    if way == 1:
        data[at : at + size] = bytes(len(data[at : at + size]))
        return bytes(data), "zeros"
    if way == 2:
        data[at : at + size] = rng.bytes(len(data[at : at + size]))
        return bytes(data), "burst"
    if way == 3:
        return bytes(data[:at] + data[at + size :]), "block removed"
    if way == 4:
        return bytes(data[:at] + data[at : at + size] + data[at:]), "block twice"
    if way == 5:
        data[at:] = rng.bytes(len(data) - at)
        return bytes(data), "random from here on"
    if way == 6:
        other = int(rng.integers(len(data)))
        data[at], data[other] = data[other], data[at]
        return bytes(data), "bytes exchanged"
    return bytes(data) + rng.bytes(size), "rubbish behind"


@trial("T3c", "payload bits flipped under right checksums: the digest of the symbols notices", 3)
def flips_under_the_checksum(run: Run) -> None:
    """Also the control of T3: without checksums most flips would decode to a wrong picture."""
    wrong = 0
    files = {k: v for k, v in good("tiny" if run.scale == "PR" else "").items() if "pixel" not in k}
    for name, whole in files.items():
        parsed = parse(whole)
        machine = file_engine(parsed, "cpu")
        for _ in range(run.times(12, 100, 2000)):
            full = [layer for layer in parsed.layers if layer.payload]
            layer = full[int(run.rng.integers(len(full)))]
            bit = int(run.rng.integers(8 * len(layer.payload)))
            payload = bytearray(layer.payload)
            payload[bit // 8] ^= 1 << bit % 8
            with run.case(f"{name}, layer {layer.level}, payload bit {bit}"):
                layers = list(parsed.layers)
                layers[layer.level] = replace(layer, payload=bytes(payload))
                forged = parse(write(parsed.header, parsed.chunks, layers))
                assert forged.fault is None and forged.level == parsed.level
                true = decode_indices(machine, parsed, layer.level)[0]
                short = replace(forged, layers=forged.layers[: layer.level + 1])
                made = without_digests(short)
                silent = len(made) == len(short.layers)
                if silent and np.array_equal(made[-1], true):
                    continue  # a bit behind the last symbol: the picture is the true one
                wrong += silent
                try:
                    reached, fault = decode_indices(machine, forged, forged.level)[1:]
                    assert reached == layer.level - 1 and fault, "a wrong picture shown as right"
                    assert f"layer {layer.level}" in fault
                except SicError as error:
                    assert layer.level == 0 and error.exit_code == 11
    _digest_names_its_byte(run)
    share = wrong / max(1, run.tried)
    run.note(f"without checksums {share:.0%} of these flips would have been shown as right")
    with run.case("the test has power: most flips decode to other symbols without an error"):
        assert share > 0.5


def _digest_names_its_byte(run: Run) -> None:
    parsed = parse(good("tiny")["tiny-photo.sic"])
    layers = list(parsed.layers)
    layers[3] = replace(layers[3], digest=layers[3].digest ^ 1)
    forged = parse(write(parsed.header, parsed.chunks, layers))
    with run.case("a wrong digest is reported with its byte"):
        fault = decode_indices(file_engine(parsed, "cpu"), forged, forged.level)[2]
        names_the_place(fault, 3, parsed.ends[2])


def _size_after_checksum(run: Run) -> None:
    """A flipped bit in a size is damage; it should not be reported as a picture that is too large."""
    forgery = taken_apart(good("tiny")["tiny-photo.sic"])
    forgery.width = forgery.height = 65535
    whole = bytearray(forgery.data())
    whole[20] ^= 1  # behind the sizes: the checksum is no longer theirs

    with run.case("a damaged size is reported as damage"):
        try:
            parse(bytes(whole))
        except ResourceError as error:
            raise AssertionError(str(error)) from None
        except CorruptError as error:
            assert "checksum" in str(error)
        else:
            raise AssertionError("accepted")


@trial("T3d", "flips in the header or the profile refuse the file", 3)
def flips_in_chunks(run: Run) -> None:
    """A file with a profile: each flip in header or chunk refuses the file with a byte number."""
    for name, whole in good("tiny-level3-icc").items():
        parsed = parse(whole)
        for bit in range(8 * parsed.header_end):
            data = bytearray(whole)
            data[bit // 8] ^= 1 << bit % 8
            with run.case(f"{name}, bit {bit}"):
                try:
                    parse(bytes(data)).require_level()
                except (CorruptError, ResourceError) as error:
                    assert "\n" not in str(error)
                else:
                    raise AssertionError("accepted")
    _size_after_checksum(run)
