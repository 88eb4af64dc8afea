"""Reads a whole batch off the gradient of a ReLU network's first linear layer, or refuses.

For y = W x + b over a batch, A = [dL/dW | dL/db] = D [X | 1] has the batch's rank, and D is
zero where a record leaves a neuron off. With A = L R by its singular values, D = L Q and
X = Q^-1 R, so that the sparse directions Q give every record exactly (SPEAR: Dimitrov et al.
2024, arXiv 2403.03945). SPEAR draws rows of L at random; here `column_search.py` finds the
columns by descent and proves each by the half-space of its record. Where `fully-connected`
returns the best that it has, this attack returns the batch or nothing: each column must be
the one null vector of the rows that its record leaves off, the pattern of each record under
the model must be that of its column, values must lie in the public range, D masked by these
patterns must explain the gradient, and the error that rounding leaves must be within
`tolerance`. Then `tally.py` holds each column against the model's gradient of its record:
this gives the label, and tells a record from several whose gradients coincide.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import normalize

from ....core.claims import Reconstruction
from ....core.errors import NotApplicableError
from ..observed import observed_gradient, observed_records
from .column_search import Columns, ColumnSearch
from .exactness import standard_errors
from .first_layer import FirstLayer, first_layer
from .half_spaces import HalfSpaces
from .low_rank import LowRank, low_rank
from .tally import Tally, tally

if TYPE_CHECKING:
    from torch import Tensor

    from ....core.views import AggregateView, UpdateView

_ROUNDING, _PROBES = 1e-15, 4
_SPARE = 3.0
_EXPLAINED, _SHIFTED = 1e-3, 0.2


@dataclass(frozen=True, kw_only=True, slots=True)
class Spear:
    """Exact inversion of a batch through a first linear layer and its ReLU, all or nothing.

    Fields
    ------
    starts : descents a pass, in the search for columns
    passes : passes at most; later ones run only while columns are missing
    largest_search : refuse beyond this many records
    tolerance : greatest standard error of a value, as a share of the value range
    """

    starts: int = 256
    passes: int = 12
    largest_search: int = 48
    tolerance: float = 1e-3

    def __call__(self, view: UpdateView | AggregateView, rng: torch.Generator) -> Reconstruction:
        """Return all records behind the update, or none and the reason.

        Raises `NotApplicableError` where the model does not begin with a linear layer and
        a ReLU.
        """
        layer, gradient = first_layer(view), observed_gradient(view)
        _require_relu(layer, view.job.value_range)
        matrix, records = layer.joined(gradient), observed_records(view)
        parts = low_rank(matrix, records or None)
        width = len(matrix)
        if parts.drowned:
            return _refusal(layer, "noise drowns the gradient")
        if parts.rank >= min(matrix.shape):
            return _refusal(
                layer,
                f"width {width} and {matrix.shape[1]} values a record do not show more than "
                f"{parts.rank - 1} records",
            )
        if parts.rank > self.largest_search:
            return _refusal(
                layer,
                f"{parts.rank} records are more than largest_search={self.largest_search}: "
                "raise it, or use ica",
            )
        shifts = (layer.shift,) if view.job.local_steps == 1 else (layer.shift, _SHIFTED)
        claim = _refusal(layer, "")
        for shift in shifts:
            search = self._search(layer, matrix, parts, shift)
            columns = search.run(self.passes, rng)
            if columns.proved:
                claim = self._judge(view, layer, matrix, parts, search, columns.q)
            else:
                claim = _refusal(layer, _unsolvable(search, columns, records))
            if len(claim.inputs):
                break
        return claim

    def _search(
        self, layer: FirstLayer, matrix: Tensor, parts: LowRank, shift: float
    ) -> ColumnSearch:
        left = matrix - parts.rows @ parts.basis
        noise = (left.square().sum(dim=1) / (matrix.shape[1] - parts.rank)).sqrt()
        planes = _neurons(layer) @ parts.basis.T
        return ColumnSearch(
            rows=parts.rows,
            noise=noise.clamp_min(_ROUNDING * float(parts.rows.norm())),
            half_spaces=HalfSpaces(normalize(planes, dim=1)),
            scale=parts.basis[:, -1] if layer.has_bias else None,
            starts=self.starts,
            shift=shift,
        )

    def _judge(
        self,
        view: UpdateView | AggregateView,
        layer: FirstLayer,
        matrix: Tensor,
        parts: LowRank,
        search: ColumnSearch,
        q: Tensor,
    ) -> Reconstruction:
        """Return the records of proved columns `[r, r]` if nothing speaks against them."""
        coordinates, on = search.patterns(q)
        directions = coordinates @ parts.basis
        value_range = view.job.value_range
        inputs = layer.records(directions, None)
        if not layer.has_bias:
            inputs = layer.records(directions, value_range)
        directions = layer.directions(inputs)
        low, high = value_range or (float(inputs.min()), float(inputs.max()))
        limit = self.tolerance * max(high - low, 1e-300)
        error = float(standard_errors(search, q, directions).max())
        if not _SPARE * error <= limit:
            size = "without bound" if error == float("inf") else f"{error:.1g}"
            return _refusal(
                layer, f"activations too alike: rounding leaves the values in doubt ({size})"
            )
        outside = float(torch.maximum(low - inputs, inputs - high).max())
        if layer.has_bias and outside > _SPARE * limit:
            return _refusal(layer, f"values lie outside their range by {outside:.2g}")
        on = ~search.zero(q) if view.job.local_steps > 1 else on
        d = torch.linalg.lstsq(directions.T, matrix.T).solution.T * on.T
        residual = float((matrix - d @ directions).norm() / matrix.norm())
        if residual > _EXPLAINED:
            return _refusal(layer, f"the records leave {residual:.2g} of the gradient unexplained")
        if value_range is not None:
            inputs = inputs.clamp(*value_range)
        counted = tally(view, layer, inputs, d)
        return Reconstruction(
            inputs=inputs[counted.source],
            labels=counted.labels,
            objective=residual,
            solved=_is_settled(layer, counted, len(inputs), observed_records(view)),
            explanation=_note(layer, counted, len(inputs), observed_records(view), error),
        )


def _neurons(layer: FirstLayer) -> Tensor:
    """Return [W | b] in float64, `[m, n (+ 1)]`."""
    parameters = dict(layer.model.named_parameters())
    return layer.joined({name: value.detach() for name, value in parameters.items()})


def _require_relu(layer: FirstLayer, value_range: tuple[float, float] | None) -> None:
    """Raise `NotApplicableError` where a neuron below 0 passes a gradient back."""
    low, high = value_range or (0.0, 1.0)
    size = math.prod(layer.input_shape)
    steps = torch.arange(1, _PROBES * size + 1, dtype=torch.float64).view(_PROBES, size)
    probes = low + (high - low) * (0.5 + 0.5 * (steps.square() * 0.7).sin())
    directions = layer.directions(probes.view(_PROBES, *layer.input_shape))
    drive = directions @ _neurons(layer).T
    below = drive < -1e-4 * drive.abs().mean()
    if bool((layer.active(directions) & below).any()):
        raise NotApplicableError(
            "the first layer's activation is no ReLU: its columns have no zeros to search for; "
            "try fully-connected"
        )


def _unsolvable(search: ColumnSearch, columns: Columns, records: int) -> str:
    width, rank = search.rows.shape
    behind = f" of a batch of {records}" if records > rank else ""
    text = (
        f"width {width} is too small for {rank} records{behind}, or activations too alike: "
        f"{len(columns.q)} of {rank} columns found in {columns.passes} passes"
    )
    if not len(columns.q):
        return text
    on = (~search.zero(columns.q)).sum(dim=1)
    return f"{text}, of records that turn on {int(on.min())} to {int(on.max())} neurons"


def _refusal(layer: FirstLayer, reason: str) -> Reconstruction:
    return Reconstruction.nothing(layer.input_shape, f"not solvable: {reason}")


def _is_settled(layer: FirstLayer, counted: Tally, found: int, records: int) -> bool:
    """Whether each input is a record, at its true scale, and no mean of several."""
    return layer.has_bias and not counted.merged and (counted.known or found == records)


def _note(layer: FirstLayer, counted: Tally, found: int, records: int, error: float) -> str:
    total = len(counted.source)
    text = f"{found} distinct records explain the gradient, to a standard error of {error:.1g}"
    if counted.known and total > found:
        alike = "copies of them, or too like them to tell" if counted.merged else "copies of them"
        text += f"; {total - found} more: {alike}"
    if records > total:
        fate = "left no trace" if counted.known else "copies, too alike or without a trace"
        text += f"; {records - total} more of the batch of {records}: {fate}"
    elif not records and not counted.known:
        text += "; for how many records each stands is not known"
    return text if layer.has_bias else f"{text}; no bias: the scale of each is a guess"
