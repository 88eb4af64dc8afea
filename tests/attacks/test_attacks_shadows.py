"""LiRA and RMIA against direct references, and what their shadow federations are trained on."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from attack_views import auxiliary, digits, known, mlp, rng, simulation
from scipy.stats import norm

from seepage.attacks.membership.confidence import confidence
from seepage.attacks.membership.lira import LiRA, likelihood_ratios
from seepage.attacks.membership.rmia import RMIA, average, beaten
from seepage.attacks.membership.shadows import shadows_of, times_in
from seepage.core.errors import NotApplicableError
from seepage.core.views import Candidates, ModelView
from seepage.metrics.membership import AUC

X, Y = digits()


def view(records: int = 12, *, with_auxiliary: bool = True) -> ModelView:
    """A model's view of 24 candidates, whose job trains on `records`."""
    extra = (auxiliary(),) if with_auxiliary else ()
    facts = (Candidates(X[:24], Y[:24]), simulation(32, records), *extra)
    return ModelView(model=mlp(32).eval(), **known(*facts))


@pytest.mark.parametrize("pooled", [False, True])
def test_lira_is_the_direct_ratio_of_normal_likelihoods(pooled: bool) -> None:
    draws = np.random.default_rng(0)
    k, n = 16, 7
    inside = np.array([draws.permutation(k) < k // 2 for _ in range(n)]).T
    phi = draws.normal(size=(k, n)) * draws.uniform(0.5, 2, n) + inside
    seen = draws.normal(size=n)
    expected: list[float] = []
    for j in range(n):
        parts: list[float] = []
        for chosen in (inside, ~inside):
            own = phi[chosen[:, j], j]
            every = [phi[chosen[:, i], i] for i in range(n)]
            shared = sum(((p - p.mean()) ** 2).sum() for p in every) / (n * (k // 2 - 1))
            std = shared**0.5 if pooled else own.std(ddof=1)
            parts.append(float(norm.logpdf(seen[j], own.mean(), std)))
        expected.append(parts[0] - parts[1])
    scores = likelihood_ratios(
        torch.tensor(seen)[None],
        torch.tensor(phi)[:, None],
        torch.tensor(inside),
        pooled=pooled,
    )
    assert np.allclose(scores, expected, atol=1e-9)


@pytest.mark.parametrize("online", [True, False])
def test_lira_reaches_the_best_auc_that_two_normals_allow(online: bool) -> None:
    """phi ~ N(m_j + d [member], 1): whatever the m_j, the best AUC is Phi(d / sqrt 2)."""
    draws = np.random.default_rng(1)
    n, k, d = 6000, 128, 1.0
    center = draws.normal(size=n) * 5
    member = draws.random(n) < 0.5
    inside = draws.random((k, n)) < 0.5 if online else np.zeros((k, n), bool)
    phi = center + d * inside + draws.normal(size=(k, n))
    seen = center + d * member + draws.normal(size=n)
    scores = likelihood_ratios(
        torch.tensor(seen)[None], torch.tensor(phi)[:, None], torch.tensor(inside), pooled=True
    ).numpy()
    found = AUC.of(scores[member], scores[~member])
    low, high = found.interval(0.999)
    assert low - 0.005 < norm.cdf(d / 2**0.5) < high + 0.005
    raw = AUC.of(seen[member], seen[~member])
    assert raw.value < 0.6 < found.value


def test_rmia_is_its_published_formula() -> None:
    """Eq. 3 with the means of appendix B.2.2, written out as loops over saved probabilities."""
    draws = np.random.default_rng(2)
    k, n, m, gamma, a = 6, 5, 40, 2.0, 0.3
    references = draws.uniform(0.05, 0.95, (k, n + m))
    target = draws.uniform(0.05, 0.95, n + m)
    inside = draws.random((k, n + m)) < 0.5
    inside[:, 0] = False
    inside[0], inside[1, 1:] = False, True

    def prior(j: int) -> float:
        """p(x) of record j."""
        out = references[~inside[:, j], j].mean()
        if not inside[:, j].any():
            return ((1 + a) * out + (1 - a)) / 2
        return (references[inside[:, j], j].mean() + out) / 2

    ratio = [target[j] / prior(j) for j in range(n + m)]
    expected = [sum(ratio[x] / ratio[n + z] >= gamma for z in range(m)) / m for x in range(n)]
    ratios = torch.tensor(target) / average(torch.tensor(references), torch.tensor(inside), a=a)
    assert np.allclose(beaten(ratios[:n], ratios[n:], gamma), expected)
    assert 0 < sum(expected) < n


def test_confidence_is_the_logit_of_logits_and_of_probabilities_alike() -> None:
    logits = torch.randn(9, 4, generator=rng(3), dtype=torch.float64) * 5
    targets = torch.arange(9) % 4
    p = logits.softmax(1).gather(1, targets[:, None])[:, 0]
    assert torch.allclose(confidence(logits, targets, 4), torch.log(p / (1 - p)))
    assert torch.allclose(confidence(logits.softmax(1), targets, 4), torch.log(p / (1 - p)))
    sure = torch.tensor([[200.0, 0.0]])
    assert float(confidence(sure, torch.tensor([0]), 2)) == pytest.approx(200)


@pytest.mark.parametrize("records", [5, 12, 40])
def test_each_candidate_is_in_as_many_shadows_as_any_other(records: int) -> None:
    found = shadows_of(view(records), 16, online=True)
    inside = found.inside[:, :24].sum(0)
    assert int(inside.max() - inside.min()) <= 2
    assert bool((found.inside.sum(1) == min(records, 24 // 2 + 300)).all())
    offline = shadows_of(view(records), 4, online=False)
    assert not bool(offline.inside[:, :24].any())


def test_shadows_depend_on_the_candidates_alone() -> None:
    one, two = (shadows_of(view(), 4, online=True) for _ in range(2))
    assert torch.equal(one.inside, two.inside)
    assert not torch.equal(one.inside[0], one.inside[2])


@pytest.mark.parametrize("attack", [LiRA(online=False), RMIA(online=False)])
def test_without_auxiliary_records_there_are_no_offline_shadows(attack: LiRA | RMIA) -> None:
    with pytest.raises(NotApplicableError, match="auxiliary records"):
        attack(view(with_auxiliary=False), rng(0))


def test_where_candidates_are_too_many_for_the_shadows_lira_goes_offline() -> None:
    """Eight shadows of two records each can't hold every one of 24 candidates."""
    few = view(2)
    assert times_in(few, 8) == 0
    found = LiRA(shadows=8)(few, rng())
    assert found.note == "8 shadow federations, offline"
    assert torch.equal(found.scores, LiRA(shadows=8, online=False)(few, rng()).scores)
