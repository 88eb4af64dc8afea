"""How many records of a batch have each value of a column, from the update they made.

A linear statistic of a record's gradient that tells its value is fitted to auxiliary records
at the known model: ridge regression, solved in the records' kernel, its penalty chosen by the
leave-one-out error. The update is a mean of such gradients, so the statistic of the update is
the mean of the records' statistics, from which the counts follow with the least mean squared
error. Where the statistic tells nothing, they are the population's shares.
(Melis et al. 2019, "Exploiting Unintended Feature Leakage in Collaborative Learning", arXiv
1805.04049, section 4.4; Ateniese et al. 2015, arXiv 1306.4447.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import one_hot

from ...core.claims import AttributeGuess
from ...core.columns import column_asked
from ...core.errors import NotApplicableError, UsageError
from ...core.views import AggregateView, AuxiliaryData, BatchSize, UpdateView
from ...data.coded import coded, column_codes
from ..flat_gradients import flat_gradients, flat_update, sent_parameters, spreads
from ..gradient_noise import flat_deviations, gradient_noise
from .counting import ClassGradients, whole_counts

if TYPE_CHECKING:
    from torch import Tensor

    from ...core.columns import TableColumn
    from ...core.views import Update

_MOST_RECORDS = 1024
_RIDGE, _ROUNDING = 1e-3, 1e-8
_PENALTIES = torch.logspace(-4, 3, 15, dtype=torch.float64)


@dataclass(frozen=True, kw_only=True, slots=True)
class PropertyInference:
    """Guesses the values of a column in the batch behind an update.

    Fields
    ------
    column : whose values are counted ("": the first sensitive one of categories)
    concentration : how far a batch's shares are expected from the population's, > 0: those of
        a Dirichlet distribution of so many records (large: a batch is drawn from it at random)
    """

    column: str = ""
    concentration: float = 2.0

    def __post_init__(self) -> None:
        if not self.concentration > 0:
            raise UsageError(
                f"property-inference: concentration is {self.concentration}; use a number above 0"
            )

    def __call__(self, view: UpdateView | AggregateView, rng: torch.Generator) -> AttributeGuess:
        """Return a value for each record of the batch, of all contributors: codes of the column.

        Raises `NotApplicableError` where the batch size is not known, there are no auxiliary
        records, or all have one value; `DataError` for a column that is not there, or holds
        too many numbers.
        """
        size = view.fact(BatchSize)
        known = view.fact(AuxiliaryData)
        if size is None or known is None or not len(known.targets):
            raise NotApplicableError(
                "a column is counted with the batch size and auxiliary records known"
            )
        contributors = view.contributors if isinstance(view, AggregateView) else 1
        records = size.value * contributors
        column = column_asked(view.job.columns, self.column)
        known, value = _fitted_to(column, known, rng)
        present, place = value.unique(return_inverse=True)
        sent = view.update if isinstance(view, UpdateView) else view.aggregate
        names = sent_parameters(view.model, sent)
        total = flat_update(sent, names, view.job)
        state = {name: p.detach() for name, p in view.model.named_parameters()}
        gradients = flat_gradients(
            view.model, view.loss, known.inputs, known.targets, names=names, state=state
        )
        spread = spreads(gradients)
        noise = _noise(view, {name: sent[name] for name in names}, size.value, contributors)
        told = _Statistic.fit(gradients / spread, one_hot(place).double())
        shares = torch.bincount(place) / len(place)
        counts = _counts(
            ClassGradients.of(told.of_records, place, shares),
            told.of(total / spread) * records,
            records,
            self.concentration,
            None if noise is None else told.variance(noise / spread) * records**2,
        )
        return AttributeGuess(attribute=column.name, values=present.repeat_interleave(counts))


def _counts(
    known: ClassGradients, total: Tensor, size: int, concentration: float, error: Tensor | None
) -> Tensor:
    """Return the counts `[k]` with least mean squared error, in whole numbers of sum `size`."""
    noise = size * known.spread
    noise = noise + (_RIDGE * noise.diagonal().mean() + _ROUNDING) * torch.eye(len(noise))
    if error is not None:
        noise = noise + torch.diag(error)
    f = known.frequency
    wider = size * (size + concentration) / (1 + concentration)
    prior = wider * (torch.diag(f) - f[:, None] * f)
    joint = known.means.T @ prior @ known.means + noise
    gain = torch.linalg.solve(joint, known.means.T @ prior).T
    estimate = size * f + gain @ (total - size * f @ known.means)
    return whole_counts(estimate, size, torch.zeros(len(f), dtype=torch.int64))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Statistic:
    """A linear function of a gradient, with what it is on each record when fitted to the others."""

    weight: Tensor
    center: Tensor
    offset: Tensor
    of_records: Tensor

    @classmethod
    def fit(cls, gradients: Tensor, goal: Tensor) -> _Statistic:
        """Fit `goal` `[n, k]` to gradients `[n, p]`."""
        center, offset = gradients.mean(0), goal.mean(0)
        apart = (gradients - center).double()
        values, vectors = torch.linalg.eigh(apart @ apart.T)
        along = vectors.T @ (goal - offset)
        scale = values.clamp_min(0).mean().clamp_min(1e-30)
        best: tuple[float, Tensor, Tensor] | None = None
        for penalty in _PENALTIES * scale:
            shrunk = 1 / (values.clamp_min(0) + penalty)
            dual = vectors @ (shrunk[:, None] * along)
            # Each record's residual when left out (Allen's PRESS).
            left_out = dual / (vectors.square() @ shrunk)[:, None]
            error = float(left_out.square().mean())
            if best is None or error < best[0]:
                best = error, dual, goal - left_out
        assert best is not None
        _, dual, of_records = best
        return cls(
            weight=apart.T @ dual, center=center.double(), offset=offset, of_records=of_records
        )

    def of(self, gradient: Tensor) -> Tensor:
        """Return the statistic `[k]` of a mean gradient `[p]`."""
        return self.offset + (gradient.double() - self.center) @ self.weight

    def variance(self, deviations: Tensor) -> Tensor:
        """Return the variance `[k]` that independent noise of these deviations `[p]` makes."""
        return deviations.double().square() @ self.weight.square()


def _fitted_to(
    column: TableColumn, known: AuxiliaryData, rng: torch.Generator
) -> tuple[AuxiliaryData, Tensor]:
    """Return at most 1,024 auxiliary records, and which value each has, int64 `[n]`."""
    value = coded(column, column_codes(column, known.inputs), known.inputs)
    if len(value.unique()) < 2:
        raise NotApplicableError(
            f"every auxiliary record has the same value in column {column.name!r}: there is "
            "nothing to count"
        )
    order = torch.randperm(len(value), generator=rng)
    chosen = order[:_MOST_RECORDS]
    # One record of each value at least, and more of those than of any that is not there.
    firsts = torch.stack([order[value[order] == v][0] for v in value.unique()])
    chosen = torch.cat([chosen, firsts]).unique()
    return AuxiliaryData(known.inputs[chosen], known.targets[chosen]), value[chosen]


def _noise(
    view: UpdateView | AggregateView, like: Update, batch: int, contributors: int
) -> Tensor | None:
    """Return the deviations of the noise in the mean gradient, `[p]`; None where not known."""
    found = gradient_noise(view.defenses, view.job, like, number=view.round, batch=batch)
    if found is None:
        return None
    return flat_deviations(found, like) / contributors**0.5
