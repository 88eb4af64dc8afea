"""A column from a client's updates: which values would have made them what they are.

In round t the client's mean gradient is u_t = (1/n) sum_i g_t(x_i) over its n records, of
which the attacker knows all but the column. With z_iv whether record i has value v,

    n u_t = sum_iv z_iv g_t(x_i with v) + noise,

linear equations in z, one for each parameter and round. A priori z_i has the imputation's
mean and covariance; the answer is the posterior mean under Gaussian noise of one size, which
is where the evidence of the equations is greatest: sampled batches, several local steps and
defenses make it large, and the answer the imputation. Coordinates are measured by their
spread over auxiliary records, whose mean gradient stands in for records that are not asked
about. The equations are those of Dinur & Nissim (2003, "Revealing Information while Preserving
Privacy") with gradients as queries; that updates single out a column's values was shown by
matching gradients (Lyu & Chen 2021, arXiv 2108.06910; Diana et al. 2024, arXiv 2411.12697).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from ...core.errors import NotApplicableError
from ..flat_gradients import flat_gradients, flat_update, sent_parameters, spreads
from .imputation import asked_records, imputed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from ...core.views import HistoryView, SeenRound

_REFERENCES = 256
_MOST_UNKNOWNS = 1500
_MOST_VALUES = 40_000_000
_NOISES = torch.logspace(-12, 0.3, 80, dtype=torch.float64)


@dataclass(kw_only=True, slots=True, eq=False)
class _Equations:
    """Sums over all equations, for a block of unknowns: `[m, m]`, `[m]`, and of squares."""

    gram: Tensor
    moment: Tensor
    squares: float = 0.0
    count: int = 0

    def add(self, directions: Tensor, rest: Tensor) -> None:
        """Add equations `directions.T @ a = rest + noise`, of `[m, p]` and `[p]`."""
        self.gram += (directions @ directions.T).double()
        self.moment += (directions @ rest).double()
        self.squares += float(rest.double().square().sum())
        self.count += len(rest)

    def solve(self) -> Tensor:
        """Return the posterior mean `[m]` of unknowns that are standard normal a priori."""
        values, vectors = torch.linalg.eigh(self.gram)
        kept = values > 1e-9 * values[-1].clamp_min(1e-300)
        values, vectors = values[kept], vectors[:, kept]
        along = vectors.T @ self.moment
        squares = along.square() / values
        rest = max(self.squares - float(squares.sum()), 0.0)
        noise = _NOISES[:, None] * max(self.squares / max(self.count, 1), 1e-300)
        cost = (values + noise).log().sum(1) + (squares / (values + noise)).sum(1)
        cost = cost + (self.count - len(values)) * noise[:, 0].log() + rest / noise[:, 0]
        best = noise[cost.argmin()]
        return vectors @ (along / (values + best))


def from_updates(view: HistoryView) -> Tensor:
    """Return how likely each value is for each record of the view's client, `[n, k]`.

    Raises `NotApplicableError` where there are no auxiliary records, the client sent no
    update, or the model gives no gradient of a single record.
    """
    prior = imputed(view).of_asked
    asked = asked_records(view)
    rounds = [seen for seen in view.rounds if view.client in seen.updates]
    if not rounds:
        raise NotApplicableError(f"client {view.client} sent no update in the rounds seen")
    unit = _square_roots(prior)
    n, k = prior.shape
    blocks = torch.arange(n).split(max(_MOST_UNKNOWNS // (k - 1), 1))
    sums = [
        _Equations(gram=_zeros(len(b) * (k - 1), len(b) * (k - 1)), moment=_zeros(len(b) * (k - 1)))
        for b in blocks
    ]
    kept = None
    for seen in rounds:
        measured = _Measured.of(view, seen)
        kept = measured.telling(n * k) if kept is None else kept
        gradients = measured.gradients(asked.completed().flatten(0, 1), k, kept).view(n, k, -1)
        explained = torch.einsum("nv,nvp->p", prior.float(), gradients)
        others = (asked.held - n) * measured.mean[kept]
        rest = asked.held * measured.update[kept] - explained - others
        scale = float(rest.norm()) / len(rest) ** 0.5 or 1.0
        for block, into in zip(blocks, sums, strict=True):
            directions = torch.einsum("nvj,nvp->njp", unit[block].float(), gradients[block])
            into.add(directions.flatten(0, 1) / scale, rest / scale)
    moved = torch.cat([s.solve().view(-1, k - 1) for s in sums])
    found = (prior + torch.einsum("nvj,nj->nv", unit, moved)).clamp_min(1e-6)
    return found / found.sum(1, keepdim=True)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Measured:
    """One round, with every coordinate in units of its spread over auxiliary records."""

    view: HistoryView
    seen: SeenRound
    names: Sequence[str]
    update: Tensor
    mean: Tensor
    spread: Tensor

    @classmethod
    def of(cls, view: HistoryView, seen: SeenRound) -> _Measured:
        """Measure the round of the view's client."""
        update = seen.updates[view.client]
        names = sent_parameters(view.model, update)
        sent = flat_update(update, names, view.job)
        known = imputed(view).known
        some = flat_gradients(
            view.model,
            view.loss,
            known.inputs[:_REFERENCES],
            known.targets[:_REFERENCES],
            names=names,
            state=seen.state,
        )
        spread = spreads(some)
        return cls(
            view=view,
            seen=seen,
            names=names,
            update=sent / spread,
            mean=some.mean(0) / spread,
            spread=spread,
        )

    def gradients(self, inputs: Tensor, values: int, kept: Tensor) -> Tensor:
        """Return the gradients `[n * k, p]` of records with each of `values` in turn."""
        targets = asked_records(self.view).targets[: len(inputs) // values]
        each = targets.repeat_interleave(values)
        found = flat_gradients(
            self.view.model,
            self.view.loss,
            inputs,
            each,
            names=self.names,
            state=self.seen.state,
            kept=kept,
        )
        return found / self.spread[kept]

    def telling(self, gradients: int) -> Tensor:
        """Return the coordinates that differ most by value, as many as fit into memory."""
        asked = asked_records(self.view)
        most = max(_MOST_VALUES // gradients, 1)
        everything = torch.arange(len(self.update))
        if len(everything) <= most:
            return everything
        k = len(asked.codes)
        some = self.gradients(asked.completed()[:32].flatten(0, 1), k, everything)
        return some.view(-1, k, len(everything)).std(1).norm(dim=0).topk(most).indices


def _square_roots(prior: Tensor) -> Tensor:
    """Return L `[n, k, k - 1]` with L L^T the covariance of one draw from each row `[n, k]`.

    The covariance is D (I - r r^T) D with r the roots of the row and D their diagonal, so L is
    D times a basis of what is orthogonal to r: all columns but one of a reflection.
    """
    root = prior.sqrt()
    mirror = root.clone()
    mirror[:, 0] += 1
    mirror = mirror / mirror.norm(dim=1, keepdim=True)
    basis = torch.eye(prior.shape[1], dtype=prior.dtype) - 2 * mirror[:, :, None] * mirror[:, None]
    return root[:, :, None] * basis[:, :, 1:]


def _zeros(*shape: int) -> Tensor:
    return torch.zeros(*shape, dtype=torch.float64)
