from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from attack_scores import hit_rate, worst_psnr
from attack_views import (
    LR,
    aggregate_view,
    batch_norm_net,
    digits,
    draw,
    lenet,
    mlp,
    rng,
    seeded,
    trained_mlp,
    update_of,
    update_view,
    view_of,
)
from torch import Tensor, nn

from seepage.attacks.inversion.observed import observed_gradient
from seepage.attacks.inversion.optimized.inverting_gradients import InvertingGradients
from seepage.attacks.inversion.optimized.search.epochs import Epochs
from seepage.attacks.inversion.optimized.search.local_steps import LocalSteps
from seepage.attacks.inversion.optimized.search.victim import Victim, flat
from seepage.attacks.inversion.optimized.sme import SME, between
from seepage.attacks.inversion.optimized.unrolled_fedavg import UnrolledFedAvg
from seepage.core.errors import NotApplicableError, UsageError
from seepage.core.views import BatchSize, Labels, UpdateView

X, Y = digits()


def fedavg_view(model: nn.Module, steps: list[Tensor], *facts, lr: float = LR) -> UpdateView:
    """The view of a client that took one step on the digits at each of `steps`."""
    update = update_of(model, *((X[i], Y[i]) for i in steps), lr=lr)
    size = BatchSize(len(steps[0]))
    return update_view(model, update, size, *facts, local_steps=len(steps), lr=lr)


def distance(a: Tensor, b: Tensor) -> float:
    return float(1 - F.cosine_similarity(a.detach().double(), b.double(), dim=0))


def network(kind: str) -> nn.Module:
    kinds = {"mlp": lambda: trained_mlp(128), "lenet": lenet, "batch-norm": batch_norm_net}
    return kinds[kind]()


@pytest.mark.parametrize("kind", ["mlp", "lenet", "batch-norm"])
def test_the_replay_of_a_clients_steps_is_its_update(kind):
    model = network(kind)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    index = draw(0, 12)
    view = fedavg_view(model, list(index.split(4)))
    after = {name: value.clone() for name, value in model.state_dict().items()}
    observed = observed_gradient(view)
    replay = LocalSteps(view, observed)
    made = replay.gradient(X[index], Y[index]).detach()
    assert distance(made, flat(observed)) < 1e-9
    torch.testing.assert_close(made, flat(observed), atol=1e-5, rtol=1e-3)
    # The order of the steps matters, that within a step does not.
    assert distance(replay.gradient(X[index.flip(0)], Y[index.flip(0)]), flat(observed)) > 1e-5
    within = torch.cat([batch.flip(0) for batch in index.split(4)])
    assert distance(replay.gradient(X[within], Y[within]), flat(observed)) < 1e-9
    assert all(torch.equal(value, after[name]) for name, value in model.state_dict().items())
    assert all(
        torch.equal(before[n], after[n]) for n in before if "running" not in n and "num" not in n
    )


def test_the_slope_of_the_replay_is_that_of_the_steps():
    index = draw(1, 3)
    model = seeded(
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.Tanh(), nn.Linear(8, 10))
    )
    view = fedavg_view(model, list(index.split(1)))
    observed = observed_gradient(view)
    replay = LocalSteps(view, observed)
    x, way = X[index].clone().requires_grad_(), torch.randn(flat(observed).shape, generator=rng())
    (slope,) = torch.autograd.grad(replay.gradient(x, Y[index]) @ way, x)
    aside, reach = torch.randn(x.shape, generator=rng(1)), 1e-2

    def value(share: float) -> Tensor:
        moved = X[index] + share * aside
        steps = [(a, b) for a, b in zip(moved.split(1), Y[index].split(1), strict=True)]
        made = flat(update_of(model, *steps)) / -(3 * LR)
        return made.double() @ way.double()

    expected = (value(reach) - value(-reach)) / (2 * reach)
    assert float((slope * aside).sum()) == pytest.approx(float(expected), rel=2e-2)


@pytest.mark.parametrize("attack", [SME(steps=40), UnrolledFedAvg(steps=40)])
def test_with_one_step_all_is_inverting_gradients(attack):
    view = view_of(lenet(), draw(0, 2))
    expected = InvertingGradients(steps=40)(view, rng())
    claim = attack(view, rng())
    assert claim.objective == pytest.approx(expected.objective, rel=1e-2)
    torch.testing.assert_close(claim.inputs, expected.inputs, atol=0.02, rtol=0)
    assert torch.equal(claim.labels, expected.labels)


def test_the_surrogate_stands_between_the_models():
    view = fedavg_view(trained_mlp(64), list(draw(0, 4).split(2)))
    for alpha in (0.0, 0.5, 1.0):
        held = dict(between(view, alpha).model.named_parameters())
        for name, old in view.model.named_parameters():
            torch.testing.assert_close(held[name], old + alpha * view.update[name])


def test_a_surrogate_points_better_where_records_come_again():
    index = draw(0, 4)
    view = fedavg_view(mlp(128), [index] * 6, lr=0.2)
    observed = observed_gradient(view)
    sent, surrogate = (
        distance(Victim(between(view, a), observed).gradient(X[index], Y[index]), flat(observed))
        for a in (0.0, 0.5)
    )
    assert surrogate < 0.3 * sent
    claim = SME(steps=100, records=4, alpha=0.0)(view, rng())
    assert claim.inputs.shape == (4, 1, 8, 8)
    assert float(claim.explanation.split("alpha ")[1].split()[0]) > 0.1


