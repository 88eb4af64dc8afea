"""A property of a batch is read off its update, and where it can't be the population's is told."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from attack_views import defense_card, known, noisy, update_of
from torch import Tensor

from seepage.attacks.attribute.property_inference import PropertyInference
from seepage.core.errors import DataError, NotApplicableError
from seepage.core.views import AuxiliaryData, BatchSize, UpdateView
from seepage.metrics.attribute import multiset_hits
from tables import columns, job, table

RNG = torch.Generator().manual_seed(3)
OTHERS = table(400, 2, 99, tied=0, noisy=False)
AUXILIARY = AuxiliaryData(OTHERS.inputs, OTHERS.targets)
POOL = table(600, 2, 5, tied=0, noisy=False)


def batch(first: int, size: int) -> Tensor:
    """Rows of the pool of which `first` have the first value."""
    own = POOL.inputs[:, -1].long()
    parts = [torch.nonzero(own == v).flatten() for v in (0, 1)]
    picks = [p[torch.randperm(len(p), generator=RNG)] for p in parts]
    return torch.cat([picks[0][:first], picks[1][: size - first]])


def view(rows: Tensor, *facts: object, width: int = 32) -> UpdateView:
    """The server's view of one step on the rows."""
    model = job(width=width).build(torch.Generator().manual_seed(0))
    update = update_of(model, (POOL.inputs[rows], POOL.targets[rows]))
    facts = facts or (BatchSize(len(rows)), AUXILIARY)
    told = known(*facts, classes=2, input_shape=(8,), columns=columns(2), value_range=None)
    return UpdateView(round=0, client=0, model=model, update=update, **told)


def test_the_shares_of_a_column_are_counted() -> None:
    """The prior, even shares, is off by 30 % of the records on average."""
    errors: list[float] = []
    for first in (2, 6, 20, 34, 38):
        rows = batch(first, 40)
        claim = PropertyInference(column="own")(view(rows), RNG)
        assert claim.attribute == "own"
        truth = POOL.inputs[rows, -1].long()
        errors.append(1 - multiset_hits(claim.values, truth) / 40)
    assert sum(errors) / len(errors) < 0.15


def test_under_noise_that_hides_it_the_population_s_share_is_told() -> None:
    """The card says how large the noise is, so the attack knows that the update says nothing."""
    card = defense_card("local-dp", max_norm=1.0, noise_multiplier=100.0)
    seen = view(batch(38, 40))
    hidden = replace(seen, update=noisy(seen.update, 100.0), defenses=(card,))
    values = PropertyInference()(hidden, RNG).values
    share = float(OTHERS.inputs[:, -1].mean())
    assert abs(float(values.double().mean()) - share) < 0.1


def test_what_cannot_be_counted_is_said() -> None:
    rows = batch(5, 10)
    with pytest.raises(DataError, match="no column is called 'owm'; did you mean 'own'"):
        PropertyInference(column="owm")(view(rows), RNG)
    with pytest.raises(DataError, match="different numbers"):
        PropertyInference(column="x1")(view(rows), RNG)
    with pytest.raises(NotApplicableError, match="auxiliary records known"):
        PropertyInference()(view(rows, BatchSize(10)), RNG)
    same = OTHERS.take(torch.nonzero(OTHERS.inputs[:, -1] == 1).flatten())
    facts = BatchSize(10), AuxiliaryData(same.inputs, same.targets)
    with pytest.raises(NotApplicableError, match="the same value in column 'own'"):
        PropertyInference()(view(rows, *facts), RNG)
