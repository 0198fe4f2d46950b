"""Every level of one file, with its symbols read once: what targets and pages look at.

`decode(parsed, level=k)` gives the same pixels and reads layers 1..k each time.
"""

from __future__ import annotations

import numpy as np

from .bitstream.reader import Parsed
from .decode import decode_cells, file_engine, grey_of
from .engine import REALISM, Pixels
from .quantization.dead_zone import shifted
from .quantization.step_sizes import NOT_SENT


class Ladder:
    """The levels 1..`level` of a file. `fault`: why that is fewer than its layers promise, or None.

    Raises CorruptError, CheckError and ModelError as `decode` does.
    """

    def __init__(self, parsed: Parsed, device: str = "cpu") -> None:
        parsed.require_level()
        self._machine = file_engine(parsed, device)
        self._header = parsed.header
        self._cells, self.level, self.fault = decode_cells(self._machine, parsed, parsed.level)

    def pixels(self, level: int, realism: float = REALISM) -> Pixels:
        """uint8 (H, W, 3), or (H, W) for a grey picture: byte for byte what `decode` gives."""
        if not 1 <= level <= self.level:
            raise ValueError(f"level {level} of {self.level}")
        header, octaves = self._header, self._machine.table.octaves.astype(np.int16)
        sent = octaves[level - 1] != NOT_SENT
        shift = np.where(sent, octaves[self.level - 1] - octaves[level - 1], 0)
        cells = shifted(self._cells, shift)
        cells *= sent[:, None, None]
        size = (header.height, header.width)
        pixels = self._machine.picture(cells, level, "mean", 0, *size, realism)
        return grey_of(pixels) if header.grey else pixels
