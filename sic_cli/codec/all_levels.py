"""Every level of one file, with its symbols read once: what targets and pages look at.

`decode(parsed, level=k)` gives the same pixels and reads layers 0..k each time.
"""

from __future__ import annotations

import numpy as np

from .bitstream.reader import Parsed
from .decode import decode_indices, enlarged_preview, file_engine
from .engine import REALISM, Pixels
from .preview.picture import grey_of
from .quantization.dead_zone import shifted
from .quantization.step_sizes import NOT_SENT


class AllLevels:
    """The levels 0..`level` of a file. `fault`: why that is fewer than its layers promise, or None.

    Raises CorruptError, CheckError and ModelError as `decode` does.
    """

    def __init__(self, parsed: Parsed, device: str = "cpu") -> None:
        parsed.require_level()
        self._machine = file_engine(parsed, device)
        self._parsed, self._header = parsed, parsed.header
        self._indices, self.level, self.fault = decode_indices(self._machine, parsed, parsed.level)

    def pixels(self, level: int, realism: float = REALISM) -> Pixels:
        """uint8 (H, W, 3), or (H, W) for a grey picture: byte for byte what `decode` gives."""
        if not 0 <= level <= self.level:
            raise ValueError(f"level {level} of {self.level}")
        if level == 0:
            return enlarged_preview(self._parsed)
        header, depths = self._header, self._machine.table.depths.astype(np.int16)
        sent = depths[level - 1] != NOT_SENT
        shift = np.where(sent, depths[self.level - 1] - depths[level - 1], 0)
        indices = shifted(self._indices, shift)
        indices *= sent[:, None, None]
        pixels = self._machine.picture(indices, level, header.height, header.width, realism)
        return grey_of(pixels) if header.grey else pixels
