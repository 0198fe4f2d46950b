"""The container: what is written is read, what is damaged is noticed, every prefix has its level."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sic_cli.codec.bitstream.fields import MAX_VARINT, Chunk, Header, Layer, get_varint, put_varint
from sic_cli.codec.bitstream.reader import parse
from sic_cli.codec.bitstream.truncate import level_for_size, truncate
from sic_cli.codec.bitstream.writer import write
from sic_cli.errors import CorruptError, ResourceError, SicError, TargetError, VersionError
from tests.reference import reader as reference

headers = st.builds(
    Header,
    width=st.integers(1, 65535),
    height=st.integers(1, 2700),
    levels=st.integers(1, 64),
    model=st.binary(min_size=8, max_size=8),
    grey=st.booleans(),
)
chunk_lists = st.lists(
    st.builds(
        Chunk, type=st.sampled_from([b"iCCP", b"abcd", b"zzZZ"]), data=st.binary(max_size=300)
    ),
    max_size=3,
)


@st.composite
def files(draw: st.DrawFn) -> tuple[Header, list[Chunk], list[Layer]]:
    header = draw(headers)
    count = draw(st.integers(0, min(header.levels, 5)))
    layers = [
        Layer(
            k,
            draw(st.binary(max_size=200)),
            draw(st.integers(0, 2**32 - 1)),
            draw(st.integers(0, 255)),
        )
        for k in range(count + 1)
    ]
    return header, draw(chunk_lists), layers


@given(files())
def test_what_is_written_is_read_by_both_readers(
    made: tuple[Header, list[Chunk], list[Layer]],
) -> None:
    header, chunks, layers = made
    data = write(header, chunks, layers)
    parsed = parse(data)
    assert (parsed.header, list(parsed.chunks), list(parsed.layers)) == (header, chunks, layers)
    assert parsed.fault is None and parsed.ends[-1] == len(data)
    other = reference.read(data)
    assert (other["width"], other["height"], other["grey"]) == (
        header.width,
        header.height,
        header.grey,
    )
    assert [row["payload"] for row in other["layers"]] == [layer.payload for layer in layers]  # type: ignore[attr-defined]


@given(files(), st.data())
@settings(max_examples=60)
def test_every_prefix_has_the_level_of_its_whole_layers(
    made: tuple[Header, list[Chunk], list[Layer]], data: st.DataObject
) -> None:
    header, chunks, layers = made
    whole = write(header, chunks, layers)
    ends, first = parse(whole).ends, parse(whole).header_end
    cut = data.draw(st.integers(0, len(whole)))
    if cut < first:
        try:
            assert parse(whole[:cut]).level == -1  # just behind the header or a chunk
        except CorruptError as error:
            assert "too short" in str(error) or "empty" in str(error)
        return
    parsed = parse(whole[:cut])
    assert parsed.level == sum(end <= cut for end in ends) - 1
    at_edge = cut in (first, *ends)
    assert (parsed.fault is None) == at_edge and (parsed.fault_kind == "cut") == (not at_edge)


@given(files(), st.data())
@settings(max_examples=200)
def test_no_flipped_bit_goes_unnoticed(
    made: tuple[Header, list[Chunk], list[Layer]], data: st.DataObject
) -> None:
    header, chunks, layers = made
    whole = write(header, chunks, layers)
    place = data.draw(st.integers(0, len(whole) * 8 - 1))
    damaged = bytearray(whole)
    damaged[place // 8] ^= 1 << place % 8
    try:
        parsed = parse(bytes(damaged))
    except CorruptError:
        return
    good = parse(whole)
    hit = sum(end <= place // 8 for end in good.ends)
    assert parsed.level < hit + 1 and list(parsed.layers) == layers[: parsed.level + 1]
    assert len(parsed.layers) <= hit


@given(files(), files())
@settings(max_examples=40)
def test_a_layer_of_another_file_is_not_accepted(
    a: tuple[Header, list[Chunk], list[Layer]], b: tuple[Header, list[Chunk], list[Layer]]
) -> None:
    if a[0] == b[0]:
        return
    first, second = write(*a), write(*b)
    foreign = second[parse(second).header_end :]
    assert parse(first[: parse(first).header_end] + foreign).level == -1


@given(st.integers(0, 2**35 - 1))
def test_varints_round_trip_in_their_shortest_form(value: int) -> None:
    data = put_varint(value)
    assert get_varint(data, 0, "x") == (value, len(data)) and len(data) <= MAX_VARINT
    with pytest.raises(CorruptError):
        get_varint(data[:-1] + bytes((data[-1] | 128, 0)), 0, "x")


def test_truncating_cuts_behind_a_layer() -> None:
    layers = [Layer(k, bytes(k * 10), k) for k in range(5)]
    header = Header(3, 4, 4, bytes(8))
    whole = write(header, [], layers)
    for k in range(5):
        assert truncate(whole, k) == write(header, [], layers[: k + 1])
    parsed = parse(whole)
    assert level_for_size(parsed, parsed.ends[2]) == 2
    assert level_for_size(parsed, parsed.ends[2] - 1) == 1
    for small in (parsed.ends[0], parsed.ends[1] - 1):  # a preview is never what a size asks for
        with pytest.raises(TargetError, match="level 1 takes") as caught:
            level_for_size(parsed, small)
        assert caught.value.hint and f"(level 0) takes {parsed.ends[0]}" in caught.value.hint
    with pytest.raises(TargetError, match="preview alone"):
        level_for_size(parse(truncate(whole, 0)), 10_000)
    with pytest.raises(TargetError, match="level 1 takes"):
        level_for_size(parsed, 5)
    heavy = parse(write(header, [Chunk(b"eXIF", bytes(900))], layers))
    with pytest.raises(TargetError) as caught:
        level_for_size(heavy, 500)
    assert caught.value.hint and "900 bytes of it are metadata" in caught.value.hint
    with pytest.raises(TargetError):
        truncate(whole[: parsed.ends[2]], 3)
    with pytest.raises(CorruptError, match="no whole level"):
        truncate(whole[: parsed.header_end], 0)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda b: b"", CorruptError),
        (lambda b: b"hello, this is no sic file", CorruptError),
        (lambda b: b[:3], CorruptError),
        (lambda b: b[:8] + b"\x02" + b[9:], VersionError),
        (lambda b: b[:9] + b"\x02" + b[10:], VersionError),
        (lambda b: b[:10] + b"\xff\xff\xff\xff\x0f" + b[11:], CorruptError),
        (lambda b: b[:10] + b"\x80\x00" + b[11:], CorruptError),
        (lambda b: b[:10] + b"\x00" + b[11:], CorruptError),
        (lambda b: b.replace(b"\r\n", b"\n"), CorruptError),
    ],
)
def test_bad_headers_are_refused_by_name(change, error) -> None:  # type: ignore[no-untyped-def]
    good = write(Header(7, 5, 4, bytes(8)), [], [Layer(0, b"abc", 0)])
    with pytest.raises(error):
        parse(change(good))


def test_an_unknown_critical_chunk_is_refused_and_an_ancillary_one_kept() -> None:
    header, layer = Header(7, 5, 4, bytes(8)), Layer(0, b"", 0)
    assert parse(write(header, [Chunk(b"what", b"x")], [layer])).level == 0
    with pytest.raises(VersionError, match="What"):
        parse(write(header, [Chunk(b"What", b"x")], [layer]))


def test_bytes_behind_the_last_layer_are_a_notice_only() -> None:
    whole = write(Header(7, 5, 1, bytes(8)), [], [Layer(0, b"", 0), Layer(1, b"abc", 0)])
    parsed = parse(whole + b"rubbish")
    assert parsed.level == 1 and parsed.fault_kind == "trailing" and "7 bytes" in str(parsed.fault)


@given(st.binary(max_size=400))
@settings(max_examples=300)
def test_rubbish_behind_a_signature_raises_only_our_errors(rubbish: bytes) -> None:
    with contextlib.suppress(SicError):
        parse(b"\x89SIC\r\n\x1a\n\x01\x00" + rubbish)


def test_a_picture_above_the_pixel_limit_is_refused_by_its_header() -> None:
    with pytest.raises(ResourceError, match="60000x60000"):
        parse(write(Header(60000, 60000, 4, bytes(8)), [], []))


def test_thousands_of_chunks_are_refused() -> None:
    many = [Chunk(b"abcd", b"")] * 5000
    with pytest.raises(CorruptError, match="256 chunks"):
        parse(write(Header(3, 3, 4, bytes(8)), many, []))
