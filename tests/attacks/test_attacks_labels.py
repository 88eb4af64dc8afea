from __future__ import annotations

from itertools import product

import pytest
import torch
import torch.nn.functional as F
from attack_views import (
    aggregate_view,
    fitted,
    gradient_update,
    rng,
    seeded,
    update_view,
)
from attack_views import digits as all_digits
from torch import Tensor, nn

from seepage.attacks.attribute.counting import ClassGradients, whole_counts
from seepage.attacks.attribute.labels import LabelCounts, recover_labels
from seepage.core.errors import NotApplicableError
from seepage.core.views import AuxiliaryData, BatchSize, UpdateView
from seepage.metrics.attribute import multiset_hits
from seepage.models.convnet import ConvNet

JOB = {"clients": 4, "cohort": 4}


@pytest.fixture(scope="module")
def digits() -> tuple[Tensor, Tensor]:
    return all_digits()


def network(kind: str) -> nn.Module:
    def build() -> nn.Module:
        if kind == "conv-batch-norm":
            return ConvNet(norm="batch", width=8)((1, 8, 8), 10)
        act = {"relu": nn.ReLU, "elu": nn.ELU, "no-bias": nn.ReLU}.get(kind, nn.Tanh)
        head = nn.Linear(64, 10, bias="no-bias" not in kind)
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 64), act(), head)

    return seeded(build, 1)


def view_of(model, update, size, auxiliary=None, **changes) -> UpdateView:
    facts = (BatchSize(size),) if size else ()
    if auxiliary:
        facts += (AuxiliaryData(inputs=auxiliary[0], targets=auxiliary[1]),)
    return update_view(model.train(), update, *facts, **{**JOB, **changes})


def guess(view) -> Tensor:
    claim = LabelCounts()(view, torch.Generator())
    assert claim.attribute == "label"
    return claim.values


