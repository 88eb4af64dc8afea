"""True labels behind randomized response: against enumeration, its ceiling and a real client."""

from __future__ import annotations

from itertools import combinations_with_replacement, product
from math import exp

import pytest
import torch
from attack_views import LR, known, mlp, update_of

from reproducible import rng
from seepage.attacks.api import attack_view
from seepage.attacks.attribute.responses import answer_chances, likeliest_truths
from seepage.core.claims import AttributeGuess
from seepage.core.intervals import clopper_pearson
from seepage.core.task import Records
from seepage.core.views import AuxiliaryData, BatchSize, UpdateView
from seepage.defenses.dp.randomized_response import RandomizedResponse

SURE = 0.9999
SKEWED = torch.tensor([0.6, 0.2, 0.1, 0.1])


def chances(epsilon: float, classes: int) -> torch.Tensor:
    found = answer_chances([RandomizedResponse(epsilon=epsilon, classes=classes).card], classes)
    assert found is not None
    return found


def test_the_chances_are_those_of_the_defense():
    defense = RandomizedResponse(epsilon=1.0, classes=4)
    answers = defense.respond(torch.full((40_000,), 2), 4, rng(1))
    seen = torch.bincount(answers, minlength=4) / len(answers)
    torch.testing.assert_close(seen.double(), chances(1.0, 4)[2], rtol=0, atol=0.01)
    assert answer_chances([defense.card], 3) is None
    twice = answer_chances([defense.card, defense.card], 4)
    torch.testing.assert_close(twice, chances(1.0, 4) @ chances(1.0, 4))


@pytest.mark.parametrize("answers", [[0], [2, 2, 2], [0, 1, 2], [1, 1, 2, 0]])
def test_no_other_guess_is_expected_to_hit_more(answers: list[int]):
    prior, given = torch.tensor([0.5, 0.3, 0.2]).double(), torch.tensor(answers)
    table = chances(0.8, 3)
    each = (prior[:, None] * table / (prior @ table))[:, given]

    def hits(guess: tuple[int, ...]) -> float:
        expected = 0.0
        for truth in product(range(3), repeat=len(answers)):
            chance = float(torch.stack([each[t, i] for i, t in enumerate(truth)]).prod())
            expected += chance * sum(min(guess.count(c), truth.count(c)) for c in range(3))
        return expected

    best = max(map(hits, combinations_with_replacement(range(3), len(answers))))
    found = likeliest_truths(given, prior, table)
    assert hits(tuple(found.tolist())) == pytest.approx(best)


@pytest.mark.parametrize("epsilon", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("prior", [torch.full((4,), 0.25), SKEWED])
def test_a_single_truth_is_guessed_as_often_as_the_ceiling_says(
    epsilon: float, prior: torch.Tensor
):
    draws, order = 4000, rng(2)
    truth = torch.multinomial(prior, draws, replacement=True, generator=order)
    answers = RandomizedResponse(epsilon=epsilon, classes=4).respond(truth, 4, order)
    table = chances(epsilon, 4)
    guess = torch.stack([likeliest_truths(torch.tensor([y]), prior, table)[0] for y in range(4)])
    low, high = clopper_pearson(int((guess[answers] == truth).sum()), draws, SURE)
    ceiling = float((prior.double()[:, None] * table).max(0).values.sum())
    assert low <= ceiling <= high
    if len(set(prior.tolist())) == 1:
        assert ceiling == pytest.approx(exp(epsilon) / (exp(epsilon) + 3))


def test_the_updates_of_a_client_tell_no_more_of_a_label_than_the_ceiling():
    """Of 200 clients with one record each, by the defense's own code and a real gradient."""
    defense, prior, order, hits = RandomizedResponse(classes=10), torch.ones(10), rng(3), 0
    prior[0] = 12.0
    prior /= prior.sum()
    counts = (prior * 420).round().long()
    labels = torch.arange(10).repeat_interleave(counts)
    model = mlp(16)
    auxiliary = AuxiliaryData(torch.rand(len(labels), 1, 8, 8, generator=order), labels)
    facts = known(BatchSize(1), auxiliary, defenses=(defense.card,), lr=LR)
    draws = 200
    for i, truth in enumerate(torch.multinomial(prior, draws, replacement=True, generator=order)):
        held = Records(
            inputs=torch.rand(1, 1, 8, 8, generator=order),
            targets=truth[None],
            rows=torch.tensor([i]),
        )
        trained = defense.protect_records(held, order)
        update = update_of(model, (trained.inputs, trained.targets))
        view = UpdateView(round=0, client=0, model=model, update=update, **facts)
        claim = attack_view("label-counts", view, rng())
        assert isinstance(claim, AttributeGuess)
        hits += int(claim.values[0] == truth)
    low, high = clopper_pearson(hits, draws, SURE)
    table = chances(1.0, 10)
    ceiling = float((prior.double()[:, None] * table).max(0).values.sum())
    naive = float((prior.double() * table.diagonal()).sum())
    assert low <= ceiling <= high
    assert low > naive, "the answer itself is the worse guess where labels are skewed"
