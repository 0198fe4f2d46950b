"""Payloads: two coders that agree on every message and on rubbish, and errors that are ours alone."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np

from sic_cli.codec.bitstream.reader import parse
from sic_cli.codec.encode import encode
from sic_cli.codec.entropy import new_decoder, new_encoder
from sic_cli.codec.entropy.tables import TOTAL, FrequencyTable, binary, whole_weights
from sic_cli.codec.weights.locate import find
from sic_cli.errors import CorruptError, SicError
from sic_cli.pipeline.convert import decode_file
from sic_cli.pipeline.options import DecodeOptions
from tests.fuzz.targets import TARGETS, both_decoders, read_alike, without_digests
from tests.tiny import made_picture
from tests.trust.campaign import Run, trial
from tests.trust.forge import taken_apart
from tests.trust.goldens_at_hand import good

CRASHES = Path(__file__).resolve().parent.parent / "fuzz" / "crashes"
HAS_CONSTRICTION = importlib.util.find_spec("constriction") is not None


def tables(rng: np.random.Generator) -> list[FrequencyTable]:
    """Some two-way tables, extreme ones among them, and one longer one."""
    ones = [1, TOTAL - 1, int(rng.integers(1, TOTAL)), int(2 ** rng.uniform(0, 23))]
    shape = rng.random(int(rng.integers(2, 65))) ** 8 + 1e-9
    return [*(binary(n) for n in ones), FrequencyTable(whole_weights(shape))]


@trial("T6", "constriction and the plain coder write and read the same", 1, 4)
def two_coders(run: Run) -> None:
    if not HAS_CONSTRICTION:
        run.not_run("constriction is not installed: only one coder here")
        return
    for index in range(run.times(60, 3000, 30_000)):
        with run.case(f"message {index}"):
            message = [
                (t, run.rng.integers(0, len(t.weights), int(run.rng.integers(0, 300))))
                for t in tables(run.rng)
            ]
            payloads = []
            for name in ("plain", "constriction"):
                encoder = new_encoder(name)
                for table, symbols in message:
                    encoder.encode(table, symbols.astype(np.int32))
                payloads.append(encoder.finish())
            assert payloads[0] == payloads[1]
            for name in ("plain", "constriction"):
                decoder = new_decoder(payloads[0], name)
                for table, symbols in message:
                    assert np.array_equal(decoder.decode(table, len(symbols)), symbols)


@trial(
    "T6b", "both coders read rubbish alike: the same symbols, or our error at the same place", 3, 4
)
def rubbish(run: Run) -> None:
    if not HAS_CONSTRICTION:
        run.not_run("constriction is not installed: only one coder here")
        return
    for index in range(run.times(80, 3000, 30_000)):
        with run.case(f"rubbish {index}"):
            payload = run.rng.bytes(int(run.rng.integers(0, 60)))
            if index % 3 == 0:
                payload = b"\xff" * int(run.rng.integers(1, 40))
            chosen = tables(run.rng)
            read = []
            for name in ("plain", "constriction"):
                decoder, got = new_decoder(payload, name), []
                for table in chosen:
                    try:
                        got.append(decoder.decode(table, 50).tolist())
                    except CorruptError:
                        got.append("refused")
                        break
                read.append(got)
            assert read[0] == read[1]


@trial("T6c", "random payloads under right checksums: only our errors leave the library", 3, 6)
def random_payloads(run: Run) -> None:
    """constriction's PanicException is no Exception; it would pass an `except Exception`."""
    bases = list(good("tiny" if run.scale == "PR" else "").values())
    for index in range(run.times(250, 10_000, 100_000)):
        forgery = taken_apart(bases[index % len(bases)])
        for layer in forgery.layers[int(run.rng.integers(len(forgery.layers))) :]:
            size = int(run.rng.choice([0, 1, 2, 3, 4, 5, 8, 100, 1000]))
            fill = run.rng.random()
            layer.payload = (
                run.rng.bytes(size) if fill < 0.6 else (b"\xff" if fill < 0.8 else b"\0") * size
            )
        with run.case(f"random payloads {index}"):
            parsed = parse(forgery.data())
            assert parsed.fault is None and len(parsed.layers) == len(forgery.layers)
            without_digests(parsed)
            try:
                decode_file(forgery.data(), "x", "PPM", DecodeOptions(device="cpu"))
            except SicError as error:
                assert error.exit_code in (5, 11)


@trial("T6f", "the decoder that was written from the text reads any payload alike", 1, 4)
def two_decoders(run: Run) -> None:
    for index in range(run.times(20, 1000, 20_000)):
        with run.case(f"payloads {index}"):
            if index % 2:
                both_decoders(run.rng.bytes(int(run.rng.choice([20, 60, 300, 2000]))))
                continue
            height, width = (int(v) for v in run.rng.integers(1, 100, 2))
            pixels = made_picture(height, width, int(run.rng.integers(10**6)))
            forgery = taken_apart(encode(pixels, find("tiny")))
            layer = forgery.layers[int(run.rng.integers(len(forgery.layers)))]
            payload = bytearray(layer.payload or b"\0")
            payload[int(run.rng.integers(len(payload)))] ^= 1 << int(run.rng.integers(8))
            layer.payload = bytes(payload)
            read_alike(forgery.data())


class _Panicking:
    """A coder whose library panics: the real panic, of a count that no memory holds."""

    def decode(self, model: object, _: int) -> object:
        import constriction

        words = np.zeros(1, np.uint32)
        return constriction.stream.queue.RangeDecoder(words).decode(model, 2**62)


@trial("T6e", "a panic of the coder's library leaves as our error", 3, 6)
def panics(run: Run) -> None:
    if not HAS_CONSTRICTION:
        run.not_run("constriction is not installed: nothing can panic")
        return
    from sic_cli.codec.entropy.range_coder import _model

    decoder: Any = new_decoder(b"abcd", "constriction")
    decoder._coder = _Panicking()
    table = binary(TOTAL // 2)
    with run.case("control: the library's panic is no Exception"):
        try:
            _Panicking().decode(_model(table), 1)
        except Exception:
            raise AssertionError("an ordinary exception") from None
        except BaseException as error:
            assert type(error).__name__ == "PanicException"

    with run.case("a panic in decode"):
        try:
            decoder.decode(table, 10)
        except SicError:
            pass
        except BaseException as error:
            raise AssertionError(f"{type(error).__name__} leaves range_coder.py") from None
        else:
            raise AssertionError("no error")


@trial("T6d", "every input that once broke a fuzz target, and every seed, passes it", 6)
def past_crashes(run: Run) -> None:
    seeds = [*good().values()] if run.scale != "PR" else [*good("tiny").values()]
    for name, target in TARGETS.items():
        kept = sorted((CRASHES / name).glob("*")) if (CRASHES / name).is_dir() else []
        for data in [*(p.read_bytes() for p in kept), *seeds, b"", b"\0" * 64]:
            with run.case(f"{name}, {len(data)} bytes"):
                target(data)
