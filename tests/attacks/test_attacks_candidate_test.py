"""Who is in a Gaussian release: against closed forms, real defenses and broken ones."""

from __future__ import annotations

from dataclasses import replace
from math import comb, sqrt
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from attack_views import known
from torch import Tensor, nn

from reproducible import rng
from seepage.accounting.bounds import antipodal_success, orthogonal_success, rero_bound
from seepage.attacks.api import attack_view
from seepage.attacks.membership.gaussian_release import (
    best_pick,
    log_likelihood_ratios,
    posterior,
    sampled_ratios,
)
from seepage.core.claims import MembershipScores
from seepage.core.defense import LocalStep
from seepage.core.errors import NotApplicableError, UsageError
from seepage.core.intervals import clopper_pearson
from seepage.core.views import BatchSize, Candidates, HistoryView, SeenRound
from seepage.defenses.dp.local_dp import LocalDP
from seepage.defenses.dp.records.dp_sgd import DPSGD
from seepage.defenses.dp.records.per_coordinate_dp import PerCoordinateDP

LR = 0.5
SURE = 0.9999


def picks(mu: float, contributions: Tensor, draws: int, seed: int) -> int:
    """Hits of the best pick in so many releases of one contribution each, noise 1."""
    order, hits = rng(seed), 0
    for some in torch.full((draws,), 0).split(2000):
        truth = torch.randint(len(contributions), some.shape, generator=order)
        release = contributions[truth] + torch.randn(
            len(truth), contributions.shape[1], generator=order
        )
        ratios = log_likelihood_ratios(release, contributions, torch.ones(contributions.shape[1]))
        hits += int((best_pick(ratios) == truth).sum())
    return hits


@pytest.mark.parametrize("mu", [0.39, 2.0, 5.0])
@pytest.mark.parametrize("n", [10, 100, 1000])
def test_orthogonal_candidates_are_picked_as_often_as_the_integral_says(mu: float, n: int):
    draws = 6000
    low, high = clopper_pearson(picks(mu, mu * torch.eye(n), draws, seed=n), draws, SURE)
    assert low <= orthogonal_success(mu, n) <= high
    assert low <= rero_bound(mu, 1 / n)


@pytest.mark.parametrize("mu", [0.39, 2.0])
def test_two_opposite_candidates_reach_the_bound(mu: float):
    ends = mu * torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    low, high = clopper_pearson(picks(mu, ends, 20_000, seed=1), 20_000, SURE)
    assert low <= antipodal_success(mu) == rero_bound(mu, 0.5) <= high
    assert high - low < 0.03


def test_the_posterior_is_that_of_the_densities():
    each = torch.randn(4, 3, generator=rng(1), dtype=torch.float64)
    release = torch.randn(5, 3, generator=rng(2), dtype=torch.float64)
    mixed = torch.randn(3, 3, generator=rng(3), dtype=torch.float64)
    prior = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
    for covariance in (mixed @ mixed.T, torch.diag(mixed[0].square())):
        density = torch.distributions.MultivariateNormal(each, covariance)
        joint = density.log_prob(release[:, None]) + prior.log()
        noise = covariance if covariance[0, 1] else covariance.diagonal().sqrt()
        found = posterior(log_likelihood_ratios(release, each, noise), prior)
        torch.testing.assert_close(found, joint.softmax(-1))
        at_zero = torch.distributions.MultivariateNormal(torch.zeros(3).double(), covariance)
        ratio = density.log_prob(release[:, None]) - at_zero.log_prob(release)[:, None]
        torch.testing.assert_close(log_likelihood_ratios(release, each, noise), ratio)
    with pytest.raises(UsageError, match="nothing hides"):
        log_likelihood_ratios(release, each, torch.tensor([1.0, 0.0, 1.0]))
    with pytest.raises(UsageError, match="not positive definite"):
        log_likelihood_ratios(release, each, -torch.eye(3, dtype=torch.float64))


def test_a_candidate_may_be_drawn_in_any_number_of_steps():
    inner, square = torch.tensor([0.7, -2.0]), torch.tensor([1.3, 0.4])
    found = sampled_ratios(inner, square, rate=0.3, steps=3)
    chances = [comb(3, k) * 0.3**k * 0.7 ** (3 - k) for k in range(4)]
    slow = sum(c * (k * inner - k * k * square / 2).exp() for k, c in enumerate(chances))
    torch.testing.assert_close(found, torch.as_tensor(slow).log())
    sure = sampled_ratios(inner, square, rate=1.0, steps=3)
    torch.testing.assert_close(sure, 3 * inner - 9 * square / 2)


def one_hot(n: int) -> tuple[nn.Module, Candidates]:
    """A linear model at 0 on which n records have orthogonal gradients, each 7.07 long."""
    model = nn.Linear(n, 2, bias=False)
    nn.init.zeros_(model.weight)
    return model, Candidates(10 * torch.eye(n), torch.zeros(n, dtype=torch.int64))


def opposite() -> tuple[nn.Module, Candidates]:
    """One input under either label, whose gradients at 0 are opposite."""
    model, found = one_hot(2)
    return model, Candidates(found.inputs[:1].expand(2, 2), torch.tensor([0, 1]))