def hit_rates(view: UpdateView, index: Tensor, attack, seed: int) -> tuple[float, float]:
    claim = attack(view, rng(seed))
    strangers = draw(seed + 50, len(index))
    return hit_rate(claim.inputs, X[index]), hit_rate(claim.inputs, X[strangers])


@pytest.mark.parametrize("attack", [SME(steps=100), UnrolledFedAvg(steps=100, trials=1, trial=40)])
@pytest.mark.parametrize("kind", ["mlp", "lenet"])
def test_two_steps_of_one_record_are_recovered(attack, kind):
    rates = []
    for seed in range(3):
        index = draw(seed, 2)
        view = fedavg_view(network(kind), list(index.split(1)))
        rates.append(hit_rates(view, index, attack, seed))
    found, null = torch.tensor(rates).mean(0).tolist()
    assert found >= 0.6
    assert null <= 0.25


def test_swaps_find_the_order_of_the_steps():
    wanted = [7, 2, 9, 0]
    for seed in (1, 2):
        own = Y[100 * seed : 800]
        index = torch.cat([torch.nonzero(own == k).flatten()[:1] + 100 * seed for k in wanted])
        view = fedavg_view(mlp(256), list(index.split(1)))
        plain, swapped = (
            UnrolledFedAvg(steps=60, trials=n, trial=30, swaps=25)(view, rng(seed)) for n in (0, 3)
        )
        assert plain.labels.tolist() != wanted
        assert swapped.labels.tolist() == wanted
        assert swapped.objective < 0.3 * plain.objective


def test_a_client_with_one_batch_shows_it_at_every_step():
    index = draw(3, 2)
    view = fedavg_view(trained_mlp(256), [index] * 4)
    claim = UnrolledFedAvg(steps=200, records=2)(view, rng())
    assert claim.inputs.shape == (2, 1, 8, 8)
    assert worst_psnr(claim.inputs, X[index]) > 25


def test_epochs_hold_the_same_records_in_other_orders():
    epochs = Epochs(steps=5, batch=2, records=4)
    labels = torch.tensor([0, 0, 3, 5])
    order = epochs.order(labels, rng())
    for epoch in (order[:4], order[4:8]):
        assert epoch.sort().values.tolist() == labels.tolist()
    assert len(order) == 10
    for seed in range(30):
        places = epochs.swap(rng(seed))
        moved = torch.nonzero(places != torch.arange(10)).flatten()
        # Of the last epoch only one step is left, whose records have no place to go.
        assert len(moved) in (0, 2)
        assert (moved // 4).unique().numel() == len(moved) // 2
        assert (moved // 2).unique().numel() == len(moved)
    x = torch.randn(4, 1, 8, 8, generator=rng())
    again = torch.tensor([2, 0, 3, 1])
    laid = torch.cat([x, x[again], x[:2]])
    names = torch.cat([labels, labels[again], labels[:2]])
    assert float(epochs.disagreement(laid)) == pytest.approx(0, abs=1e-12)
    assert float(epochs.disagreement(laid.roll(1, 0))) > 1e-3
    inputs, found = epochs.merge(laid + 0.01 * torch.randn(laid.shape, generator=rng(1)), names)
    assert found.tolist() == labels.tolist()
    torch.testing.assert_close(inputs, x, atol=0.05, rtol=0)


def test_epochs_of_few_records_are_merged_in_a_claim():
    index = draw(5, 4)
    steps = [index[:2], index[2:], index[[3, 0]], index[[2, 1]]]
    view = fedavg_view(mlp(128), steps)
    claim = UnrolledFedAvg(steps=20, trial=10, trials=1, records=4)(view, rng())
    assert claim.inputs.shape == (4, 1, 8, 8)
    assert claim.labels.sort().values.tolist() == Y[index].sort().values.tolist()


def test_sme_inverts_the_mean_of_several_clients():
    model, index = mlp(128), draw(0, 4)
    updates = [update_of(model, *((X[i], Y[i]) for i in c.split(1))) for c in index.split(2)]
    view = aggregate_view(model, updates, BatchSize(1), local_steps=2)
    assert SME(steps=5)(view, rng()).inputs.shape == (4, 1, 8, 8)


def test_known_labels_are_used():
    index = draw(0, 2)
    told = torch.tensor([1, 1])
    view = fedavg_view(mlp(64), list(index.split(1)), Labels(told))
    for attack in (SME(steps=2), UnrolledFedAvg(steps=2, trials=0)):
        assert attack(view, rng()).labels.tolist() == [1, 1]


def test_impossible_settings_are_refused():
    for build, settings, reason in [
        (SME, {"steps": 0}, "sme: steps is 0; use 1 or more"),
        (SME, {"alpha": 1.5}, "alpha is 1.5; use 0 to 1"),
        (UnrolledFedAvg, {"swaps": -1}, "swaps is -1; use 0 or more"),
    ]:
        with pytest.raises(UsageError, match=reason):
            build(**settings)
    view = fedavg_view(mlp(32), list(draw(0, 8).split(4)))
    with pytest.raises(NotApplicableError, match="2 records fill no batch of 4"):
        UnrolledFedAvg(records=2)(view, rng())
