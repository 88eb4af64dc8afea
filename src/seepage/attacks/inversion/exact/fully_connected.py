"""Reads a batch off the gradient of a fully connected first layer, in closed form.

For y = W x + b, dL/dW_j = sum_i d_ij x_i and dL/db_j = sum_i d_ij, so the joined gradient
is A = D [X | 1]. One record: every row of A is [x | 1] up to scale (Phong et al. 2018;
Geiping et al. 2020, arXiv 2003.14053, proposition 3.1). Several: a row that one record
alone activates still is, and neurons that agree on a direction prove it; and D is sparse
under ReLU, so the directions Q with the most zeros in D = L Q (L: a basis of A's
columns) give all records at once, X = Q^-1 R (SPEAR, arXiv 2403.03945). The model itself
proves a record: its activation pattern is that of its column. Nothing of this changes with
clipping, several local steps or averaging over clients: all only rescale D or add records.
Where noise hides the zeros, records are fitted through their patterns instead, starting
from auxiliary data where the attacker has some (`patterns.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from ....core.claims import Reconstruction
from ....core.views import AuxiliaryData
from ..observed import observed_gradient, observed_records
from .first_layer import FirstLayer, first_layer
from .linear_leak import Leak, leak, verify
from .low_rank import LowRank, low_rank
from .patterns import PatternProblem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from ....core.views import AggregateView, HistoryView, UpdateView

_JITTER, _REFIT_STEPS = 0.3, 60


@dataclass(frozen=True, kw_only=True, slots=True)
class FullyConnected:
    """Analytic inversion of a fully connected first layer.

    Fields
    ------
    starts : descents a pass, in the search for sparse columns
    passes : passes at most; later ones run only while columns are missing
    largest_search : search for sparse columns up to this many records; beyond it, agreement only
    refits : starts of the pattern fit, which runs where the search left records unproved,
        unless noise drowns the update: then there is nothing to fit
    """

    starts: int = 512
    passes: int = 5
    largest_search: int = 24
    refits: int = 4

    def __call__(self, view: UpdateView | AggregateView, rng: torch.Generator) -> Reconstruction:
        """Return up to as many records as stand behind the update, the surest first."""
        layer, gradient = first_layer(view), observed_gradient(view)
        return self.invert(view, layer, gradient, observed_records(view), rng)

    def invert(
        self,
        view: UpdateView | AggregateView | HistoryView,
        layer: FirstLayer,
        gradient: Mapping[str, Tensor],
        records: int,
        rng: torch.Generator,
        *,
        fewest: int | None = None,
    ) -> Reconstruction:
        """Return what `gradient` says of the layer's inputs, up to `records` of them.

        `records` 0: as many as stand out of the noise. Fits assume as many as stand out, but
        `fewest` at least (None: `records`).
        """
        matrix = layer.joined(gradient)
        limit = records or None
        parts = low_rank(matrix, limit if fewest is None else None)
        found = leak(
            parts,
            matrix,
            limit,
            layer,
            rng,
            starts=self.starts,
            passes=self.passes,
            largest_search=self.largest_search,
        )
        count = max(parts.rank, records if fewest is None else fewest)
        fits = self.refits and not parts.drowned and count <= self.largest_search
        if fits and not bool(found.proved.all()):
            found = self._refit(view, layer, matrix, parts, found, count, rng)
        return Reconstruction(
            inputs=layer.records(found.directions, view.job.value_range),
            objective=found.residual,
            solved=layer.has_bias and bool(found.proved.all()) and len(found.proved) > 0,
            explanation=_note(found, layer),
        )

    def _refit(
        self,
        view: UpdateView | AggregateView | HistoryView,
        layer: FirstLayer,
        matrix: Tensor,
        parts: LowRank,
        found: Leak,
        count: int,
        rng: torch.Generator,
    ) -> Leak:
        """Fit `count` records by their patterns, from what was proved and the auxiliary data."""
        problem = PatternProblem(matrix, layer, view.job.value_range)
        starts = [found.directions]
        held = view.fact(AuxiliaryData)
        if held is not None:
            known, atoms = found.directions[found.fits], layer.directions(held.inputs)
            jitters = [0.0] + [_JITTER] * (self.refits - 1)
            starts += [problem.pursue(known, atoms, count, jitter, rng) for jitter in jitters]
        refit = min((problem.descend(s, _REFIT_STEPS) for s in starts), key=lambda r: r.residual)
        fits, _ = verify(parts, refit.directions, layer)
        if bool(fits.all()):
            return Leak(refit.directions, fits, fits, refit.residual)
        exact = found.directions[found.proved]
        directions = torch.cat([exact, _others(refit.directions, exact)])[:count]
        proved = torch.arange(len(directions)) < len(exact)
        return Leak(directions, proved, proved, refit.residual)


def _others(directions: Tensor, known: Tensor) -> Tensor:
    """Return `directions` `[k, n]` without the one nearest to each of `known` `[j, n]`."""
    if not len(known):
        return directions
    unit = torch.nn.functional.normalize(directions, dim=1)
    nearest = (torch.nn.functional.normalize(known, dim=1) @ unit.T).abs().argmax(dim=1)
    keep = torch.ones(len(directions), dtype=torch.bool)
    keep[nearest] = False
    return directions[keep]


def _note(found: Leak, layer: FirstLayer) -> str:
    proved, total = int(found.proved.sum()), len(found.proved)
    text = f"{proved} of {total} corroborated by the activation patterns of their neurons"
    return text if layer.has_bias else f"{text}; no bias: the scale of each is a guess"
