"""What truncate does with one file's bytes, as a task.

It needs the bitstream and nothing of the codec, so that `sic truncate` starts as fast as it cuts.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..codec.bitstream.fields import MAX_FILE
from ..codec.bitstream.reader import open_sic
from ..codec.bitstream.truncate import level_within, truncate
from ..errors import CorruptError, Notice, TargetError
from ..storage.files import printable
from .work import Made, digest


@dataclass(frozen=True, slots=True)
class TruncateTask:
    """Exactly one of level, target_size and target_bpp is given. best_effort: of a file that has fewer
    levels than `level` take all that are whole. in_place: the output takes the place of the file, so a
    damaged or cut one, whose rest may still be wanted, is left alone."""

    level: int | None = None
    target_size: int | None = None
    target_bpp: float | None = None
    best_effort: bool = False
    in_place: bool = False

    schema = "sic.truncate/1"
    most_bytes = MAX_FILE
    keys = ("from_level", "to_level", "from_bytes", "bpp")

    @property
    def options_sha256(self) -> str:
        return digest(self.schema, self.level, self.target_size, self.target_bpp, self.best_effort)

    def prepare(self) -> None:
        """Nothing: a cut needs no weights."""

    def make(self, data: bytes, source: str, _: str) -> Made:
        parsed = open_sic(data, printable(source))
        notices: tuple[Notice, ...] = ()
        fault = f"{printable(source)}: {parsed.fault}"
        if self.in_place and parsed.fault:
            raise CorruptError(f"{fault}; left as it is", "-o FILE takes the whole levels")
        if parsed.fault_kind == "damage":
            notices = (Notice(fault, "W-truncated"),)
        level = self.level
        if level is None:
            level = level_within(parsed, self.target_size, self.target_bpp)
        if level > parsed.level:
            if self.best_effort:
                text = f"{printable(source)}: is whole up to level {parsed.level}, not {level}; all of that is taken"
                level, notices = parsed.level, (*notices, Notice(text, "W-target-best-effort"))
            elif notices:
                raise CorruptError(fault, "--best-effort takes the levels before it")
            else:
                text = f"level {level} was asked for, and the highest whole level is {parsed.level}"
                raise TargetError(text, "--best-effort takes all of them")
        made = truncate(data, level, parsed)
        width, height = parsed.header.width, parsed.header.height
        facts = {
            "width_px": width,
            "height_px": height,
            "from_level": parsed.level,
            "to_level": level,
            "from_bytes": len(data),
            "bpp": len(made) * 8 / (width * height),
        }
        return Made(made, facts, notices)
