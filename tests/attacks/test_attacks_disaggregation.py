"""One client's update out of secure sums over rounds, by who took part in which."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest
import torch
from attack_scores import hit_rate, worst_psnr
from attack_views import (
    auxiliary,
    digits,
    flat,
    gradient_update,
    known,
    lenet,
    mlp,
    rng,
    trained_mlp,
    update_of,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from seepage.attacks.inversion.exact.disaggregation import Disaggregation, Weights
from seepage.core.errors import NotApplicableError, UsageError
from seepage.core.views import (
    AggregateHistoryView,
    BatchSize,
    HistoryView,
    SeenAggregate,
    SeenRound,
)
from seepage.defenses.cards import CARDS

X, Y = digits()
CLIENTS, HELD = 6, 4
SUMMED = next(card for card in CARDS if card.sums)
PAIRS = tuple(combinations(range(4), 2))
TRIPLES = tuple(tuple(c) for c in combinations(range(CLIENTS), 3))


def held(client: int) -> Tensor:
    """The digits that a client trains on in every round."""
    return torch.arange(client * 100, client * 100 + HELD)


def state_of(model: nn.Module) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def watched(
    model: nn.Module, cohorts: Sequence[tuple[int, ...]], lr: float, client: int = 0
) -> tuple[AggregateHistoryView, list[Tensor]]:
    """A job's sums, as an honest server sees them, and what the client sent or would have."""
    model, own = deepcopy(model), []
    seen: list[SeenAggregate] = []
    for number, cohort in enumerate(cohorts):
        updates = {c: update_of(model, (X[held(c)], Y[held(c)]), lr=lr) for c in (*cohort, client)}
        own.append(flat(updates[client]))
        mean = {n: sum(updates[c][n] for c in cohort) / len(cohort) for n in updates[client]}
        seen.append(SeenAggregate(number, state_of(model), mean, cohort))
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter += mean[name]
    common = known(BatchSize(HELD), auxiliary(), defenses=(SUMMED,), lr=lr, clients=CLIENTS)
    view = AggregateHistoryView(client=client, model=model, rounds=tuple(seen), **common)
    return view, own


def standing(model: nn.Module, cohorts: Sequence[tuple[int, ...]]) -> AggregateHistoryView:
    """The sums of a job whose model stands still: exact gradients, the same in every round."""
    updates = [gradient_update(model, X[held(c)], Y[held(c)]) for c in range(CLIENTS)]
    state = state_of(model)
    seen = [
        SeenAggregate(t, state, {n: sum(updates[c][n] for c in who) / len(who) for n in state}, who)
        for t, who in enumerate(cohorts)
    ]
    common = known(BatchSize(HELD), auxiliary(), defenses=(SUMMED,), clients=CLIENTS)
    return AggregateHistoryView(client=0, model=model, rounds=tuple(seen), **common)


def separated(view: AggregateHistoryView) -> tuple[Tensor, float]:
    weights = Weights.of(view.client, [r.cohort for r in view.rounds])
    assert weights is not None
    update, error = weights.separate(view.rounds)
    return flat(update), error


COHORTS = st.lists(st.sets(st.integers(0, 5), min_size=1).map(tuple), min_size=1, max_size=9)


@settings(deadline=None, max_examples=200)
@given(COHORTS, st.integers(0, 5))
def test_a_client_is_told_apart_just_where_its_row_adds_nothing_to_the_cohorts(cohorts, client):
    rows = torch.tensor([[float(c in who) for c in range(6)] for who in cohorts]).double()
    alone = torch.eye(6, dtype=torch.float64)[client]
    more = torch.linalg.matrix_rank(torch.cat([rows, alone[None]]))
    rank = int(torch.linalg.matrix_rank(rows))
    found = Weights.of(client, cohorts)
    assert (found is not None) == (int(more) == rank)
    if found is not None:
        torch.testing.assert_close(found.of_sums @ rows, alone, atol=1e-9, rtol=0)
        assert found.spare == len(cohorts) - rank


@pytest.mark.parametrize("client", range(CLIENTS))
def test_a_model_that_stands_still_gives_every_clients_update_up_exactly(client: int):
    model = mlp(32)
    view = replace(standing(model, TRIPLES), client=client)
    found, error = separated(view)
    true = flat(gradient_update(model, X[held(client)], Y[held(client)]))
    assert float((found - true).norm() / true.norm()) < 1e-6
    assert error < 1e-6
    # A planted bug in who took part would show: the sums do not fit then.
    wrong = (replace(view.rounds[0], cohort=view.rounds[-1].cohort), *view.rounds[1:])
    assert separated(replace(view, rounds=wrong))[1] > 0.05


