"""Takes one client's update out of the secure sums of many rounds, by who took part in which.

A server that sums securely still knows each round's cohort. With P the matrix of who took part
(rounds by clients) and U the clients' updates, the sums are S = P U + E, where E is what updates
change from round to round: little, where clients use all their records each time and the model
moves slowly. Least squares gives the update of client c, and the rounds to spare tell E:

    u = w S,    w = row c of the pseudo-inverse of P,    |error| ~ |S - P P^+ S| |w| / sqrt(spare).

Lam et al. 2021, "Gradient Disaggregation: Breaking Privacy in Federated Learning by
Reconstructing the User Participant Matrix", arXiv 2106.06089, find P as well, from how often
each client took part; here it is known. A client is told apart where its unit vector lies in the
row space of P (all are, where P has full column rank); one that takes part in every round, or
only along with another, is not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from ....core.claims import Reconstruction
from ....core.errors import NotApplicableError, UsageError
from ....core.views import HistoryView
from ..inner import inner_attack
from ..observed import model_at
from ..optimized.several_rounds import updates_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from ....core.views import AggregateHistoryView, SeenAggregate, Update

_VANISHES = 1e-9


@dataclass(frozen=True, kw_only=True, slots=True)
class Disaggregation:
    """Separates one client's mean update from sums over rounds, then inverts it.

    Fields
    ------
    tolerance : greatest standard error of the update, as a share of its norm, at which what
        it gives can be taken for solved
    inner : the attack on the update, by name; `auto`: `fully-connected` where the first
        layer is, else `inverting-gradients`
    """

    tolerance: float = 0.1
    inner: str = "auto"

    def __post_init__(self) -> None:
        if not self.tolerance > 0:
            raise UsageError(f"disaggregation: tolerance is {self.tolerance}; use more than 0")

    def __call__(
        self, view: AggregateHistoryView | HistoryView, rng: torch.Generator
    ) -> Reconstruction:
        """Return up to a batch of the client's records, none where it is not told apart.

        Where single updates are seen, its first one is inverted. Raises `NotApplicableError`
        where the view asks of no one client, or does not say who took part.
        """
        if isinstance(view, HistoryView):
            (alone,) = updates_of(view, 1)
            return inner_attack(self.inner, alone)[1](alone, rng)
        if view.client < 0:
            raise NotApplicableError("the view asks of no single client: there is none to separate")
        if not all(seen.cohort for seen in view.rounds):
            raise NotApplicableError("who took part in each round is not known")
        weights = Weights.of(view.client, [seen.cohort for seen in view.rounds])
        if weights is None:
            return Reconstruction.nothing(
                view.job.input_shape,
                f"who took part in {len(view.rounds)} rounds does not tell client {view.client} "
                "from others: watch more rounds, with cohorts that differ",
            )
        update, error = weights.separate(view.rounds)
        present = [seen for seen in view.rounds if view.client in seen.cohort]
        middle = present[len(present) // 2]
        alone = view.of_update(
            update, model=model_at(view, middle.state), number=middle.round, client=view.client
        )
        found = inner_attack(self.inner, alone)[1](alone, rng)
        known = f"a standard error of {error:.1%}" if weights.spare else "an error that is unknown"
        note = (
            f"the update of client {view.client} out of {len(view.rounds)} sums, with {known} "
            f"({weights.spare} rounds to spare)"
        )
        return replace(
            found,
            solved=found.solved and error <= self.tolerance,
            explanation=f"{note}; {found.explanation}",
        )


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """How the update of one client comes out of sums, by least squares.

    Fields
    ------
    of_sums : `[rounds]`, what each sum counts
    basis : orthonormal columns that span those of P, `[rounds, rank]`
    """

    of_sums: Tensor
    basis: Tensor

    @property
    def spare(self) -> int:
        """Return how many rounds there are beyond the unknowns."""
        return len(self.basis) - self.basis.shape[1]

    @classmethod
    def of(cls, client: int, cohorts: Sequence[tuple[int, ...]]) -> Weights | None:
        """Return them, or None where the cohorts do not tell the client from others."""
        clients = sorted({client}.union(*cohorts))
        rows = [[float(c in cohort) for c in clients] for cohort in cohorts]
        left, sizes, right = torch.linalg.svd(
            torch.tensor(rows, dtype=torch.float64), full_matrices=False
        )
        held = sizes > _VANISHES * sizes[0]
        basis, ours = left[:, held], right[held, clients.index(client)]
        if float(ours.square().sum()) < 1 - _VANISHES:
            return None
        return cls(of_sums=basis @ (ours / sizes[held]), basis=basis)

    def separate(self, rounds: Sequence[SeenAggregate]) -> tuple[Update, float]:
        """Return the client's mean update and its standard error as a share of its norm.

        The error is infinite where no round is to spare.
        """
        update: dict[str, Tensor] = {}
        left = total = 0.0
        for name, value in rounds[0].aggregate.items():
            means = [r.aggregate[name].double().flatten() * len(r.cohort) for r in rounds]
            sums = torch.stack(means)
            ours = self.of_sums @ sums
            left += float((sums - self.basis @ (self.basis.T @ sums)).square().sum())
            total += float(ours.square().sum())
            update[name] = ours.view(value.shape).to(value.dtype)
        if not self.spare or not total:
            return update, float("inf")
        variance = left / self.spare * float(self.of_sums.square().sum())
        return update, (variance / total) ** 0.5
