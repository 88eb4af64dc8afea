"""Whole clients against shadow federations: the statistic, a planted win, and no win by chance."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from attack_views import auxiliary, digits, fitted, jittered, known, mlp, rng, simulation
from scipy.stats import norm
from torch import Tensor

from seepage.attacks.membership.client_shadows import client_shadows, halves
from seepage.attacks.membership.user_level import POOLED, UserLevel, own_spread
from seepage.core.errors import NotApplicableError, UsageError
from seepage.core.threat import Observer
from seepage.core.views import CandidateClients, ModelView

X, Y = digits()
CLIENTS, HELD, STEPS = 6, 12, 150
WHOSE = torch.arange(CLIENTS * HELD) // HELD


@cache
def asked() -> CandidateClients:
    """Six clients, whose labels are drawn anew: who knows them was trained on them."""
    count = CLIENTS * HELD
    labels = torch.randint(0, 10, (count,), generator=rng(7))
    return CandidateClients(X[:count], labels, WHOSE)


def view(members: list[int], seed: int = 0) -> ModelView:
    """The model that was trained on these clients, and on others' records for the rest."""
    inside = torch.isin(WHOSE, torch.tensor(members, dtype=torch.int64))
    others = int((~inside).sum())
    inputs = torch.cat([asked().inputs[inside], X[900 : 900 + others]])
    targets = torch.cat([asked().targets[inside], Y[900 : 900 + others]])
    model = fitted(jittered(mlp(32), 50 + seed), inputs, targets, STEPS)
    facts = asked(), auxiliary(), simulation(32, CLIENTS * HELD, STEPS)
    return ModelView(
        model=model.eval(), **known(*facts, observer=Observer.MODEL_HOLDER, clients=CLIENTS)
    )


def scores(seen: ModelView, **settings: object) -> Tensor:
    return UserLevel(shadows=8, **settings)(seen, rng()).scores  # type: ignore[arg-type]


@pytest.mark.parametrize("score", ["likelihood-ratio", "reference"])
def test_clients_that_were_learned_by_heart_come_first(score: str):
    for members in ([0, 3, 4], [1, 5]):
        found = scores(view(members), score=score)
        assert set(found.topk(len(members)).indices.tolist()) == set(members)


def test_a_model_without_any_of_them_tells_the_same_of_all():
    """Ranks of clients that nobody trained on are even, over models of several seeds."""
    found = torch.stack([scores(view([], seed)) for seed in range(4)])
    with_three = scores(view([0, 3, 4]))
    gap = with_three[[0, 3, 4]].min() - with_three[[1, 2, 5]].max()
    assert float(found.mean(0).max() - found.mean(0).min()) < float(gap)


def test_the_score_is_the_likelihood_ratio_of_mean_confidences():
    """By loops and scipy, from the probabilities of the same shadows."""
    seen = view([0, 1])
    shadows = client_shadows(seen, asked(), 8)
    models = [seen.model, *(f.model for f in shadows.federations)]
    means = np.zeros((9, CLIENTS))
    for i, model in enumerate(models):
        with torch.no_grad():
            p = model(asked().inputs).double().softmax(1).numpy()
        own = p[np.arange(len(p)), asked().targets]
        phi = np.log(own) - np.log(1 - own)
        means[i] = [phi[WHOSE.numpy() == c].mean() for c in range(CLIENTS)]
        means[i] -= means[i].mean()
    target, shadowed, inside = means[0], means[1:], shadows.inside.numpy()
    rest = np.zeros_like(shadowed)
    for c in range(CLIENTS):
        for side in (inside[:, c], ~inside[:, c]):
            rest[side, c] = shadowed[side, c] - shadowed[side, c].mean()
    variances = (rest**2).sum(0) / 6
    spread = np.sqrt((6 * variances + POOLED * variances.mean()) / (6 + POOLED))
    expected = np.zeros(CLIENTS)
    for side, sign in ((inside, 1), (~inside, -1)):
        scaled = [shadowed[side[:, c], c] / spread[c] for c in range(CLIENTS)]
        squares = sum(((s - s.mean()) ** 2).sum() for s in scaled)
        std = np.sqrt(squares / sum(len(s) - 1 for s in scaled))
        for c in range(CLIENTS):
            expected[c] += sign * norm.logpdf(target[c] / spread[c], scaled[c].mean(), std)
    np.testing.assert_allclose(scores(seen).numpy(), expected, rtol=1e-4, atol=1e-4)


def test_shadows_hold_whole_clients_and_each_client_half_of_the_shadows():
    shadows = client_shadows(view([0]), asked(), 8)
    assert torch.equal(shadows.inside.sum(0), torch.full((CLIENTS,), 4))
    odd = halves(7, 6, rng())
    assert torch.equal(odd[::2], ~odd[1::2])


def test_a_small_client_is_counted_in_its_wider_spread():
    inside = halves(2, 400, rng())
    phi = torch.randn(400, 1, 2, generator=rng(1)) * torch.tensor([3.0, 1.0]) + 5 * inside[:, None]
    assert torch.allclose(own_spread(phi, inside)[0], torch.tensor([3.0, 1.0]), rtol=0.15)
    few = own_spread(phi[:8], inside[:8])[0]
    assert 1 < float(few[0] / few[1]) < 3  # drawn together, where little is known


def test_what_can_not_be_asked_is_refused():
    seen = view([0])
    nobody = ModelView(model=seen.model, **known(observer=Observer.MODEL_HOLDER))
    with pytest.raises(NotApplicableError, match="no two clients"):
        scores(nobody)
    alone = ModelView(
        model=seen.model, **known(asked(), auxiliary(), observer=Observer.MODEL_HOLDER)
    )
    with pytest.raises(NotApplicableError, match="federations of its own"):
        scores(alone)
    with pytest.raises(UsageError, match="did you mean 'reference'"):
        UserLevel(score="referense")
