"""The noise that defenses are known to have put on each coordinate of a gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .....core.views import BatchSize
from ....gradient_noise import gradient_noise
from ...observed import contributors

if TYPE_CHECKING:
    from torch import Tensor

    from .....core.views import AggregateView, Update, UpdateView


def known_noise(
    view: UpdateView | AggregateView, observed: Update
) -> dict[str, float | Tensor] | None:
    """Return the standard deviation of the Gaussian noise in an observed gradient, by name.

    One number for a parameter, or one for each of its coordinates, as the public cards tell
    it: see `gradient_noise`. An average over contributors has less of it. None where there
    is no such noise, it is not known, or some parameter has none.
    """
    size = view.fact(BatchSize)
    noise = gradient_noise(
        view.defenses,
        view.job,
        observed,
        number=view.round,
        batch=size.value if size else None,
    )
    if noise is None:
        return None
    share = contributors(view) ** -0.5
    return {name: deviation * share for name, deviation in noise.items()}
