"""What encode and decode do with one file's bytes, as tasks that travel to other processes.

Importing this loads nothing heavy. `truncate_task.py` has truncate's task.
"""

from __future__ import annotations

import contextlib
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING

from ..codec.bitstream.fields import CHUNK_ALPHA, MAX_FILE, MAX_PIXELS
from ..codec.bitstream.reader import open_sic, parse
from ..errors import ModelError
from ..pipeline.convert import decode_file, encode_file
from ..pipeline.limits import DEFAULT, Limits
from ..pipeline.options import DecodeOptions, EncodeOptions
from ..pipeline.partial_read import first_levels
from ..storage.access import Portion, read
from ..storage.files import printable
from ..storage.urls import is_url
from .work import Made, digest

if TYPE_CHECKING:
    from ..codec.rdo.search import ReportProgress

NO_METRICS = {"psnr_db": None, "ms_ssim": None, "lpips": None}
MAX_PICTURE = 8 * MAX_PIXELS + (64 << 20)


def set_threads(threads: int) -> None:
    """Use so many threads; 0: as many as there are cores."""
    if threads:
        from ..codec.inference import parallel

        parallel.set_threads(threads)


@dataclass(frozen=True, slots=True)
class EncodeTask:
    """threads: of the process that runs it. model_id: of the weights that `options` name; a process on
    another machine takes the weights of this id, whatever bears the name there. limits: what is
    refused; they decide no output. report_progress: hears which share of a search is done, in this process."""

    options: EncodeOptions
    threads: int = 0
    model_id: str = ""
    limits: Limits = DEFAULT
    report_progress: ReportProgress | None = field(default=None, compare=False, repr=False)

    schema = "sic.encode/1"
    most_bytes = MAX_PICTURE
    keys = (
        "source_format", "source_mode", "bpp", "level", "levels_total", "layer_bytes", "meta_bytes",
        "alpha_bytes", "model", "device", "effort", "tile_px", "target", "targets", "metrics",
    )  # fmt: skip

    @property
    def options_sha256(self) -> str:
        return digest(self.schema, self.options, self.model_id)

    def prepare(self) -> None:
        set_threads(self.threads)

        from ..codec.engine import engine
        from ..codec.weights.locate import find

        engine(find(self._pinned().model), self.options.device)

    def _pinned(self) -> EncodeOptions:
        """The options with weights of `model_id`. Raises ModelError if they are not here."""
        from ..codec.weights.locate import find, find_id

        if not self.model_id:
            return self.options
        with contextlib.suppress(ModelError):
            if find(self.options.model).id.hex() == self.model_id:
                return self.options
        return replace(self.options, model=str(find_id(bytes.fromhex(self.model_id)).folder))

    def make(self, data: bytes, source: str, _: str) -> Made:
        set_threads(self.threads)
        made = encode_file(
            data, printable(source), self._pinned(), self.limits, self.report_progress
        )
        chunks = parse(made.data).chunks
        facts = {
            "width_px": made.width,
            "height_px": made.height,
            "bpp": made.bpp,
            "level": made.level,
            "levels_total": made.levels,
            "layer_bytes": list(made.layer_bytes),
            "meta_bytes": sum(len(c.data) for c in chunks if c.type != CHUNK_ALPHA),
            "alpha_bytes": sum(len(c.data) for c in chunks if c.type == CHUNK_ALPHA),
            "model": {"name": made.model, "id": made.model_id},
            "device": self.options.device,
            "effort": self.options.effort,
            "target": asdict(made.target[0]) if made.target else None,
            "targets": [asdict(target) for target in made.target],
            "metrics": {**NO_METRICS, **made.metrics} if made.metrics else None,
        }
        return Made(made.data, facts, made.notices)


@dataclass(frozen=True, slots=True)
class DecodeTask:
    """format_: suffix without dot of the outputs' format, None: by their names."""

    options: DecodeOptions
    format_: str | None = None
    threads: int = 0
    limits: Limits = DEFAULT

    schema = "sic.decode/1"
    most_bytes = MAX_FILE
    keys = ("format", "level", "levels_total", "seed", "sample", "device", "latent_hash_ok")

    @property
    def options_sha256(self) -> str:
        return digest(self.schema, self.options, self.format_)

    def prepare(self) -> None:
        if self.options.preview:
            from ..codec.preview import decode as preview  # noqa: F401
        else:
            set_threads(self.threads)

            from ..codec import decode  # noqa: F401  once a process, before its first file

    def read(self, source: str) -> Portion:
        """Of a URL only the levels that are decoded; all of it where every layer is to be checked."""
        level = 0 if self.options.preview else self.options.level
        if level is None or self.options.strict or not is_url(source):
            return read(source, self.most_bytes)
        return first_levels(source, level)

    def make(self, data: bytes, source: str, output: str) -> Made:
        name = printable(source)
        open_sic(data, name, self.options.strict)

        from ..picture.save import format_for

        kind = format_for(output if output != "-" else "", self.format_)
        set_threads(self.threads)
        made = decode_file(data, name, kind, self.options, self.limits)
        facts = {
            "width_px": made.width,
            "height_px": made.height,
            "format": kind,
            "level": made.level,
            "levels_total": made.levels,
            "seed": self.options.noise_seed,
            "device": self.options.device,
            "latent_hash_ok": None if made.fault else True,
        }
        partial = f"{made.fault}; wrote level {made.level}" if made.fault else None
        return Made(made.data, facts, made.notices, partial)
