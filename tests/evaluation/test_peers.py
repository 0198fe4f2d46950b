"""Peers make real files at the settings that reports state."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from sic_cli.evaluation.peers import PEERS, some
from tests.tiny import made_picture


@pytest.mark.parametrize("name", PEERS)
def test_a_peer_goes_round_and_its_settings_run_from_small_to_large(name: str) -> None:
    peer = PEERS[name]
    reason = peer.here()
    if reason and name == "jxl":  # an extra; Pillow's own wheels hold all others
        pytest.skip(reason)
    assert not reason
    picture = made_picture(96, 120, 3)
    files = [peer.encode(picture, s) for s in (peer.settings[0], peer.settings[-1])]
    assert len(files[0]) < len(files[1])
    errors = [np.abs(peer.decode(f).astype(int) - picture).mean() for f in files]
    assert errors[1] < errors[0]
    assert peer.decode(peer.encode(picture[:, :, 0], peer.settings[-1])).shape == picture.shape


def test_jpeg_is_progressive_and_keeps_all_chroma() -> None:
    data = PEERS["jpeg"].encode(made_picture(64, 64, 1), 50)
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.info["progressive"] and [c[1:3] for c in picture.layer] == [(1, 1)] * 3


def test_some_settings_are_spread_with_both_ends() -> None:
    values = tuple(float(v) for v in range(12))
    assert some(values, 3) == (0, 6, 11) and some(values, 99) == values
    assert some(values, 1) == (6,) and len(set(some(values, 8))) == 8