def test_the_standard_error_is_that_of_what_changes_from_round_to_round():
    """Planted: independent Gaussian noise on every sum, of which the error is known in law."""
    view = standing(mlp(64), TRIPLES)
    clean, _ = separated(view)
    sd, order = 0.1 * float(clean.norm()) / len(clean) ** 0.5, rng(3)
    noise = [
        {n: sd * torch.randn(v.shape, generator=order) for n, v in r.aggregate.items()}
        for r in view.rounds
    ]
    rounds = tuple(
        replace(r, aggregate={n: v + e[n] for n, v in r.aggregate.items()})
        for r, e in zip(view.rounds, noise, strict=True)
    )
    found, error = separated(replace(view, rounds=rounds))
    rows = torch.tensor([[float(c in who) for c in range(CLIENTS)] for who in TRIPLES]).double()
    spread = float(torch.linalg.inv(rows.T @ rows)[0, 0]) ** 0.5
    law = 3 * sd * spread * len(clean) ** 0.5
    # Relative deviations of a norm of d normal values: 1 / sqrt(2 d), here below half a percent.
    assert len(clean) > 4_000
    assert abs(float((found - clean).norm()) / law - 1) < 0.05
    assert abs(error * float(found.norm()) / law - 1) < 0.05


def test_it_degrades_with_the_learning_rate_as_its_standard_error_says():
    errors = []
    for lr in (1e-4, 1e-3, 1e-2, 0.1):
        view, own = watched(trained_mlp(64), TRIPLES, lr)
        found, error = separated(view)
        there = [u for u, r in zip(own, view.rounds, strict=True) if view.client in r.cohort]
        mean = torch.stack(there).mean(0)
        actual = float((found - mean).norm() / mean.norm())
        assert error / 4 < actual < 4 * error
        errors.append(error)
    assert errors == sorted(errors)
    assert errors[0] < 2e-3
    assert errors[-1] > 0.1


@pytest.mark.parametrize("client", [0, 3])
def test_records_come_back_exactly_where_the_model_moves_little(client: int):
    view, _ = watched(trained_mlp(256), TRIPLES, 1e-4, client)
    claim = Disaggregation()(view, rng())
    assert claim.solved
    assert worst_psnr(claim.inputs, X[held(client)]) >= 60
    assert f"client {client} out of 20 sums" in claim.explanation
    assert "14 rounds to spare" in claim.explanation


def test_records_are_still_told_where_the_model_moves_and_not_taken_for_solved():
    rates = []
    for client in range(3):
        view, _ = watched(mlp(256), TRIPLES, 0.03, client)
        claim = Disaggregation()(view, rng())
        rates.append(hit_rate(claim.inputs, X[held(client)]))
        others = torch.cat([X[held(c)] for c in range(CLIENTS) if c != client])
        assert hit_rate(claim.inputs, others) < 0.2
        assert not Disaggregation(tolerance=0.01)(view, rng()).solved
    assert sum(rates) / len(rates) > 0.5


def test_convolutions_are_inverted_by_search():
    rates = []
    for client in range(CLIENTS):
        view, _ = watched(lenet(), TRIPLES, 0.01, client)
        claim = Disaggregation()(view, rng())
        assert "known numbers for each unknown one" in claim.explanation
        rates.append(hit_rate(claim.inputs, X[held(client)]))
    assert sum(rates) / CLIENTS >= 0.6


def test_who_is_never_without_the_others_is_not_told_apart():
    everybody = standing(mlp(16), [tuple(range(CLIENTS))] * 9)
    inseparable = standing(mlp(16), [(0, 1, *more) for more in ((2,), (3,), (2, 3), ())] * 2)
    for view in (everybody, inseparable, replace(inseparable, client=5)):
        claim = Disaggregation()(view, rng())
        assert len(claim.inputs) == 0
        assert not claim.solved
        assert f"client {view.client} from others" in claim.explanation
    # Of the same rounds, others are: it does not take a full column rank.
    assert len(Disaggregation()(replace(inseparable, client=2), rng()).inputs)


def test_without_a_round_to_spare_nothing_checks_the_split():
    view = standing(trained_mlp(256), ((0, 1), (1, 2), (0, 2)))
    claim = Disaggregation()(view, rng())
    assert worst_psnr(claim.inputs, X[held(0)]) >= 60
    assert not claim.solved
    assert "an error that is unknown (0 rounds to spare)" in claim.explanation
    once_more = standing(trained_mlp(256), ((0, 1), (1, 2), (0, 2), (0, 1)))
    assert Disaggregation()(once_more, rng()).solved


def test_what_the_view_must_say_and_what_single_updates_tell():
    view = standing(mlp(256), PAIRS)
    attack: Any = Disaggregation()
    with pytest.raises(NotApplicableError, match="no single client"):
        attack(replace(view, client=-1), rng())
    nobody = (replace(view.rounds[0], cohort=()), *view.rounds[1:])
    with pytest.raises(NotApplicableError, match="who took part"):
        attack(replace(view, rounds=nobody), rng())
    with pytest.raises(UsageError, match="tolerance is 0"):
        Disaggregation(tolerance=0)
    sent = gradient_update(view.model, X[held(0)], Y[held(0)])
    rounds = (SeenRound(0, view.rounds[0].state, {0: sent}),)
    single = HistoryView(client=0, model=view.model, rounds=rounds, **known(BatchSize(HELD)))
    claim = attack(single, rng())
    assert claim.solved
    assert worst_psnr(claim.inputs, X[held(0)]) >= 60
