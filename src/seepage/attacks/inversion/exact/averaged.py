"""Averages a client's updates over rounds before it inverts them: noise shrinks, records stay.

Independent noise of standard deviation s has s / sqrt(T) left in the mean of T updates.
What the mean says of the records depends on whether they come back: a client with a fixed
batch gives its gradient T times over (the reason why an epsilon must be composed over all
releases), one that draws anew gives a batch T times as large. For models that do not
begin with a linear layer there is `several-rounds`, which takes the batch to be fixed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from ....core.errors import NotApplicableError
from ....core.views import BatchSize
from ..observed import as_gradient
from .first_layer import first_layer
from .fully_connected import FullyConnected

if TYPE_CHECKING:
    from torch import Tensor

    from ....core.claims import Reconstruction
    from ....core.views import HistoryView


@dataclass(frozen=True, kw_only=True, slots=True)
class Averaged:
    """Analytic inversion of the mean of one client's updates.

    Fields
    ------
    largest_search, refits : as of `fully-connected`
    """

    largest_search: int = 12
    refits: int = 4

    def __call__(self, view: HistoryView, rng: torch.Generator) -> Reconstruction:
        """Return up to as many records as all the averaged batches hold.

        Raises `NotApplicableError` where the model does not begin with a linear layer, or the
        client took part in no round that was seen.
        """
        layer = first_layer(view)
        gradient, rounds = mean_gradient(view)
        size = view.fact(BatchSize)
        batch = size.value * view.job.local_steps if size else 0
        attack = FullyConnected(largest_search=self.largest_search, refits=self.refits)
        return attack.invert(view, layer, gradient, batch * rounds, rng, fewest=batch)


def mean_gradient(view: HistoryView) -> tuple[dict[str, Tensor], int]:
    """Return the mean of the client's gradients, and over how many rounds it is taken."""
    names = {name for name, _ in view.model.named_parameters()}
    updates = [r.updates[view.client] for r in view.rounds if view.client in r.updates]
    if not updates:
        raise NotApplicableError("the client took part in none of the rounds seen")
    shared = [name for name in updates[0] if name in names]
    mean = {name: torch.stack([u[name] for u in updates]).mean(0) for name in shared}
    return as_gradient(mean, view.job.lr * view.job.local_steps), len(updates)
