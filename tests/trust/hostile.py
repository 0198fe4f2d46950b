"""Files made to do harm, with right checksums: refused in a sentence, at once, without memory."""

from __future__ import annotations

import json
import subprocess
import sys
import zlib
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from sic_cli.cli.info import document
from sic_cli.codec.bitstream.heads import Heads
from sic_cli.codec.bitstream.reader import Parsed, parse
from sic_cli.codec.bitstream.truncate import truncate
from sic_cli.codec.decode import file_engine
from sic_cli.codec.entropy import new_decoder, new_encoder
from sic_cli.codec.preview.constants import mean_colour_coder
from sic_cli.codec.quantization.step_sizes import MEAN_COLOURS
from sic_cli.codec.symbols.layer_coder import Reading, Writing, digest
from sic_cli.errors import SicError
from sic_cli.pipeline.convert import decode_file
from sic_cli.pipeline.options import DecodeOptions
from tests.conftest import ROOT
from tests.fuzz.targets import container
from tests.trust.campaign import Run, trial
from tests.trust.forge import EDGES, ForgedChunk, ForgedLayer, Forgery, mutate, taken_apart
from tests.trust.goldens_at_hand import good
from tests.trust.pictures import png

DECODED_PIXELS = 1 << 18
"""Larger pictures are parsed only: decoding time follows the declared size, which T5 and T10 measure."""


def outcome(data: bytes, strict: bool = False) -> str:
    """What every reading of a file ends in: a level, or the name of one of our errors. Anything else
    leaves as it came."""
    try:
        parsed = parse(data)
        document("x", Heads.of(parsed))
        parsed.require_level()
        truncate(data, parsed.level, parsed)
        if parsed.header.width * parsed.header.height > DECODED_PIXELS:
            return f"parsed {parsed.level}"
        made = decode_file(data, "x", "PPM", DecodeOptions(strict=strict, device="cpu"))
        return f"decoded {made.level} {made.fault}"
    except SicError as error:
        assert "\n" not in str(error) and 2 <= error.exit_code <= 11
        return f"{error.name}: {error}"


@trial("T4", "structure-aware mutants with right checksums end cleanly, twice the same", 3, 6)
def mutants(run: Run) -> None:
    bases = list(good("tiny" if run.scale == "PR" else "").values())
    ends: dict[str, int] = {}
    for index in range(run.times(700, 30_000, 500_000)):
        forgery = taken_apart(bases[index % len(bases)])
        what = [mutate(forgery, run.rng) for _ in range(int(run.rng.integers(1, 5)))]
        with run.case(f"mutant {index}: {', '.join(what)}"):
            data = forgery.data()
            container(data)
            end = outcome(data, strict=index % 5 == 0)
            ends[end.split(":")[0].split()[0]] = ends.get(end.split(":")[0].split()[0], 0) + 1
            if index % 20 == 0:
                assert outcome(data, strict=index % 5 == 0) == end
    run.note("ended as " + ", ".join(f"{k} {v}" for k, v in sorted(ends.items())))


def bombs(model: bytes, levels: int) -> dict[str, bytes]:
    """Name -> file. Each claims something absurd; none may cost what it claims."""

    def made(width: int = 8, height: int = 8, **more: object) -> Forgery:
        values: dict[str, object] = {"levels": levels, "model": model, **more}
        return Forgery(width, height, **values)  # type: ignore[arg-type]

    first = ForgedLayer(0, 0, 0, b"")
    out = {}
    for width in (0, 1, 65535, *EDGES[7:]):
        for height in (0, 1, 2717, 65535, 2**31, 2**32 - 1):
            if width * height > 178_000_000 or width * height == 0 or max(width, height) > 65535:
                out[f"size {width}x{height}"] = made(width, height, layers=[first]).data()
    for value in EDGES:
        if value > 64 or value == 0:
            layer = ForgedLayer(0, 0, 0, b"abc", claimed=value)
            out[f"layer of {value} bytes in a short file"] = made(layers=[layer]).data()
            chunk = ForgedChunk(b"iCCP", b"abc", claimed=value)
            if value:
                out[f"profile of {value} bytes in a short file"] = made(chunks=[chunk]).data()
        if value not in (0, levels):
            out[f"{value} levels"] = made(levels=value & 255 or 65, layers=[first]).data()
    for spare in range(1, 12):
        out[f"width with {spare} needless bytes"] = made(spare=spare, layers=[first]).data()
    for count in (257, 5000, 1_000_000):
        out[f"{count} chunks"] = made(chunks=[ForgedChunk(b"aaaa", b"")] * count).data()
    many = [ForgedLayer(k & 255, 0, 0, b"") for k in range(100_000)]
    out["100 000 empty layers"] = made(layers=many).data()
    out["the same layer 100 000 times"] = made(layers=[first] * 100_000).data()
    full = ForgedChunk(b"iCCP", b"<" * ((16 << 20) - 20))
    out["two profiles of 16 MiB"] = made(chunks=[full, full], layers=[first]).data()
    out["critical chunk of 1 MiB"] = made(chunks=[ForgedChunk(b"Evil", bytes(1 << 20))]).data()
    out["16 MiB of zeros behind the header"] = made().data() + bytes(16 << 20)
    out["16 MiB of 0xff behind the header"] = made().data() + b"\xff" * (16 << 20)
    for name, data in {"signature": made().data()[:8], "nothing": b"", "a byte": b"\x89"}.items():
        out[f"only {name}"] = data
    out.update(alpha_bombs())
    payload = np.random.default_rng(0).bytes(1 << 20)
    out["1 MiB of payload for 8x8 pixels"] = made(layers=[ForgedLayer(0, 0, 0, payload)]).data()
    out["a model that is not here"] = made(model=bytes(8), layers=[first]).data()
    return out


