from __future__ import annotations

import numpy as np
import pytest
import torch
from attack_scores import worst_psnr
from attack_views import (
    aggregate_view,
    digits,
    draw,
    gradient_update,
    lenet,
    mlp,
    noisy,
    rng,
    seeded,
    trained_mlp,
    update_of,
    update_view,
)
from torch import Tensor, nn

from seepage.attacks.inversion.exact.half_spaces import HalfSpaces
from seepage.attacks.inversion.exact.spear import Spear
from seepage.core.claims import Reconstruction
from seepage.core.errors import NotApplicableError
from seepage.core.views import AggregateView, BatchSize, UpdateView
from seepage.metrics.matching import match

X, Y = digits()


def attacked(view: UpdateView | AggregateView, **settings) -> Reconstruction:
    return Spear(**settings)(view, rng())


def gradient_view(model: nn.Module, x: Tensor, y: Tensor, **changes) -> UpdateView:
    """The view of a mean float32 gradient, as the update that one step makes of it."""
    return update_view(model, gradient_update(model, x, y), BatchSize(len(x)), **changes)


def is_refusal(claim: Reconstruction) -> bool:
    return len(claim.inputs) == 0 and not claim.solved and "not solvable" in claim.explanation


@pytest.mark.parametrize("size", [1, 4, 8, 12])
@pytest.mark.parametrize("trained", [False, True])
def test_whole_batches_come_back_with_their_labels(size, trained):
    model = trained_mlp(512) if trained else mlp(512)
    index = draw(size, size)
    claim = attacked(gradient_view(model, X[index], Y[index]))
    assert claim.solved
    assert claim.objective < 1e-5
    assert worst_psnr(claim.inputs, X[index]) >= 60
    pairs = dict(match(claim.inputs, X[index]))
    assert claim.labels is not None
    assert [int(claim.labels[i]) for i in pairs] == [int(Y[index[j]]) for j in pairs.values()]


@pytest.mark.parametrize("width", [16, 32, 64, 128])
def test_what_it_calls_solved_is_exact_and_else_it_returns_nothing(width):
    answers = []
    for seed in range(12):
        index = draw(seed, 2 + seed % 5)
        claim = attacked(gradient_view(trained_mlp(width), X[index], Y[index]), passes=4)
        answers.append(claim.solved)
        assert worst_psnr(claim.inputs, X[index]) >= 60 if claim.solved else is_refusal(claim)
    if width == 128:
        assert sum(answers) >= 10
    if width == 16:
        assert not all(answers)


@pytest.mark.parametrize("spread", [1e-3, 1e-2, 0.05])
def test_batches_of_near_copies_are_never_presented_wrong(spread):
    x = (X[:1].repeat(8, 1, 1, 1) + spread * torch.randn((8, 1, 8, 8), generator=rng())).clamp(0, 1)
    claim = attacked(gradient_view(mlp(256), x, Y[:1].repeat(8)))
    assert worst_psnr(claim.inputs, x) >= 60 if claim.solved else True


@pytest.mark.parametrize(("other", "solved"), [(0, False), (1, True)])
def test_two_identical_images_are_told_by_their_weight_in_the_mean(other, solved):
    """With one label they could as well be two images of that mean: no claim to have solved."""
    index = draw(1, 6)
    x, y = X[index].clone(), Y[index].clone()
    x[1], y[1] = x[0], (y[0] + other) % 10
    claim = attacked(gradient_view(mlp(512), x, y))
    assert claim.solved is solved
    assert "1 more: copies" in claim.explanation
    assert worst_psnr(claim.inputs, x) >= 60
    assert claim.labels is not None
    assert sorted(claim.labels.tolist()) == sorted(y.tolist())


def test_one_record_that_the_rest_drowns_is_told_from_a_copy():
    """A record that the model knows leaves no trace: five stand for one record each."""
    index = draw(2, 5)
    model = mlp(512)
    slopes = gradient_view(model, X[index], Y[index]).update
    view = update_view(model, {n: u * 5 / 6 for n, u in slopes.items()}, BatchSize(6))
    claim = attacked(view)
    assert claim.solved
    assert worst_psnr(claim.inputs, X[index]) >= 60
    assert "1 more of the batch of 6: left no trace" in claim.explanation


def test_too_narrow_or_too_many_is_refused_with_figures():
    index = draw(0, 12)
    claim = attacked(gradient_view(mlp(16), X[index], Y[index]))
    assert is_refusal(claim)
    assert "width 16 is too small for 12 records" in claim.explanation
    many = attacked(gradient_view(mlp(512), X[index], Y[index]), largest_search=8)
    assert is_refusal(many)
    assert "largest_search=8" in many.explanation


