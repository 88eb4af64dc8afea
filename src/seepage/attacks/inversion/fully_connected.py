"""Reads a batch off the gradient of a fully connected first layer, in closed form.

For y = W x + b, dL/dW_j = sum_i d_ij x_i and dL/db_j = sum_i d_ij, so the joined gradient
is A = D [X | 1]. One record: every row of A is [x | 1] up to scale (Phong et al. 2018;
Geiping et al. 2020, arXiv 2003.14053, proposition 3.1). Several: a row that one record
alone activates still is, and neurons that agree on a direction prove it; and D is sparse
under ReLU, so the directions Q with the most zeros in D = L Q (L: a basis of A's
columns) give all records at once, X = Q^-1 R (SPEAR, arXiv 2403.03945). Nothing of this
changes with several local steps, clipping, or averaging over clients: all only rescale
or add rows of D.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from ...core.claims import Reconstruction
from ...core.views import BatchSize
from .first_layer import FirstLayer, first_layer
from .linear_leak import Leak, leak
from .observed import contributors, observed_gradient

if TYPE_CHECKING:
    from torch import Tensor

    from ...core.views import AggregateView, JobFacts, UpdateView


@dataclass(frozen=True, kw_only=True)
class FullyConnected:
    """Analytic inversion of a fully connected first layer.

    Fields
    ------
    starts : descents a pass, in the search for sparse columns
    passes : passes at most; later ones run only while columns are missing
    largest_search : search for sparse columns up to this many records; beyond it, agreement only
    """

    starts: int = 512
    passes: int = 5
    largest_search: int = 24

    def __call__(
        self, view: UpdateView | AggregateView, rng: torch.Generator
    ) -> Reconstruction:
        """Return up to as many records as stand behind the update, the surest first."""
        size = view.fact(BatchSize)
        records = size.value * contributors(view) * view.job.local_steps if size else 0
        return invert(self, first_layer(view), observed_gradient(view), records, view.job, rng)


def invert(
    attack: FullyConnected,
    layer: FirstLayer,
    gradient: dict[str, Tensor],
    records: int,
    job: JobFacts,
    rng: torch.Generator,
) -> Reconstruction:
    """Return what `gradient` says of the layer's inputs; `records` 0: as many as stand out."""
    matrix = layer.joined(gradient)
    found = leak(
        matrix,
        records or min(matrix.shape) - 1,
        layer.active,
        rng,
        starts=attack.starts,
        passes=attack.passes,
        largest_search=attack.largest_search,
    )
    return Reconstruction(
        inputs=layer.records(found.directions, job.value_range),
        objective=found.residual,
        note=_note(found, layer),
    )


def _note(found: Leak, layer: FirstLayer) -> str:
    corroborated, total = int(found.corroborated.sum()), len(found.corroborated)
    text = f"{corroborated} of {total} corroborated by neurons that agree beyond chance"
    return text if layer.has_bias else f"{text}; no bias: the scale of each is a guess"
