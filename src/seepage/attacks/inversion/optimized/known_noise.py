"""The noise that defenses are known to have put on each coordinate of a gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ....core.views import BatchSize
from ..observed import contributors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ....core.cards import DefenseCard
    from ....core.views import AggregateView, Update, UpdateView

_NORMS = {"dp-sgd": "max_grad_norm", "local-dp": "max_norm"}


def known_noise(view: UpdateView | AggregateView, observed: Update) -> dict[str, float] | None:
    """Return the standard deviation of the Gaussian noise in an observed gradient, by name.

    The public card of a defense says it (Kerckhoffs): noise_multiplier times the clipping
    norm, by record of the batch under `dp-sgd` and by step length under `local-dp`. A
    setting `noise_scale` may multiply it by parameter. Averages over local steps and
    contributors have less of it. None where there is no such noise, or some parameter has
    none.
    """
    variances = dict.fromkeys(observed, 0.0)
    for card in view.defenses:
        base = _deviation(view, card)
        scale: Any = card.settings.get("noise_scale")
        for name in variances:
            times = scale.get(name, 1.0) if hasattr(scale, "get") else 1.0
            variances[name] += (base * float(times)) ** 2 / contributors(view)
    if not variances or min(variances.values()) <= 0:
        return None
    return {name: variance**0.5 for name, variance in variances.items()}


def _deviation(view: UpdateView | AggregateView, card: DefenseCard) -> float:
    """Return the standard deviation in one contributor's mean gradient, 0 where unknown."""
    settings: Mapping[str, Any] = card.settings
    norm, times = settings.get(_NORMS.get(card.name, "")), settings.get("noise_multiplier")
    if not isinstance(norm, int | float) or not isinstance(times, int | float):
        return 0.0
    steps = view.job.local_steps
    if card.name == "local-dp":
        return norm * times / (view.job.lr * steps)
    size = view.fact(BatchSize)
    return norm * times / size.value / steps**0.5 if size else 0.0
