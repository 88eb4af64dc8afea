from __future__ import annotations

import pytest
import torch
from attack_scores import hit_rate, worst_psnr
from attack_views import (
    LR,
    aggregate_view,
    auxiliary,
    digits,
    draw,
    lenet,
    mlp,
    noisy,
    rng,
    trained_mlp,
    update_of,
    update_view,
    view_of,
)
from torch import Tensor, nn

from seepage.attacks.inversion.exact.agreement import agreeing_rows
from seepage.attacks.inversion.exact.fully_connected import FullyConnected
from seepage.attacks.inversion.exact.low_rank import low_rank
from seepage.attacks.inversion.exact.sparse_columns import sparse_columns
from seepage.core.errors import NotApplicableError
from seepage.core.threat import Observer
from seepage.core.views import AggregateView, BatchSize, UpdateView

X, Y = digits()


def attacked(view: UpdateView | AggregateView, **settings):
    return FullyConnected(**settings)(view, rng())


def proved(note: str) -> int:
    return int(note.split()[0])


def rate(model: nn.Module, size: int, *facts, views: int = 8, noise: float = 0.0) -> float:
    hits = 0.0
    for seed in range(views):
        index = draw(seed, size)
        claim = attacked(view_of(model, index, *facts, noise=noise))
        hits += hit_rate(claim.inputs, X[index])
    return hits / views


@pytest.mark.parametrize("act", [nn.ReLU, nn.Sigmoid, nn.Tanh])
def test_one_record_is_exact(act):
    claim = attacked(view_of(mlp(32, act), draw(0, 1)))
    assert worst_psnr(claim.inputs, X[draw(0, 1)]) >= 60
    assert claim.inputs.shape == (1, 1, 8, 8)
    assert proved(claim.explanation) == 1


def test_records_with_neurons_of_their_own_are_exact():
    """Each record alone turns on three neurons; another three mix all of them."""
    x, y = torch.zeros(3, 1, 8, 8), torch.tensor([0, 1, 2])
    for i in range(3):
        x[i, 0, i] = torch.linspace(0.2, 1, 8)
        x[i, 0, 7] = torch.linspace(0.1, 0.9, 8).roll(i)
    model = mlp(12)
    rows = torch.zeros(12, 1, 8, 8)
    for i in range(3):
        rows[3 * i : 3 * i + 3, 0, i] = 1
    rows[9:, 0, 7] = 1
    model[1].weight.data, model[1].bias.data = rows.flatten(1), -0.5 * torch.ones(12)
    view = update_view(model, update_of(model, (x, y)), BatchSize(3))
    claim = attacked(view, passes=0, refits=0)
    assert worst_psnr(claim.inputs, x) >= 60
    assert proved(claim.explanation) == 3


@pytest.mark.parametrize(("width", "size", "least"), [(512, 4, 0.97), (128, 4, 0.9), (512, 8, 0.9)])
def test_batches_of_trained_networks_are_identified(width, size, least):
    assert rate(trained_mlp(width), size) >= least


def test_what_is_called_proved_is_exact():
    claimed = 0
    for seed in range(8):
        index = draw(seed, 8)
        claim = attacked(view_of(trained_mlp(128), index))
        sure = claim.inputs[: proved(claim.explanation)].flatten(1)
        claimed += len(sure)
        if len(sure):
            assert float(torch.cdist(sure, X[index].flatten(1)).amin(1).max()) < 0.02
    assert claimed > 8


def test_several_local_steps_and_contributors_only_add_records():
    index = draw(3, 4)
    model = trained_mlp(256)
    batches = [(X[half], Y[half]) for half in (index[:2], index[2:])]
    view = update_view(model, update_of(model, *batches), BatchSize(2), local_steps=2)
    assert worst_psnr(attacked(view).inputs, X[index]) >= 40
    updates = [update_of(model, batch) for batch in batches]
    aggregate = aggregate_view(model, updates, BatchSize(2))
    assert worst_psnr(attacked(aggregate).inputs, X[index]) >= 60


def test_clipping_does_not_matter_and_the_batch_size_need_not_be_known():
    index = draw(5, 3)
    model = trained_mlp(512)
    update = {name: u * 1e-3 for name, u in update_of(model, (X[index], Y[index])).items()}
    view = update_view(model, update, observer=Observer.EAVESDROPPER)
    claim = attacked(view)
    assert len(claim.inputs) == 3
    assert worst_psnr(claim.inputs, X[index]) >= 50


