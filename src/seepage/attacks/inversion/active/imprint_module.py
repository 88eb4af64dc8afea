"""The layers that a malicious server sends so that a gradient keeps records apart.

k neurons measure h(x) = <w, x> against the edges q_1 < ... < q_k of bins. A neuron's gradient
is the sum of c_i [x_i, 1] over the records i that it is sensitive to:

    linear  ReLU(h - q_j): all records with h > q_j; differences of neighbours give the bins.
    sparse  (h - q_j) / (q_j+1 - q_j), cut off at 0 and 1: the records of bin j alone.

c_i is the same in each neuron because all columns of the layer behind are the same v: it is
<v, dL_i / d(output)>. So a record adds the same row wherever it falls, in every measurement.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import nn
from torch.nn.utils import skip_init

from .measurements import directions, edges, reach

if TYPE_CHECKING:
    from torch import Tensor


class ImprintModule(nn.Module):
    """Maps inputs `[b, *shape]` to outputs of the same shape through k measuring neurons.

    `sparse` neurons saturate at `height`; others are ReLU.
    """

    def __init__(self, features: int, neurons: int, *, sparse: bool, height: float = 1.0) -> None:
        super().__init__()
        # Without drawing from the global generator: all weights are written later.
        self.measure = cast("nn.Linear", skip_init(nn.Linear, features, neurons))
        self.window = nn.Hardtanh(0.0, height) if sparse else nn.ReLU()
        self.back = cast("nn.Linear", skip_init(nn.Linear, neurons, features))

    def forward(self, x: Tensor) -> Tensor:
        """Return what the job's own model gets instead of `x`."""
        return self.back(self.window(self.measure(x.flatten(1)))).view_as(x)


def measuring_rows(
    references: Tensor,
    neurons: int,
    measurements: int,
    *,
    sparse: bool,
    value_range: tuple[float, float] | None,
    rng: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Return weight `[neurons, n]` and bias `[neurons]`, float64, of measuring neurons.

    The neurons are shared out evenly to `measurements` directions, or to fewer where the
    references `[s, *shape]` do not vary in as many ways.
    """
    found = directions(references, measurements, rng)
    flat = references.flatten(1).double()
    weights: list[Tensor] = []
    biases: list[Tensor] = []
    for t, direction in enumerate(found):
        bins = (neurons - t + len(found) - 1) // len(found)
        measured = flat @ direction
        cuts = edges(measured, bins, *reach(direction, measured, value_range))
        scale = 1 / cuts.diff() if sparse else torch.ones_like(cuts[:-1])
        weights.append(scale[:, None] * direction)
        biases.append(-scale * cuts[:-1])
    return torch.cat(weights), torch.cat(biases)
