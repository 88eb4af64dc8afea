"""Records sorted into bins by inserted layers, and read off the update or the sum."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch
from attack_scores import quality
from attack_views import (
    auxiliary,
    digits,
    draw,
    lenet,
    mlp,
    moved,
    rng,
    seeded,
    seen,
    trained_mlp,
    update_of,
    update_view,
)
from torch import Tensor, nn

from seepage.attacks.inversion.active.imprint import Imprint
from seepage.attacks.inversion.active.imprint_module import ImprintModule
from seepage.attacks.inversion.active.measurements import directions, edges
from seepage.core.errors import NotApplicableError, UsageError
from seepage.core.threat import Observer
from seepage.core.views import BatchSize
from seepage.metrics.matching import match

X, Y = digits()


def occupied(sent: nn.Module, inputs: Tensor) -> Tensor:
    """Which bin of each measurement each record falls into, counted from the weights, `[b, k]`."""
    layer = sent[0].measure
    heights = inputs.flatten(1).double() @ layer.weight.detach().double().T
    heights = heights + layer.bias.detach().double()
    return (heights > 0) & (heights < sent[0].window.max_val)


def test_an_imprinted_model_takes_and_gives_what_the_jobs_model_does():
    for variant in ("sparse", "linear"):
        honest = lenet()
        before = deepcopy(honest.state_dict())
        sent = moved(Imprint(bins=30, variant=variant), honest)
        assert sent(X[:5]).shape == honest(X[:5]).shape
        assert isinstance(sent[0], ImprintModule)
        assert sent[0](X[:5]).shape == X[:5].shape
        assert sent.training == honest.training
        for name, value in honest.state_dict().items():
            assert torch.equal(before[name], value)
            assert torch.equal(sent.state_dict()[f"1.{name}"], value)


def test_the_move_is_a_function_of_its_generator():
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Dropout(), nn.Linear(32, 10)
    )
    state = torch.random.get_rng_state()
    first, again = (moved(Imprint(bins=30), model.train()) for _ in range(2))
    assert torch.equal(torch.random.get_rng_state(), state)
    for one, two in zip(first.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, two)


def test_bins_are_quantiles_and_every_record_has_one_in_each_measurement():
    held = auxiliary().inputs
    found = directions(held, 3, rng())
    measured = held[:512].flatten(1).double() @ found.T
    torch.testing.assert_close(measured.T.cov(), torch.eye(3).double(), atol=0.01, rtol=0)
    cuts = edges(measured[:, 0], 8, -1e3, 1e3)
    np.testing.assert_allclose(
        cuts[1:-1], np.quantile(measured[:, 0].numpy(), np.arange(1, 8) / 8), rtol=1e-6
    )
    assert bool((edges(torch.zeros(9).double(), 4, -1.0, 1.0).diff() > 0).all())
    sent = moved(Imprint(bins=64), mlp(32))
    falls = occupied(sent, X[:800])
    assert falls.sum(1).tolist() == [3] * 800
    # Uniform bins: the fullest of 22 holds a small multiple of its share.
    assert float(falls.double().mean(0).max()) < 2.2 / 21


@pytest.mark.parametrize("variant", ["sparse", "linear"])
def test_the_papers_attack_returns_exactly_the_images_that_are_alone(variant: str):
    attack = Imprint(bins=64, measurements=1, variant=variant)
    alone = exact = 0
    for seed in range(3):
        sparse = moved(Imprint(bins=64, measurements=1), mlp(32), seed=seed)
        sent = moved(attack, mlp(32), seed=seed)
        index = draw(seed, 16)
        falls = occupied(sparse, X[index])
        single = (falls & (falls.sum(0) == 1)).any(1)
        found = attack(seen(sent, index), torch.Generator())
        assert len(found.inputs) == int(single.sum())
        assert quality(found.inputs, X[index][single]).min() > 60
        assert found.explanation.startswith(f"{int(single.sum())} records alone in a bin, 0 coll")
        assert not found.solved or bool(single.all())
        alone, exact = alone + int(single.sum()), exact + len(found.inputs)
    # The closed form for uniform bins, b (1 - 1/k)^(b-1) = 12.6 a batch.
    assert abs(alone / 3 - 16 * (1 - 1 / 64) ** 15) < 3
    assert alone == exact


@pytest.mark.parametrize("variant", ["sparse", "linear"])
@pytest.mark.parametrize("build", [lambda: trained_mlp(64), lenet])
def test_several_measurements_resolve_collisions(variant: str, build: Any):
    attack = Imprint(bins=64, variant=variant)
    sent = moved(attack, build())
    index = draw(12, 24)
    falls = occupied(moved(Imprint(bins=64), build()), X[index])
    single = int((falls & (falls.sum(0) == 1)).any(1).sum())
    assert single < 20
    found = attack(seen(sent, index), torch.Generator())
    assert quality(found.inputs, X[index]).min() > 60
    assert found.solved
    assert found.explanation.startswith(f"{single} records alone in a bin, {24 - single} coll")
    order = [i for i, _ in sorted(match(found.inputs, X[index]), key=lambda pair: pair[1])]
    assert torch.equal(found.labels[torch.tensor(order)], Y[index])


def test_records_that_collide_everywhere_are_not_passed_off_as_one():
    attack = Imprint(bins=64)
    sent = moved(attack, mlp(32))
    shared = occupied(sent, X[:400]).double() @ occupied(sent, X[:400]).double().T
    twins = (shared.triu(1) == 3).nonzero()[0]
    strangers = (shared[twins] == 0).all(0).nonzero()[:, 0]
    others = [int(strangers[0])]
    for i in strangers.tolist():
        if len(others) < 6 and not shared[others, i].any():
            others.append(i)
    assert len(others) == 6
    index = torch.cat([twins, torch.tensor(others)])
    found = attack(seen(sent, index), torch.Generator())
    assert len(found.inputs) == 6
    assert quality(found.inputs, X[others]).min() > 60
    assert not found.solved
    assert found.explanation.startswith("6 records alone in a bin, 0 collisions resolved, 3 bins")


def test_a_secure_sum_only_holds_more_records():
    attack = Imprint(bins=96)
    sent = moved(attack, trained_mlp(64), clients=4)
    batches = [draw(c, 8) for c in range(4)]
    found = attack(seen(sent, *batches), torch.Generator())
    originals = X[torch.cat(batches).unique()]
    assert quality(found.inputs, originals).min() > 60


def normalized() -> nn.Module:
    return seeded(
        lambda: nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(512, 10),
        )
    ).train()


def test_batch_statistics_leave_agreement_and_trial():
    attack = Imprint(bins=64)
    exact = 0
    for seed in range(6):
        sent = moved(attack, normalized(), seed=seed)
        index = draw(seed, 20)
        found = attack(seen(sent, index), torch.Generator())
        right = int((quality(found.inputs, X[index]) > 60).sum())
        assert found.labels is None
        assert found.solved == (right == 20)
        exact += right
    assert exact >= 0.95 * 120


def test_with_one_measurement_and_batch_statistics_mixtures_are_not_taken_for_solved():
    attack = Imprint(bins=32, measurements=1)
    mixed = 0
    for seed in range(4):
        sent = moved(attack, normalized(), seed=seed)
        index = draw(seed, 12)
        found = attack(seen(sent, index), torch.Generator())
        right = int((quality(found.inputs, X[index]) > 60).sum())
        mixed += len(found.inputs) - right
        assert not found.solved or right == 12
        assert found.solved or " 0 of " in found.explanation
    assert mixed


def test_weights_alone_can_be_altered_where_the_first_layers_are_fully_connected():
    attack = Imprint(insert=False)
    honest = trained_mlp(128)
    sent = moved(attack, honest)
    assert {n: p.shape for n, p in sent.named_parameters()} == {
        n: p.shape for n, p in honest.named_parameters()
    }
    index = draw(8, 16)
    found = attack(seen(sent, index), torch.Generator())
    assert found.solved
    assert quality(found.inputs, X[index]).min() > 60
    with pytest.raises(NotApplicableError, match="must be inserted"):
        moved(attack, lenet())
    with pytest.raises(NotApplicableError, match="4 neurons for 3 measurements"):
        moved(attack, mlp(4))
    with pytest.raises(NotApplicableError, match="no bias"):
        moved(attack, mlp(64, bias=False))


def test_bins_hold_over_several_local_steps():
    attack = Imprint()
    sent = moved(attack, mlp(64), auxiliary(), BatchSize(4))
    index = draw(3, 16)
    update = update_of(sent, *[(X[i], Y[i]) for i in index.split(4)])
    view = update_view(
        sent, update, BatchSize(4), local_steps=4, observer=Observer.MALICIOUS_SERVER
    )
    found = attack(view, torch.Generator())
    assert int((quality(found.inputs, X[index]) > 40).sum()) >= 13


def test_without_auxiliary_data_or_batch_size_it_still_works():
    attack = Imprint()
    sent = moved(attack, mlp(64), BatchSize(8))
    index = draw(4, 8)
    found = attack(seen(sent, index, facts=()), torch.Generator())
    assert int((quality(found.inputs, X[index]) > 40).sum()) >= 7


def test_it_refuses_what_it_can_not_work_on():
    with pytest.raises(NotApplicableError, match="holds no imprint"):
        Imprint()(seen(mlp(32), draw(0, 4)), torch.Generator())
    with pytest.raises(UsageError, match="give each measurement 2"):
        Imprint(bins=5)
    with pytest.raises(UsageError, match="variant is 'dense'"):
        Imprint(variant="dense")
    sent = moved(Imprint(bins=6), mlp(32))
    found = Imprint()(seen(sent, draw(0, 64)), torch.Generator())
    assert len(found.inputs) == 0
    assert not found.solved
    assert "send more bins" in found.explanation
