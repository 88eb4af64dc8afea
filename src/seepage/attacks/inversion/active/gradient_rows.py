"""Whether a gradient row can be that of a record, and the noise that lies on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..exact.low_rank import low_rank
from ..observed import observed_records

if TYPE_CHECKING:
    from torch import Tensor

    from ....core.views import AggregateView, UpdateView


def added_noise(view: UpdateView | AggregateView, matrix: Tensor) -> float:
    """Return the standard deviation of the noise that defenses added to `matrix` `[k, n]`.

    It is read off the singular values that records leave over; 0 where no defense adds any.
    """
    if not any("noise_multiplier" in defense.settings for defense in view.defenses):
        return 0.0
    return low_rank(matrix, observed_records(view) or None).noise


def in_range(rows: Tensor, noise: Tensor, value_range: tuple[float, float] | None) -> Tensor:
    """Return whether rows c [x, 1] `[m, n + 1]` are of an x in the value range, `[m]` bool.

    `noise` `[m]` is the standard deviation of a row's entries.
    """
    heard = rows[:, -1].abs() > 0
    if value_range is None:
        return heard
    inputs = rows[:, :-1] / rows[:, -1:].where(heard[:, None], rows.new_ones(1))
    low, high = value_range
    slack = 0.01 * (high - low) + 6 * noise / rows[:, -1].abs()
    over = (low - inputs).maximum(inputs - high).amax(1)
    return heard & (over < slack)
