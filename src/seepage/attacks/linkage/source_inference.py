"""Which client holds a record, from the loss under each client's local model.

After its local steps a client's model fits the client's own records better than the other
clients' models do. With a uniform prior the likeliest source of a record is the client under
whose model its loss is smallest (Hu, Salcic, Sun, Dobbie & Zhang 2021, "Source Inference
Attacks in Federated Learning", arXiv 2109.05659, theorem 1 and eq. 9). Losses fall as
training goes on, and clients may sit out rounds: so a loss is held against the mean over the
clients of its round, and those differences are averaged over a client's rounds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from ...core.claims import Linkage
from ...core.errors import NotApplicableError
from ..membership.candidate_losses import known_candidates, local_losses

if TYPE_CHECKING:
    from ...core.views import HistoryView

FEWEST_CLIENTS = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceInference:
    """Ranks the clients by the loss of each record under their models.

    It has no hyper-parameters.
    """

    def __call__(self, view: HistoryView, rng: torch.Generator) -> Linkage:  # noqa: ARG002
        """Return the clients in order of likelihood for each candidate, `[n, clients]`.

        Clients of whom nothing was seen come last. Raises `NotApplicableError` where no round
        shows two clients, or there are no candidates.
        """
        candidates = known_candidates(view)
        total = torch.zeros(len(candidates.targets), view.job.clients, dtype=torch.float64)
        count = torch.zeros(view.job.clients)
        for seen in view.rounds:
            if len(seen.updates) < FEWEST_CLIENTS:
                continue
            clients, losses = local_losses(view.model, view.loss, candidates, seen)
            total[:, clients] += losses - losses.mean(1, keepdim=True)
            count[clients] += 1
        if not bool(count.any()):
            raise NotApplicableError("no round shows two clients to tell apart")
        mean = torch.where(count > 0, total / count.clamp_min(1), torch.inf)
        note = f"{len(view.rounds)} rounds, {int((count > 0).sum())} of {view.job.clients} clients"
        return Linkage(ranking=mean.argsort(stable=True, dim=1), note=note)
