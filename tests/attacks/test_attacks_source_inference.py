"""Who holds a record: against a loop, on planted federations, and with nothing to see."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from attack_federations import CLIENTS, HELD, RNG, history, mlp
from torch import Tensor

from seepage.attacks.linkage.source_inference import SourceInference
from seepage.core.errors import NotApplicableError
from seepage.core.views import Candidates, HistoryView, SeenRound

HOLDER = torch.arange(CLIENTS).repeat_interleave(HELD)


def asked(fed, rounds=None) -> HistoryView:
    """The server's view, asked about every client's records."""
    view, _ = history(fed, 0, -1, rounds)
    inputs, targets = (torch.cat([shard[i] for shard in fed.shards]) for i in (0, 1))
    return replace(view, facts=(Candidates(inputs=inputs, targets=targets),))


def hits(ranking: Tensor) -> float:
    """Return how often the first client is the holder."""
    return float((ranking[:, 0] == HOLDER).float().mean())


def test_it_names_the_client_under_whose_model_the_loss_is_least(federations):
    fed = federations[0]
    view = asked(fed, fed.rounds[:3])
    candidates = view.facts[0]
    total = torch.zeros(len(HOLDER), CLIENTS)
    for seen in view.rounds:
        for k in range(CLIENTS):
            model = mlp(0)
            model.load_state_dict({n: v + seen.updates[k][n] for n, v in seen.state.items()})
            with torch.no_grad():
                outputs = model(candidates.inputs)
            total[:, k] += F.cross_entropy(outputs, candidates.targets, reduction="none")
    ranking = SourceInference()(view, RNG).ranking
    assert torch.equal(ranking[:, 0], total.argmin(1))
    assert torch.equal(ranking.sort(1).values, torch.arange(CLIENTS).expand(len(HOLDER), -1))


def test_overfit_clients_are_told_apart_and_strangers_are_not(federations):
    found = [hits(SourceInference()(asked(fed), RNG).ranking) for fed in federations]
    null = [
        hits(
            SourceInference()(
                replace(asked(fed), facts=asked(federations[i - 1]).facts), RNG
            ).ranking
        )
        for i, fed in enumerate(federations)
    ]
    assert min(found) > 3 / CLIENTS
    assert abs(sum(null) / len(null) - 1 / CLIENTS) < 0.05


def test_clients_that_sit_out_are_held_against_their_own_rounds(federations):
    """Losses fall with the rounds: who took part late only must not win by that."""
    fed = federations[1]
    early = tuple(
        SeenRound(r.round, r.state, {k: r.updates[k] for k in range(4)}) for r in fed.rounds[:4]
    )
    late = tuple(
        SeenRound(r.round, r.state, {k: r.updates[k] for k in range(4, 7)}) for r in fed.rounds[4:]
    )
    ranking = SourceInference()(asked(fed, early + late), RNG).ranking
    shares = torch.bincount(ranking[:, 0], minlength=CLIENTS) / len(HOLDER)
    assert float(shares[:4].sum()) > 0.3
    assert float(shares[4:].sum()) > 0.15
    assert bool((ranking[:, -1] == 7).all())  # of whom nothing was seen
    seen = HOLDER < 7
    assert float((ranking[seen, 0] == HOLDER[seen]).float().mean()) > 2 / CLIENTS


def test_one_client_is_nobody_s_alternative(federations):
    fed = federations[0]
    alone = tuple(SeenRound(r.round, r.state, {2: r.updates[2]}) for r in fed.rounds)
    with pytest.raises(NotApplicableError, match="two clients"):
        SourceInference()(asked(fed, alone), RNG)
