"""Records' gradients as the defenses in force are known to clip them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .record_defenses import record_defense
from .record_gradients import record_gradients

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor

    from ..core.views import HistoryView, Update, UpdateView

_TINY = 1e-12


def clipped_gradients(
    view: UpdateView | HistoryView,
    inputs: Tensor,
    targets: Tensor,
    *,
    like: Mapping[str, Tensor],
    state: Update,
    number: int,
) -> Iterator[dict[str, Tensor]]:
    """Yield gradients at `state` of a few records at a time, `[k, *shape]` by parameter.

    Each is clipped as a defense of single records does it in the first step of round
    `number`. `like` has a tensor of the shape of each parameter; inputs are `[n, *shape]`
    and targets `[n]`.
    """
    defense = record_defense(view.defenses, like, number * view.job.local_steps)
    for gradients in record_gradients(
        view.model, view.loss, inputs, targets, names=[*like], state=state
    ):
        yield defense.clip(gradients) if defense else gradients


def longest_gradient(view: UpdateView | HistoryView) -> float | None:
    """Return the norm to which `local-dp` clips an update, as that of its mean gradient."""
    norms: list[Any] = [c.settings.get("max_norm") for c in view.defenses if c.name == "local-dp"]
    known = [float(norm) for norm in norms if isinstance(norm, int | float)]
    return min(known) / (view.job.lr * view.job.local_steps) if known else None


def shortened(gradients: Tensor, most: float | None) -> Tensor:
    """Return gradients `[k, p]`, each scaled down to a norm of `most` (None: as they are)."""
    if most is None:
        return gradients
    return gradients * (most / gradients.norm(dim=1, keepdim=True).clamp_min(_TINY)).clamp(max=1)
