"""Randomized response: its odds, what it is told of, and broken variants refuted."""

from __future__ import annotations

from math import exp, log

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from release_tests import RARE, refutes
from scipy.stats import chisquare

from seepage.accounting.record import mechanism_of
from seepage.core.errors import RefusedError, UsageError
from seepage.core.privacy import Exposure
from seepage.core.seeds import torch_rng
from seepage.core.task import Records
from seepage.defenses.api import RandomizedResponse

EXPOSURE = Exposure(rounds=50, local_steps=3, batch_size=4, examples=100, clients=8, cohort=8)
COUNT = 100_000


def records(inputs: torch.Tensor, targets: torch.Tensor) -> Records:
    return Records(inputs=inputs, targets=targets, rows=torch.arange(len(targets)))


@pytest.mark.parametrize(("epsilon", "k"), [(0.0, 3), (1.0, 2), (1.0, 5), (2.5, 10)])
def test_the_truth_has_odds_of_e_to_the_epsilon_against_each_lie(epsilon: float, k: int) -> None:
    defense = RandomizedResponse(epsilon=epsilon, classes=k)
    told = defense.respond(torch.full((COUNT,), 1), k, torch_rng(0, epsilon, k))
    weights = torch.ones(k, dtype=torch.float64)
    weights[1] = exp(epsilon)
    expected = (weights / weights.sum() * COUNT).numpy()
    counts = torch.bincount(told, minlength=k).numpy()
    assert chisquare(counts, expected).pvalue > RARE
    weights[1] = exp(epsilon + 0.1)
    assert chisquare(counts, (weights / weights.sum() * COUNT).numpy()).pvalue < RARE


@pytest.mark.parametrize("epsilon", [50.0, 800.0])
def test_a_large_epsilon_lies_no_less_than_its_word_allows(epsilon: float) -> None:
    defense = RandomizedResponse(epsilon=epsilon, classes=2)
    truth = torch.zeros(1000, dtype=torch.int64)
    assert torch.equal(defense.respond(truth, 2, torch_rng(0)), truth)


@settings(deadline=None, max_examples=40)
@given(
    kinds=st.lists(st.integers(2, 6), min_size=1, max_size=5),
    one_hot=st.booleans(),
    seed=st.integers(0, 2**31),
)
def test_codes_and_one_hot_columns_stay_what_they_are(
    kinds: list[int], one_hot: bool, seed: int
) -> None:
    rng = torch_rng(seed)
    codes = torch.stack([torch.randint(k, (20,), generator=rng) for k in kinds], 1)
    inputs = codes.float()
    if one_hot:
        encoded = [torch.nn.functional.one_hot(codes[:, i], k) for i, k in enumerate(kinds)]
        inputs = torch.cat(encoded, 1).float()
    given_ = records(inputs, torch.randint(3, (20,), generator=rng))
    before = inputs.clone()
    silent = RandomizedResponse(epsilon=60.0, classes=3, categories=kinds)
    kept = silent.protect_records(given_, rng)
    assert torch.equal(kept.inputs, before)
    assert torch.equal(kept.targets, given_.targets)
    loud = RandomizedResponse(epsilon=0.0, classes=3, categories=kinds)
    changed = loud.protect_records(given_, rng)
    assert torch.equal(given_.inputs, before)
    assert changed.inputs.dtype == inputs.dtype
    assert changed.targets.dtype == given_.targets.dtype
    assert torch.equal(changed.rows, given_.rows)
    # Its own output is well-formed input.
    loud.protect_records(changed, rng)