def test_noise_beyond_the_tolerance_is_refused():
    index = draw(0, 4)
    view = gradient_view(mlp(512), X[index], Y[index])
    for sd in (1e-5, 1e-4, 1e-2):
        loud = update_view(view.model, noisy(dict(view.update), sd), BatchSize(4))
        claim = attacked(loud, passes=2)
        assert worst_psnr(claim.inputs, X[index]) >= 60 if claim.solved else is_refusal(claim)
    assert is_refusal(claim)


def test_several_local_steps_clipping_sums_and_an_unknown_batch_size():
    index = draw(3, 6)
    model = mlp(512)
    halves = [(X[half], Y[half]) for half in (index[:3], index[3:])]
    stepped = update_view(
        model, update_of(model, *halves, lr=0.01), BatchSize(3), local_steps=2, lr=0.01
    )
    claim = attacked(stepped)
    assert claim.solved
    assert worst_psnr(claim.inputs, X[index]) >= 60
    view = gradient_view(model, X[index], Y[index])
    clipped = update_view(model, {n: u * 1e-2 for n, u in view.update.items()})
    claim = attacked(clipped)
    assert claim.solved
    assert worst_psnr(claim.inputs, X[index]) >= 60
    claim = attacked(aggregate_view(model, [dict(view.update)] * 2, BatchSize(3)))
    assert claim.solved
    assert worst_psnr(claim.inputs, X[index]) >= 60


@pytest.mark.parametrize("clients", [2, 3, 4])
@pytest.mark.parametrize("batch", [1, 2, 4])
@pytest.mark.parametrize("trained", [False, True])
def test_the_sum_of_few_clients_gives_every_record_of_each(clients, batch, trained):
    model = trained_mlp(512) if trained else mlp(512)
    index = draw(clients, clients * batch)
    updates = [update_of(model, (X[rows], Y[rows])) for rows in index.view(clients, batch)]
    claim = attacked(aggregate_view(model, updates, BatchSize(batch)))
    assert claim.solved
    assert len(claim.inputs) == clients * batch
    assert worst_psnr(claim.inputs, X[index]) >= 60
    pairs = dict(match(claim.inputs, X[index]))
    assert claim.labels is not None
    assert [int(claim.labels[i]) for i in pairs] == [int(Y[index[j]]) for j in pairs.values()]


def test_the_sum_of_too_many_is_refused():
    model = trained_mlp(64)
    batches = draw(0, 4 * 6).view(4, 6)
    updates = [update_of(model, (X[rows], Y[rows])) for rows in batches]
    claim = attacked(aggregate_view(model, updates, BatchSize(6)), passes=2)
    assert is_refusal(claim)
    assert "24 records" in claim.explanation


def test_without_a_bias_the_records_are_right_up_to_scale_and_it_says_so():
    index = draw(0, 4)
    claim = attacked(gradient_view(mlp(512, bias=False), X[index], Y[index]))
    found = nn.functional.normalize(claim.inputs.flatten(1), dim=1)
    wanted = nn.functional.normalize(X[index].flatten(1), dim=1)
    assert float((found @ wanted.T).amax(1).min()) > 1 - 1e-6
    assert not claim.solved
    assert "scale" in claim.explanation


@pytest.mark.parametrize("model", [mlp(32, nn.Sigmoid), mlp(32, nn.LeakyReLU), lenet()])
def test_where_columns_have_no_zeros_it_can_not_work(model):
    update = {n: p.detach() for n, p in model.named_parameters()}
    with pytest.raises(NotApplicableError):
        attacked(update_view(model, update, BatchSize(2)))


def test_half_spaces_explain_patterns_of_records_and_no_unions_of_them():
    """Planted: an independent perceptron rule, not the fit, says which pattern is whose."""
    order = rng()
    drawn = torch.randn(300, 6, generator=order, dtype=torch.float64)
    planes = nn.functional.normalize(drawn, dim=1)
    records = torch.randn(5, 6, generator=order, dtype=torch.float64)
    on = records @ planes.T > 0
    _, wrong = HalfSpaces(planes).separate(on)
    assert float(wrong.max()) == 0
    _, union = HalfSpaces(planes).separate(on[:4] | on[1:])
    assert float(union.min()) > 0.03


def test_fashion_mnist_at_width_512(data_folder):
    with np.load(data_folder / "images/fashion_mnist/fashion_mnist_30k_10k.npz") as arrays:
        x = torch.tensor(arrays["x_train"][:16, None] / np.float32(255))
        y = torch.tensor(arrays["y_train"][:16]).long()
    model = seeded(
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 10))
    )
    claim = attacked(gradient_view(model, x, y, input_shape=(1, 28, 28)))
    assert claim.solved
    assert worst_psnr(claim.inputs, x) >= 60