def released(defense: Any, model: nn.Module, x: Tensor, y: Tensor, order: Any) -> dict[str, Tensor]:
    """The update that leaves a client after one step on a batch, by the defense's own code."""
    step = LocalStep(model=model, loss=F.cross_entropy, inputs=x, targets=y, expected_batch=len(x))
    gradient = defense.gradient(step, order)
    if gradient is None:
        loss = F.cross_entropy(model(x), y)
        gradient = {"weight": torch.autograd.grad(loss, list(model.parameters()))[0]}
    return defense.protect_update({n: -LR * g for n, g in gradient.items()}, order)


def hits(
    defense: Any,
    job: tuple[nn.Module, Candidates],
    draws: int,
    *,
    card: Any = None,
    rounds: int = 1,
) -> int:
    """How often the attack scores the one record of the batch highest."""
    model, asked = job
    order, found = rng(7), 0
    state = {n: v.detach() for n, v in model.state_dict().items()}
    for _ in range(draws):
        truth = int(torch.randint(len(asked.targets), (), generator=order))
        x, y = asked.inputs[truth : truth + 1], asked.targets[truth : truth + 1]
        view = HistoryView(
            client=3,
            model=model,
            rounds=tuple(
                SeenRound(t, state, {3: released(defense, model, x, y, order)})
                for t in range(rounds)
            ),
            **known(asked, BatchSize(1), defenses=(card or defense.card,), lr=LR),
        )
        claim = attack_view("candidate-test", view, rng(), sample_rate=1.0)
        assert isinstance(claim, MembershipScores)
        found += int(claim.scores.argmax()) == truth
    return found


@pytest.mark.parametrize("mu", [0.39, 2.0])
@pytest.mark.parametrize("kind", [DPSGD, LocalDP])
def test_real_releases_are_told_apart_as_often_as_theory_says(kind: Any, mu: float):
    norm: dict[str, Any] = {"max_grad_norm": 0.3} if kind is DPSGD else {"max_norm": 0.3}
    defense, draws = kind(noise_multiplier=1 / mu, **norm), 250
    for job, expected in (
        (one_hot(10), orthogonal_success(mu, 10)),
        (opposite(), antipodal_success(mu)),
    ):
        low, high = clopper_pearson(hits(defense, job, draws), draws, SURE)
        assert low <= expected <= high
        assert low <= rero_bound(mu, 1 / len(job[1].targets))


def test_rounds_add_up():
    defense = DPSGD(noise_multiplier=1.5, max_grad_norm=1.0)
    low, high = clopper_pearson(hits(defense, one_hot(10), 150, rounds=9), 150, SURE)
    assert low <= orthogonal_success(sqrt(9) / 1.5, 10) <= high
    assert low > orthogonal_success(1 / 1.5, 10)


class HalvedNoise(DPSGD):
    """A defense that adds half the noise that its card says."""

    def _sum_multiplier(self, multiplier: float) -> float:
        return multiplier / 2


class Unclipped(DPSGD):
    """A defense that clips at three times the norm that its card says."""

    def gradient(self, step: LocalStep, rng: torch.Generator) -> Any:
        """Return the mean clipped to 3, with noise for 1."""
        loose = DPSGD(noise_multiplier=self.noise_multiplier / 3, max_grad_norm=3.0)
        return loose.gradient(step, rng)


@pytest.mark.parametrize("broken", [HalvedNoise, Unclipped])
def test_a_broken_mechanism_is_caught_by_its_bound(broken: Any):
    for kind, caught in ((DPSGD, False), (broken, True)):
        defense = kind(noise_multiplier=1.0, max_grad_norm=1.0)
        low, _ = clopper_pearson(hits(defense, opposite(), 150), 150, SURE)
        assert (low > rero_bound(1.0, 0.5)) == caught


def test_unequal_noise_hides_no_more_than_its_whitened_sensitivity():
    """Scales of 1 to 30: the pick that whitens is as sure as mu says, one that does not is not."""
    n, mu = 10, 3.0
    scales = tuple(torch.logspace(0, 1.5, 2 * n).tolist())
    defense = PerCoordinateDP(
        noise_multiplier=1 / mu, max_grad_norm=0.1, source="public", scales={"weight": scales}
    )
    low, high = clopper_pearson(hits(defense, one_hot(n), 150), 150, SURE)
    assert low <= orthogonal_success(mu, n) <= high
    blind = replace(defense.card, name="a-stranger")
    _, high = clopper_pearson(hits(defense, one_hot(n), 150, card=blind), 150, SURE)
    assert high < orthogonal_success(mu, n)


def test_it_refuses_what_it_can_not_judge():
    model, asked = one_hot(3)
    state = {n: v.detach() for n, v in model.state_dict().items()}
    lost = SeenRound(0, state, {3: {"weight": torch.full((2, 3), torch.nan)}})
    view = HistoryView(client=3, model=model, rounds=(lost,), **known(asked, BatchSize(1)))
    with pytest.raises(NotApplicableError, match="not finite"):
        attack_view("candidate-test", view, rng())
    with pytest.raises(NotApplicableError, match="batch size"):
        attack_view("candidate-test", replace(view, facts=(asked,)), rng())
    with pytest.raises(NotApplicableError, match="took part in none"):
        attack_view("candidate-test", replace(view, client=0), rng())
    with pytest.raises(UsageError, match="from 0 to 1"):
        attack_view("candidate-test", view, rng(), sample_rate=1.5)