def test_auxiliary_records_see_through_noise():
    model, noise = trained_mlp(512), 1e-4
    alone = rate(model, 4, noise=noise)
    helped = rate(model, 4, auxiliary(), noise=noise)
    assert helped >= 0.85
    assert helped > alone + 0.2


def test_drowned_updates_still_give_a_claim_that_proves_nothing():
    index = draw(0, 4)
    for facts in ((), (auxiliary(),)):
        claim = attacked(view_of(trained_mlp(512), index, *facts, noise=10.0))
        assert proved(claim.explanation) == 0
        assert 1 <= len(claim.inputs) <= 4
        assert bool((claim.inputs >= 0).all() & (claim.inputs <= 1).all())


def test_without_a_bias_the_scale_is_guessed():
    index = draw(0, 1)
    claim = attacked(view_of(mlp(64, bias=False), index))
    cosine = torch.cosine_similarity(claim.inputs.flatten(), X[index].flatten(), dim=0)
    assert float(cosine) > 1 - 1e-6
    assert "scale" in claim.explanation


class _Scaled(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        return self.model(2 * x)


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (lenet(), "the first layer is a Conv2d"),
        (_Scaled(mlp(16)), "does not read the flattened input"),
        (nn.Flatten(), "no layer with parameters"),
    ],
)
def test_where_it_can_not_work(model, reason):
    view = update_view(model, {n: p.detach() for n, p in model.named_parameters()}, BatchSize(1))
    with pytest.raises(NotApplicableError, match=reason):
        attacked(view)


def test_updates_that_are_not_finite_are_refused():
    view = view_of(mlp(16), draw(0, 1))
    view.update["1.weight"][0, 0] = torch.nan
    with pytest.raises(NotApplicableError, match="not finite"):
        attacked(view)


def planted(seed: int, rows: int = 200, rank: int = 5, on: float = 0.6) -> tuple[Tensor, Tensor]:
    """Sparse D `[rows, rank]` and X `[rank, 30]`."""
    order = rng(seed)
    d = torch.randn(rows, rank, generator=order, dtype=torch.float64)
    d *= torch.rand(rows, rank, generator=order) < on
    return d, torch.randn(rank, 30, generator=order, dtype=torch.float64)


@pytest.mark.parametrize("sd", [1e-6, 1e-2])
def test_low_rank_finds_rank_and_noise(sd):
    d, x = planted(0)
    noise = torch.randn(200, 30, generator=rng(1), dtype=torch.float64)
    found = low_rank(d @ x + sd * noise, 12)
    assert found.rank == 5
    assert found.noise == pytest.approx(sd, rel=0.05)
    assert float((found.rows @ found.basis - d @ x).norm() / (sd * noise).norm()) < 0.6


@pytest.mark.parametrize("seed", range(3))
def test_sparse_columns_are_found_up_to_order_and_scale(seed):
    d, x = planted(seed)
    found = low_rank(d @ x, 5)
    rows = found.rows[found.rows.norm(dim=1) > 1e-9]
    columns = sparse_columns(rows, found.noise, rng(seed))
    recovered = torch.nn.functional.normalize(found.rows @ columns.q, dim=0)
    wanted = torch.nn.functional.normalize(d, dim=0)
    cosines = (recovered.T @ wanted).abs()
    assert cosines.argmax(1).unique().numel() == 5
    assert float(cosines.amax(1).min()) > 1 - 1e-6
    assert columns.zeros.tolist() == (rows.shape[0] - (d != 0).sum(0))[cosines.argmax(1)].tolist()


def test_only_rows_of_one_record_agree():
    d, x = planted(4, rank=3)
    directions, support = agreeing_rows(d @ x, 1e-9)
    alone = [int(((d != 0).sum(1) == 1).logical_and(d[:, i] != 0).sum()) for i in range(3)]
    assert sorted(support.tolist()) == sorted(alone)
    cosines = torch.nn.functional.normalize(directions, dim=1) @ torch.nn.functional.normalize(x).T
    assert float(cosines.abs().amax(1).min()) > 1 - 1e-9


def test_float32_rounding_of_updates_is_not_taken_for_signal():
    """A second record whose gradient is below the rounding error must not be claimed."""
    model = mlp(64)
    index = draw(2, 1)
    update = noisy(update_of(model, (X[index], Y[index])), 1e-9)
    claim = attacked(update_view(model, update, BatchSize(1)))
    assert worst_psnr(claim.inputs, X[index]) >= 60
    assert float(model[1].weight.detach().abs().max()) * LR > 1e-9
