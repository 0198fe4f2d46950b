"""Reading the symbols once gives the pictures that decode gives."""

from __future__ import annotations

import numpy as np
import pytest

from sic_cli.codec.all_levels import AllLevels
from sic_cli.codec.bitstream.reader import parse
from sic_cli.codec.decode import decode


def test_every_level_is_byte_for_byte_what_decode_gives(coded: bytes) -> None:
    whole = parse(coded)
    for parsed in (whole, parse(coded[: whole.ends[3]])):
        all_levels = AllLevels(parsed)
        assert all_levels.level == parsed.level
        for level in range(all_levels.level + 1):
            assert np.array_equal(all_levels.pixels(level), decode(parsed, level=level).pixels)
    with pytest.raises(ValueError, match="level 4 of 3"):
        all_levels.pixels(4)
