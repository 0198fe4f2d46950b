"""Bands: the same floats whatever the number of threads, and nothing lost where they meet."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sic_cli.model.bands import Bands, cut_in_bands


def twice(x: torch.Tensor, layer: nn.Conv2d) -> torch.Tensor:
    """Two convolutions, so that the second needs its neighbours' results."""
    first = Bands.of(x)
    second = first.made(lambda i: first.convolved(layer, i))
    return second.made(lambda i: second.convolved(layer, i)).joined()


@pytest.mark.parametrize("mode", ["zeros", "replicate"])
@pytest.mark.parametrize(("rows", "across", "bands"), [(31, 40, 1), (32, 33, 2), (67, 20, 4)])
def test_bands_meet_without_a_seam(mode: str, rows: int, across: int, bands: int) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(3, 3, 3, padding=1, padding_mode=mode)
    x = torch.randn(1, 3, rows, across)
    with torch.inference_mode():
        whole = twice(x, layer)
        with cut_in_bands(1):
            assert len(Bands.of(x).parts) == bands
            assert torch.allclose(twice(x, layer), whole, atol=1e-5)


def test_the_number_of_threads_changes_no_bit() -> None:
    torch.manual_seed(0)
    layer, x = nn.Conv2d(64, 64, 3, padding=1), torch.randn(1, 64, 70, 40)
    made, before = [], torch.get_num_threads()
    with torch.inference_mode():
        for threads in (1, 2, 5):
            with cut_in_bands(threads):
                made.append(twice(x, layer))
            assert torch.get_num_threads() == before
    assert torch.equal(made[0], made[1]) and torch.equal(made[0], made[2])


def test_training_is_not_cut() -> None:
    assert len(Bands.of(torch.zeros(2, 3, 64, 64)).parts) == 1


def test_a_failure_in_a_band_comes_out_and_leaves_the_settings() -> None:
    before = torch.get_num_threads()
    with pytest.raises(ZeroDivisionError), cut_in_bands(2):
        Bands.of(torch.zeros(1, 1, 64, 64)).made(lambda i: torch.zeros(1) * (1 // 0))
    assert torch.get_num_threads() == before
    assert len(Bands.of(torch.zeros(1, 1, 64, 64)).parts) == 1
