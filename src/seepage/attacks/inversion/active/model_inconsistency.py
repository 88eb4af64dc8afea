"""Takes one client's update out of a securely aggregated sum, by sending differing models.

Secure aggregation hides single updates in their sum, but not from a server that chooses
what each client trains. The target gets the honest model, all others one whose gradient
vanishes (`suppression.py`), so that on the parameters that stay silent

    contributors * aggregate = update of the target,

exactly (Pasquini, Francati & Ateniese 2022, "Eluding Secure Aggregation in Federated
Learning via Model Inconsistency", arXiv 2111.07380). That update is then inverted as any
single client's. The last bias of the others is not silent and is left out.
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
from .suppression import silent_parameters, suppressed

if TYPE_CHECKING:
    from ....core.views import AggregateView, ServerKnowledge, Update


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelInconsistency:
    """Singles out one client of a cohort, then inverts its update.

    Fields
    ------
    target : the client to single out; -1: one of the cohort at random
    inner : the attack on its update, by name; `auto`: `fully-connected` where the first
        layer is, else `inverting-gradients`
    """

    target: int = -1
    inner: str = "auto"

    def __post_init__(self) -> None:
        if self.target < -1:
            raise UsageError(
                f"model-inconsistency: target is {self.target}; use a client's number, or -1"
            )

    def act(self, knowledge: ServerKnowledge, rng: torch.Generator) -> ServerMove:
        """Send the target the honest model, and every other client a suppressed one.

        Where nothing hides single updates, there is no sum to get around: all stay honest.
        Raises `NotApplicableError` where the target does not take part, or no layer of
        the model can be suppressed.
        """
        cohort, target = knowledge.cohort, self.target
        if target < 0:
            target = cohort[int(torch.randint(len(cohort), (), generator=rng))]
        if target not in cohort:
            raise NotApplicableError(f"client {target} does not take part in this round")
        if not any(card.sums for card in knowledge.defenses):
            return ServerMove(models={})
        dead = suppressed(knowledge)
        return ServerMove(models={c: knowledge.model if c == target else dead for c in cohort})

    def __call__(self, view: AggregateView | UpdateView, rng: torch.Generator) -> Reconstruction:
        """Return up to a batch of the target's records: other clients' are out of its reach.

        Raises `NotApplicableError` as `single_update` does.
        """
        if isinstance(view, UpdateView):
            return inner_attack(self.inner, view)[1](view, rng)
        if not view.aggregate:
            reason = "no sum came back: the clients did not add up what differing models gave"
            return Reconstruction.nothing(view.job.input_shape, reason)
        client, update = single_update(view)
        model = view.sent[client]
        if not any(bool(value.any()) for value in update.values()):
            reason = f"client {client} added nothing to the sum: aim at one that does not drop out"
            return Reconstruction.nothing(view.job.input_shape, reason)
        alone = view.of_update(update, model=model, number=view.round, client=client)
        found = inner_attack(self.inner, alone)[1](alone, rng)
        clear = sum(value.numel() for value in update.values())
        total = sum(p.numel() for p in model.parameters())
        note = (
            f"the update of client {client} alone, on {clear:,} of {total:,} parameters, "
            f"out of a sum of {view.contributors}"
        )
        return replace(found, explanation=f"{note}; {found.explanation}")


def single_update(view: AggregateView) -> tuple[int, Update]:
    """Return the client that the models which were sent single out, and its update.

    The update holds the parameters that move for this client only; buffers are left out.
    Raises `NotApplicableError` where the same model went to all, or no parameter is moved
    by one client alone.
    """
    if not view.sent:
        raise NotApplicableError("every client was sent the same model: there is no inconsistency")
    silent = {client: silent_parameters(model, view) for client, model in view.sent.items()}
    rest = silent_parameters(view.model, view) if len(view.sent) < view.contributors else None
    parameters = {name: p.numel() for name, p in view.model.named_parameters()}
    best, clear = -1, frozenset[str]()
    for client, own in silent.items():
        alone = view.aggregate.keys() & parameters.keys() - own
        for other, quiet in silent.items():
            alone = alone if other == client else alone & quiet
        alone = frozenset(alone if rest is None else alone & rest)
        if sum(map(parameters.__getitem__, alone)) > sum(map(parameters.__getitem__, clear)):
            best, clear = client, alone
    if not clear:
        raise NotApplicableError("no parameter is moved by one client alone: nothing to read off")
    ordered = [name for name in parameters if name in clear]
    return best, {name: view.aggregate[name] * view.contributors for name in ordered}