def hit_rate(model, digits, size, *, draws=25, auxiliary=True, skewed=False) -> tuple[float, float]:
    """Return the rate of labels hit in batches of `size`, and that of the majority label."""
    x, y = digits[0][:900], digits[1][:900]
    aux = (digits[0][900:1200], digits[1][900:1200])
    order = rng(3)
    hits = prior = 0
    for draw in range(draws):
        i = torch.randperm(900, generator=order)[:size]
        if skewed:
            i[: size // 2] = torch.nonzero(y == draw % 10).flatten()[: size // 2]
        update = gradient_update(model.train(), x[i], y[i])
        values = guess(view_of(model, update, size, aux if auxiliary else None))
        assert values.shape == (size,)
        hits += multiset_hits(values, y[i])
        prior += multiset_hits(aux[1].mode().values.expand(size), y[i])
    return hits / (size * draws), prior / (size * draws)


@pytest.mark.parametrize("kind", ["relu", "tanh", "elu", "no-bias", "tanh-no-bias"])
@pytest.mark.parametrize("steps", [0, 200])
def test_the_label_of_a_single_record_is_exact(digits, kind, steps):
    x, y = digits
    model = fitted(network(kind), x[:900], y[:900], steps)
    for i in range(1200, 1230):
        update = gradient_update(model, x[i : i + 1], y[i : i + 1])
        assert guess(view_of(model, update, 1)).tolist() == [int(y[i])]


@pytest.mark.parametrize("kind", ["relu", "tanh", "elu", "no-bias", "conv-batch-norm"])
@pytest.mark.parametrize("skewed", [False, True])
def test_counts_of_a_batch_under_untrained_networks(digits, kind, skewed):
    assert hit_rate(network(kind), digits, 8, skewed=skewed)[0] >= 0.9


@pytest.mark.parametrize("kind", ["relu", "tanh"])
def test_counts_without_auxiliary_records(digits, kind):
    assert hit_rate(network(kind), digits, 8, auxiliary=False)[0] >= 0.9


@pytest.mark.parametrize("kind", ["relu", "no-bias", "conv-batch-norm"])
@pytest.mark.parametrize(("steps", "margin"), [(20, 0.5), (200, 0.25)])
def test_counts_under_trained_networks_are_well_above_the_majority(digits, kind, steps, margin):
    model = fitted(network(kind), digits[0][:900], digits[1][:900], steps)
    value, majority = hit_rate(model, digits, 8)
    assert value > majority + margin


def test_an_aggregate_gives_the_labels_of_all_contributors(digits):
    x, y = digits
    model = network("relu")
    batches = [slice(8 * k, 8 * k + 8) for k in range(3)]
    updates = [gradient_update(model, x[b], y[b]) for b in batches]
    facts = BatchSize(8), AuxiliaryData(inputs=x[900:1200], targets=y[900:1200])
    view = aggregate_view(model, updates, *facts, **JOB)
    assert guess(view).tolist() == y[:24].sort().values.tolist()


def test_classes_without_auxiliary_records_are_found_too(digits):
    x, y = digits
    some = torch.nonzero(y[900:1200] < 5).flatten() + 900
    model = network("relu")
    update = gradient_update(model, x[:8], y[:8])
    values = guess(view_of(model, update, 8, (x[some], y[some])))
    assert values.tolist() == y[:8].sort().values.tolist()


def test_a_view_is_left_as_it_is_and_gives_the_same_labels_again(digits):
    x, y = digits
    model = network("conv-batch-norm")
    view = view_of(model, gradient_update(model, x[:8], y[:8]), 8)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state()
    first = recover_labels(view, 8)
    assert torch.equal(first, recover_labels(view, 8))
    assert torch.equal(state, torch.get_rng_state())
    assert model.training
    assert all(torch.equal(before[n], v) for n, v in model.state_dict().items())


def test_where_labels_cannot_be_read(digits):
    x, y = digits
    model = network("relu")
    update = gradient_update(model, x[:4], y[:4])
    for bad, reason in [
        (view_of(model, update, 0), "batch size is not known"),
        (view_of(model, update, 4, classes=0), "regression"),
        (view_of(model, update, 4, classes=7), "10 outputs for 7 classes"),
        (view_of(model, {n: u for n, u in update.items() if "3" not in n}, 4), "does not hold"),
        (view_of(model, {n: u * torch.nan for n, u in update.items()}, 4), "not finite"),
        (view_of(nn.Sequential(model, nn.LayerNorm(10)), update, 4), "LayerNorm"),
    ]:
        with pytest.raises(NotApplicableError, match=reason):
            guess(bad)


def test_whole_counts_add_up_and_keep_to_their_least():
    order = rng(4)
    for _ in range(200):
        size = int(torch.randint(1, 40, (), generator=order))
        least = torch.zeros(10, dtype=torch.int64)
        least[:1] = torch.randint(0, size + 1, (1,), generator=order)
        counts = whole_counts(torch.randn(10, generator=order) * 5, size, least)
        assert int(counts.sum()) == size
        assert bool((counts >= least).all())


def test_counts_are_the_likeliest_of_all():
    order = rng(5)
    for _ in range(30):
        targets = torch.arange(3).repeat(20)
        gradients = torch.randn(60, 3, generator=order) - 2 * F.one_hot(targets, 3)
        frequency = torch.tensor([0.5, 0.3, 0.2])
        size, least = 6, torch.tensor([0, 1, 0])
        known = ClassGradients.of(gradients, targets, frequency)
        total = gradients[torch.randint(60, (size,), generator=order)].sum(0)
        means = torch.stack([gradients[targets == k].mean(0) for k in range(3)]).double()
        rest = gradients - means[targets]
        precision = torch.linalg.inv(size * (rest.T @ rest / 60)).double()

        def objective(counts, total=total, means=means, precision=precision):
            n = torch.tensor(counts).double()
            error = total - n @ means
            return float(
                error @ precision @ error / 2
                + torch.lgamma(n + 1).sum()
                - n @ torch.tensor([0.5, 0.3, 0.2]).double().log()
            )

        every = [c for c in product(range(size + 1), repeat=3) if sum(c) == size and c[1] >= 1]
        found = tuple(known.counts(total, size, least).tolist())
        assert objective(found) < min(map(objective, every)) + 0.02


def test_classes_with_a_negative_bias_gradient_are_always_claimed(digits):
    x, y = digits
    model = fitted(network("relu"), x[:900], y[:900], 200)
    for first in range(0, 400, 8):
        batch = slice(first, first + 8)
        update = gradient_update(model, x[batch], y[batch])
        values = guess(view_of(model, update, 8, (x[900:1200], y[900:1200])))
        present = torch.nonzero(-update["3.bias"] < -1e-6 * update["3.bias"].abs().max())
        assert set(present.flatten().tolist()) <= set(values.tolist())


@pytest.mark.parametrize("kind", ["no-bias", "tanh-no-bias"])
def test_without_a_bias_the_features_of_records_are_accounted_for(digits, kind):
    model = fitted(network(kind), digits[0][:900], digits[1][:900], 10)
    assert hit_rate(model, digits, 32)[0] > 0.985
