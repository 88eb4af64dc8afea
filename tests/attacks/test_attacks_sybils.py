"""One client's update out of a secure sum that the server fills up with its own."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from attack_scores import worst_psnr
from attack_views import (
    aggregate_view,
    digits,
    draw,
    knowledge,
    lenet,
    mlp,
    rng,
    update_of,
    view_of,
)

from seepage.attacks.inversion.active.sybils import Sybils
from seepage.core.errors import NotApplicableError, UsageError
from seepage.core.threat import Observer
from seepage.core.views import AggregateView, BatchSize
from seepage.defenses.cards import CARDS

X, Y = digits()
SUMMED = next(card for card in CARDS if card.sums)
BATCH = 4


def a_sum(width: int, own: int, model: torch.nn.Module | None = None) -> AggregateView:
    """The view of one client's update among so many of the server's own."""
    model = model or mlp(width)
    index = draw(own, BATCH)
    update = update_of(model, (X[index], Y[index]))
    silent = {name: torch.zeros_like(value) for name, value in update.items()}
    view = aggregate_view(
        model,
        [update, *[silent] * own],
        BatchSize(BATCH),
        defenses=(SUMMED,),
        observer=Observer.MALICIOUS_SERVER,
    )
    return replace(view, cohort=(5,), sybils=own)


def test_it_keeps_one_client_in_a_cohort_as_large_as_ever():
    told = knowledge(mlp(16), cohort=(1, 4, 6), defenses=(SUMMED,))
    moves = [Sybils().act(told, rng(seed)) for seed in range(12)]
    assert {move.cohort for move in moves} == {(1,), (4,), (6,)}
    assert all(move.sybils == 2 and not move.models for move in moves)
    # The server names the cohort: it may want a client that was not drawn.
    assert Sybils(target=3).act(told, rng()).cohort == (3,)
    # Where single updates are seen there is no sum to get around.
    plain = Sybils().act(replace(told, defenses=()), rng())
    assert (plain.cohort, plain.sybils) == (None, 0)


@pytest.mark.parametrize("own", [1, 3, 6, 31])
def test_the_targets_whole_batch_comes_out_of_the_sum_as_from_its_own_update(own: int):
    view = a_sum(256, own)
    claim = Sybils()(view, rng())
    assert claim.solved
    assert f"client 5 alone, among {own} of" in claim.explanation
    assert worst_psnr(claim.inputs, X[draw(own, BATCH)]) >= 60
    # To take the contributors for clients with records is what it must not do.
    assert len(claim.inputs) == BATCH
    single = Sybils()(view_of(view.model, draw(own, BATCH)), rng())
    torch.testing.assert_close(claim.inputs, single.inputs, atol=1e-4, rtol=0)


def test_any_model_is_inverted_by_the_attack_that_fits_it():
    claim = Sybils()(a_sum(0, 7, lenet()), rng())
    assert "known numbers for each unknown one" in claim.explanation
    assert claim.inputs.shape == (BATCH, 1, 8, 8)


def test_what_can_not_be_read_off_is_said():
    view = a_sum(64, 3)
    with pytest.raises(NotApplicableError, match="2 clients of the job"):
        Sybils()(replace(view, sybils=2), rng())
    nothing = Sybils()(replace(view, aggregate={}), rng())
    assert len(nothing.inputs) == 0
    assert not nothing.solved
    with pytest.raises(UsageError, match="single update"):
        Sybils(inner="fed-mia")(view, rng())
    with pytest.raises(UsageError, match="target is -2"):
        Sybils(target=-2)
