"""Batch normalization of one record, by the statistics of the batch that it was in.

A record alone, put through a layer with the statistics that the client's update tells
(`optimized/batch_statistics.py`), comes out as it did among the others. What the others'
gradients owe it through these shared statistics stays unknown.
"""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

import torch

from ..optimized.search.batch_statistics import batch_statistics

if TYPE_CHECKING:
    from torch import nn

    from ....core.views import AggregateView, UpdateView


def with_fixed_normalization(view: UpdateView | AggregateView) -> nn.Module:
    """Return the view's model with its batch normalization fixed at the batch's statistics.

    The model itself comes back where it has no such layer, or nothing is known of them.
    """
    known = batch_statistics(view)
    if known is None:
        return view.model
    fixed = deepcopy(view.model)
    with torch.no_grad():
        for name, (mean, variance) in known.layers.items():
            layer: Any = fixed.get_submodule(name).eval()
            layer.running_mean.copy_(mean)
            layer.running_var.copy_(variance)
    return fixed
