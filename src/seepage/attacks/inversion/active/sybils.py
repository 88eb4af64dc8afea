"""Takes one client's update out of a securely aggregated sum, by filling it with clients it owns.

Secure aggregation hides an update among others, and says nothing of whose these are. A server
that names the cohort keeps one client and fills up with its own, which send zeros and leave
their share of distributed noise out, so that

    contributors * aggregate = update of the target

but for the noise of the target itself (Boenisch et al. 2023, "Reconstructing Individual Data
Points in Federated Learning Hardened with Differential Privacy and Secure Aggregation", arXiv
2301.04017). All get the honest model, so commitments to it agree, and the cohort is as large as
ever. What stops it is a cohort that the server does not choose, or clients that somebody else
registers and counts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from ....core.attack import ServerMove
from ....core.claims import Reconstruction
from ....core.errors import NotApplicableError, UsageError
from ....core.views import UpdateView
from ..inner import inner_attack

if TYPE_CHECKING:
    from ....core.views import AggregateView, ServerKnowledge


@dataclass(frozen=True, kw_only=True, slots=True)
class Sybils:
    """Surrounds one client by clients of the server's own, then inverts its update.

    Fields
    ------
    target : the client to keep, drawn or not; -1: one of those drawn, at random
    inner : the attack on its update, by name; `auto`: `fully-connected` where the first
        layer is, else `inverting-gradients`
    """

    target: int = -1
    inner: str = "auto"

    def __post_init__(self) -> None:
        if self.target < -1:
            raise UsageError(f"sybils: target is {self.target}; use a client's number, or -1")

    def act(self, knowledge: ServerKnowledge, rng: torch.Generator) -> ServerMove:
        """Keep the target alone in a cohort as large as the honest one.

        Where nothing hides single updates, there is no sum to get around: the cohort stays.
        """
        cohort, target = knowledge.cohort, self.target
        if target < 0:
            target = cohort[int(torch.randint(len(cohort), (), generator=rng))]
        if not any(card.sums for card in knowledge.defenses):
            return ServerMove(models={})
        return ServerMove(models={}, cohort=(target,), sybils=len(cohort) - 1)

    def __call__(self, view: AggregateView | UpdateView, rng: torch.Generator) -> Reconstruction:
        """Return up to a batch of the target's records.

        Raises `NotApplicableError` where others than the target contribute.
        """
        if isinstance(view, UpdateView):
            return inner_attack(self.inner, view)[1](view, rng)
        honest = view.contributors - view.sybils
        if honest != 1:
            raise NotApplicableError(
                f"{honest} clients of the job contribute: the sum is no single one's update"
            )
        if not view.aggregate:
            return Reconstruction.nothing(view.job.input_shape, "no sum came back")
        client = view.cohort[0] if view.cohort else self.target
        update = {name: value * view.contributors for name, value in view.aggregate.items()}
        alone = view.of_update(update, model=view.model, number=view.round, client=client)
        found = inner_attack(self.inner, alone)[1](alone, rng)
        note = f"the update of client {client} alone, among {view.sybils} of the server's own"
        return replace(found, explanation=f"{note}; {found.explanation}")
