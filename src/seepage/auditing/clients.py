"""Asks which clients took part, in jobs that were trained with and without each of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from ..core.claims import MembershipScores, MembershipTruth
from ..core.errors import SeepageError
from ..core.seeds import torch_rng
from ..fl.participation_views import clients_records, participation_views
from .evidence import ScoreEvidence, membership_evidence
from .simulating import with_simulation
from .splits import splits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..core.attack import Attack
    from ..core.threat import Observer
    from ..core.views import View
    from .cells import Cell
    from .federations import Federations

RECORDS_A_CLIENT = 500

Asked = tuple["View", "View", MembershipTruth]


def client_questions(
    kind: str, federations: Federations, variant: str, observer: Observer, rng: torch.Generator
) -> list[Asked]:
    """Return view, null view and truth of each split of the job's clients.

    The null is the job with nobody of them in. The attacker simulates the job that was planned,
    with all clients. Raises `NotApplicableError` where there are too few
    clients, or nobody to stand in.
    """
    base, shop = federations.transcript(variant), federations.workshop
    clients = len(base.task.clients)
    coins = splits(clients, rng)
    asked = clients_records(base.task, rng, limit=RECORDS_A_CLIENT)
    nobody = torch.zeros(clients, dtype=torch.bool)
    empty = federations.split(variant, nobody, 0)
    found: list[Asked] = []
    for replica, present in enumerate(coins):
        job = federations.split(variant, present, replica)
        real = participation_views(kind, job, observer, asked, present)
        null = participation_views(kind, empty, observer, asked, present)
        found += [
            (with_simulation(view, base, shop), with_simulation(other, base, shop), truth)
            for (view, truth), (other, _) in zip(real, null, strict=True)
        ]
    return found


def client_evidence(
    cell: Cell, attack: Attack, asked: Sequence[Asked], *, seed: int, variant: str
) -> tuple[ScoreEvidence, ...]:
    """Return how well clients that are in are told from the same clients where they are out.

    Each client is in as often as out, so that how easy its records are cancels out, and the
    null is an AUC of 0.5. Raises `SeepageError` for a claim of another kind.
    """
    scores: list[list[np.ndarray]] = [[], []]
    for i, (view, null, truth) in enumerate(asked):
        for name, seen, into in zip(("view", "null"), (view, null), scores, strict=True):
            # The null has one generator, so that it tells a split and its opposite alike.
            rng = torch_rng(seed, cell.id, variant, name, i if name == "view" else 0)
            claim = attack(seen, rng)
            if not isinstance(claim, MembershipScores) or len(claim.scores) != len(truth.member):
                raise SeepageError(f"{cell.attack.name} gave no score for each client")
            into.append(claim.scores.double().numpy())
    member = torch.cat([truth.member for *_, truth in asked]).numpy()
    real, other = (np.concatenate(part) for part in scores)
    told = {
        "clients": len(asked[0][2].member),
        "federations": len(asked),
        "left_out": "clients that are out have auxiliary records in their place",
    }
    return tuple(
        replace(e, details={**e.details, **told}) for e in membership_evidence(real, other, member)
    )