def alpha_bombs() -> dict[str, bytes]:
    """Transparency is a picture in a chunk: whole layers, and a plane that is not what it says."""
    rows = zlib.compress(bytes(100_000))
    text = b"a\0\0" + zlib.compress(bytes(100_000_000), 9)
    whole = good("tiny")["tiny-made.sic"]
    size = (parse(whole).header.width, parse(whole).header.height)
    planes = {
        "of 50 000 x 50 000": png(50_000, 50_000, rows=rows),
        "of the right size and no rows": png(*size),
        "with 100 MB of text and no rows": png(*size, text=text),
        "of another size": png(size[0] + 1, size[1], rows=rows),
        "of rubbish": np.random.default_rng(1).bytes(1000),
        "of nothing": b"",
        "of a GIF": b"GIF89a" + bytes(100),
    }
    out = {}
    for name, plane in planes.items():
        forgery = taken_apart(whole)
        forgery.chunks = [ForgedChunk(b"ALPH", plane)]
        out[f"transparency {name}"] = forgery.data()
    return out


@trial("T5", "header, length and metadata bombs: refused at once, without memory", 6)
def bombs_are_refused(run: Run) -> None:
    if not Path("/proc/self/clear_refs").exists():
        run.not_run("peak memory of one call can only be read on Linux")
        return
    parsed = parse(good("tiny")["tiny-made.sic"])
    files = bombs(parsed.header.model, parsed.header.levels)
    seconds, mib = (1.0, 96) if run.scale == "PR" else (0.2, 32)
    most = [0.0, 0.0]
    for name, facts in metered(files).items():
        with run.case(name):
            assert facts["name"] in ("corrupt", "version", "resources", "model", "check"), facts
            assert facts["cpu_s"] < seconds, facts
            grown = facts["grown_mib"]
            assert grown < mib + len(files[name]) / 2**20, facts
            most = [max(most[0], facts["cpu_s"]), max(most[1], grown)]
    run.note(f"slowest {most[0] * 1000:.0f} ms of CPU, largest growth {most[1]:.1f} MiB")


def metered(files: dict[str, bytes]) -> dict[str, dict[str, float]]:
    """Each file decoded in one process of its own that has everything imported: how it ended, CPU
    seconds, and by how much the process grew at most."""
    with TemporaryDirectory() as folder:
        for index, data in enumerate(files.values()):
            Path(folder, f"{index:04}.sic").write_bytes(data)
        done = subprocess.run(
            [sys.executable, "-m", "tests.trust.meter", folder],
            capture_output=True,
            text=True,
            cwd=ROOT,
        )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0 and len(lines) == len(files), (len(lines), done.stderr[-500:])
    return dict(zip(files, lines, strict=True))


def layers_of_nothing(like: Parsed, width: int, height: int) -> list[ForgedLayer]:
    """A preview of one grey, then empty payloads with the digests of what they decode to."""
    machine = file_engine(like, "cpu")
    shape = (machine.table.channels, -(-height // 16), -(-width // 16))
    indices, check, encoder = np.zeros(shape, np.int32), 0, new_encoder()
    grey = np.zeros((len(MEAN_COLOURS), *shape[1:]), np.int16)
    mean_colour_coder().code(*shape[1:], Writing(encoder), grey)
    check = digest(machine.table, 0, indices, 0)
    out, coder = [ForgedLayer(0, 0, check, encoder.finish())], machine.layer_coder
    for level in range(1, like.header.levels + 1):
        indices = coder.layer(level, indices, Reading(new_decoder(b"")))
        check = digest(machine.table, level, indices, check)
        out.append(ForgedLayer(level, 0, check, b""))
    return out


@trial("T19", "short files that claim a large picture cost what the picture costs, no more", 6)
def empty_layers(run: Run) -> None:
    """Legal sizes, layers of nothing: decoding is bounded by the declared size (docs/trust.md, "Limits")."""
    base = parse(good("tiny")["tiny-made.sic"])
    sizes = {"PR": [(1024, 1024)], "N": [(4000, 3000)], "R": [(4000, 3000), (13341, 13341)]}
    files = {}
    for width, height in sizes[run.scale]:
        layers = layers_of_nothing(base, width, height)
        forged = Forgery(width, height, base.header.levels, base.header.model, layers=layers)
        files[f"{width}x{height} in {len(forged.data())} bytes"] = forged.data()
    for (name, facts), (width, height) in zip(
        metered(files).items(), sizes[run.scale], strict=True
    ):
        with run.case(name):
            assert facts["name"] == "decoded", facts
            assert facts["grown_mib"] < 700 + 12 * width * height / 2**20, facts
            run.note(f"{name}: {facts['cpu_s']:.2f} s of CPU, {facts['grown_mib']:.0f} MiB")