@pytest.mark.parametrize(
    ("inputs", "match"),
    [
        (torch.tensor([[0.0, 1.5]]), "column 1.*continuous"),
        (torch.tensor([[0.0, 3.0]]), "from 0 to 2"),
        (torch.tensor([[0.0, float("nan")]]), "continuous"),
        (torch.tensor([[1.0, 0.0, 0.5, 0.5, 0.0]]), "column 1 is not one-hot"),
        (torch.tensor([[1.0, 0.0, 0.0, 0.0, 0.0]]), "column 1 is not one-hot"),
        (torch.tensor([[-0.7, 1.3, 0.0, 1.0, 0.0]]), "column 0.*scaled"),
        (torch.zeros(1, 4), "every input must be in a categorical column"),
        (torch.zeros(1, 64), "every input must be in a categorical column"),
    ],
)
def test_what_is_no_category_is_refused(inputs: torch.Tensor, match: str) -> None:
    defense = RandomizedResponse(classes=0, categories=(2, 3))
    with pytest.raises(RefusedError, match=match):
        defense.protect_records(records(inputs, torch.zeros(1)), torch_rng(0))


def test_labels_that_are_none_and_settings_that_make_no_defense() -> None:
    for bad in (torch.tensor([0.5]), torch.tensor([2]), torch.tensor([-1]), torch.zeros(1, 2)):
        with pytest.raises(RefusedError, match="labels"):
            RandomizedResponse().protect_records(records(torch.zeros(1, 3), bad), torch_rng(0))
    for settings_, match in (
        ({"epsilon": -1.0}, "epsilon"),
        ({"epsilon": float("inf")}, "epsilon"),
        ({"classes": 0}, "no column"),
        ({"classes": 1}, "classes"),
        ({"categories": (3, 1)}, "categories"),
        ({"categories": (2.5,)}, "categories"),
    ):
        with pytest.raises(UsageError, match=match):
            RandomizedResponse(**settings_)


def test_the_record_composes_columns_and_says_what_is_open() -> None:
    whole = RandomizedResponse(epsilon=0.5, classes=2, categories=(2, 4, 4))
    (record,) = whole.privacy(EXPOSURE)
    assert (record.unit, record.adjacency, record.releases) == ("record", "replace", 4)
    assert "epsilon 0.5 a column, 2 of pure epsilon together" in record.mechanism
    assert record.per_release_epsilon == pytest.approx(0.5, abs=1e-4)
    # At most the pure epsilons' sum, and not much less: delta is small.
    assert 1.9 < record.total_epsilon < 2.01
    assert {p["categories"] for p in record.composition} == {2, 4}
    assert mechanism_of(record).releases == 4
    assert "nothing holds" not in record.trust
    assert whole.profile(EXPOSURE).max_tpr(0.05) < 0.05 * exp(2.01)
    for partly, said in (
        (RandomizedResponse(), "nothing holds for the inputs"),
        (RandomizedResponse(classes=0, categories=(2,)), "nothing holds for the label"),
    ):
        assert said in partly.privacy(EXPOSURE)[0].trust
        assert partly.profile(EXPOSURE) is None


class Bolder(RandomizedResponse):
    """Takes the epsilon for that of all lies together."""

    def respond(self, codes, categories, rng):
        odds = self.epsilon + log(categories - 1)
        return RandomizedResponse(epsilon=odds, classes=categories).respond(codes, categories, rng)


class SkipsTheLast(RandomizedResponse):
    def protect_records(self, records_, rng):
        sent = super().protect_records(records_, rng)
        sent.inputs[:, -1] = records_.inputs[:, -1]
        return sent


@pytest.mark.parametrize(
    ("kind", "answers", "refuted"),
    [
        (RandomizedResponse, 1, False),
        (Bolder, 1, True),
        (SkipsTheLast, 1, True),
        (RandomizedResponse, 12, True),  # anew in each round
    ],
)
def test_releases_refute_broken_variants_and_not_the_sound_one(
    kind: type[RandomizedResponse], answers: int, refuted: bool
) -> None:
    defense = kind(epsilon=0.6, classes=0, categories=(6, 6))
    claim = RandomizedResponse(epsilon=0.6, classes=6, categories=(6,)).profile(EXPOSURE)

    def release(there: bool, rng: torch.Generator) -> dict[str, torch.Tensor]:
        same = records(torch.full((answers, 2), 5.0 if there else 0.0), torch.zeros(answers))
        told = defense.protect_records(same, rng).inputs
        return {"score": ((told == 5.0).double() - (told == 0.0).double()).sum(0)}

    assert bool(refutes(claim, release)) == refuted
