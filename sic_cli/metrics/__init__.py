"""Metrics: how far a picture is from another one. Importing this loads nothing heavy; see `meter`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .names import DEFAULT, METRICS

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["METRICS", "metrics"]


def metrics(
    reference: NDArray[Any], other: NDArray[Any], names: Sequence[str] = DEFAULT
) -> dict[str, float | None]:
    """Metric name -> value, for two pictures uint8 (H, W), (H, W, 1) or (H, W, 3) of one size.

    None: the metric is not defined for this size. Raises UsageError for a name that there is not,
    ModelError for a metric whose weights are not here, InputError for pictures of two sizes.
    """
    from .meter import Meter

    return Meter(reference, names).all(other)
