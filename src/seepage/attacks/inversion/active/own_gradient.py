"""Proves a record by the gradient that the model itself gives on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from ....core.views import BatchSize
from ....models.facts import has_batch_norm
from ...layers import label_gradients, layer_runs
from ..observed import contributors

if TYPE_CHECKING:
    from torch import Tensor

    from ....core.views import AggregateView, UpdateView

_SAME = 1e-4
_ROUNDING = 3e-6
_SURE = 6.0


@dataclass(frozen=True, slots=True, eq=False)
class OwnGradient:
    """Runs records through the model that was sent, once for each label.

    The bias gradient of a neuron that one record (x, y) alone is sensitive to is that of
    (x, y), over the number of records: a mixture of records has another one. `layer` is the
    neurons' module; `records` is 0 where nothing can be proved: several local steps, records
    that affect one another (batch normalization), regression, or an unknown batch size.
    """

    view: UpdateView | AggregateView
    layer: str
    records: int

    @classmethod
    def of(cls, view: UpdateView | AggregateView, layer: str) -> OwnGradient:
        """Return the test for the neurons of module `layer` of this view's model."""
        size = view.fact(BatchSize)
        mixes = view.model.training and has_batch_norm(view.model)
        able = size is not None and not mixes and view.job.local_steps == 1
        return cls(view, layer, size.value * contributors(view) if size and able else 0)

    def neurons(self, inputs: Tensor) -> Tensor:
        """Return what records `[m, *shape]` of each label add to the bias gradient, `[c, m, k]`."""
        runs, outputs = layer_runs(self.view.model, inputs)
        (run,) = (run for run in runs if run.name == self.layer)
        return label_gradients(run, outputs, self.view.loss, self.view.job.classes) / self.records

    def labels_of(self, inputs: Tensor, scale: Tensor, noise: Tensor, here: Tensor) -> Tensor:
        """Return the label that explains a neuron's bias gradient, -1 where none does, `[m]`.

        `inputs` `[m, *shape]` are the records that the gradients `scale` of neurons `here` are
        taken to be of, each known up to `noise`, all `[m]`.
        """
        none = torch.full((len(inputs),), -1)
        if not self.records or not len(inputs) or not self.view.job.classes:
            return none
        own = self.neurons(inputs).gather(2, here.expand(self.view.job.classes, -1)[..., None])
        gap, label = (own[..., 0] - scale).abs().min(0)
        # A gradient may be a small difference of large terms, which float32 rounds.
        largest = torch.maximum(scale.abs(), own[..., 0].abs().amax(0))
        slack = _SAME * scale.abs() + _ROUNDING * largest + _SURE * noise
        return torch.where(gap < slack, label, none)
