from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from attack_scores import hit_rate, mean_psnr
from attack_views import (
    LR,
    auxiliary,
    batch_norm_net,
    defense_card,
    digits,
    draw,
    flat,
    known,
    lenet,
    mlp,
    noisy,
    rng,
    seeded,
    top_k,
    trained_mlp,
    update_of,
    update_view,
    view_of,
)
from torch import Tensor, nn

from seepage.attacks.inversion.exact.averaged import Averaged, mean_gradient
from seepage.attacks.inversion.exact.fully_connected import FullyConnected
from seepage.attacks.inversion.observed import observed_gradient
from seepage.attacks.inversion.optimized.dlg import DLG
from seepage.attacks.inversion.optimized.inverting_gradients import InvertingGradients
from seepage.attacks.inversion.optimized.search.convolutions import small_convolutions
from seepage.attacks.inversion.optimized.search.matching import cosine_match
from seepage.attacks.inversion.optimized.search.victim import Victim
from seepage.core.errors import NotApplicableError, UsageError
from seepage.core.views import BatchSize, HistoryView, Labels, SeenRound

X, Y = digits()


def test_the_victims_gradient_is_the_observed_one():
    index = draw(0, 4)
    view = view_of(lenet(), index)
    observed = observed_gradient(view)
    replayed = Victim(view, observed).gradient(X[index], Y[index])
    torch.testing.assert_close(replayed, flat(observed), atol=1e-6, rtol=1e-3)


def test_dlg_recovers_an_image_from_a_smooth_network():
    for seed in range(2):
        index = draw(seed, 1)
        claim = DLG()(view_of(lenet(nn.Sigmoid), index), rng())
        assert mean_psnr(claim.inputs, X[index]) > 30
        assert claim.labels.tolist() == Y[index].tolist()
        assert claim.objective < 1e-6
        assert claim.solved


def test_dlg_optimizes_labels_that_can_not_be_read_off():
    model = seeded(lambda: nn.Sequential(*lenet(nn.Sigmoid), nn.Unflatten(1, (10, 1, 1))))
    model.append(nn.Conv2d(10, 10, 1)).append(nn.Flatten())
    index = draw(1, 1)
    claim = DLG()(view_of(model, index), rng())
    assert claim.labels.tolist() == Y[index].tolist()
    assert mean_psnr(claim.inputs, X[index]) > 30


def test_inverting_gradients_identifies_single_digits():
    hits = 0.0
    for seed in range(3):
        index = draw(seed, 1)
        view = view_of(lenet(), index)
        start = InvertingGradients(steps=1)(view, rng(seed))
        claim = InvertingGradients(steps=100)(view, rng(seed))
        assert claim.objective < 0.2 * start.objective
        hits += hit_rate(claim.inputs, X[index])
        assert claim.solved == (claim.objective < 1e-4)
    assert hits == 3


def test_labels_that_are_known_are_not_guessed():
    index = draw(0, 2)
    wrong = (Y[index] + 1) % 10
    view = update_view(
        lenet(), update_of(lenet(), (X[index], Y[index])), BatchSize(2), Labels(wrong)
    )
    for attack in (InvertingGradients(steps=2), DLG(steps=2)):
        assert attack(view, rng()).labels.tolist() == wrong.tolist()


def test_the_restart_with_the_least_objective_is_claimed():
    gains = 0
    for seed in range(3):
        view = view_of(lenet(), draw(seed, 2))
        one, many = (InvertingGradients(steps=20, restarts=n)(view, rng()) for n in (1, 4))
        assert many.objective <= one.objective * (1 + 1e-5)
        gains += many.objective < 0.99 * one.objective
    assert gains
    assert DLG(steps=5, restarts=4)(view, rng()).objective <= (
        DLG(steps=5, restarts=1)(view, rng()).objective
    )


def test_knowing_the_mask_of_top_k_helps():
    hits = {True: 0.0, False: 0.0}
    for seed in range(6):
        index = draw(seed, 1)
        sparse = top_k(update_of(lenet(), (X[index], Y[index])), 0.03)
        view = update_view(lenet(), sparse, BatchSize(1), defenses=(defense_card("top-k"),))
        for aware in hits:
            claim = InvertingGradients(steps=100, mask_aware=aware)(view, rng(seed))
            hits[aware] += hit_rate(claim.inputs, X[index]) / 6
    assert hits[True] >= hits[False] + 0.25


def test_a_gradient_that_explains_a_sparse_update_is_at_distance_zero():
    dense = torch.randn(500, generator=rng())
    sparse = top_k({"g": dense}, 0.1)["g"]

    def distance(guess: Tensor, *names: str) -> float:
        cards = [defense_card(name) for name in names]
        return float(cosine_match(sparse, cards, mask_aware=True).distance(guess))

    assert distance(7 * dense, "top-k") == pytest.approx(0, abs=1e-6)
    assert distance(dense, "random-k") == pytest.approx(0, abs=1e-6)
    expected = 1 - float(F.cosine_similarity(dense, sparse, dim=0))
    assert distance(dense) == pytest.approx(expected, abs=1e-6)
    # What was not sent is small under top-k, and anything under random-k.
    loud = torch.where(sparse == 0, 9 * dense, dense)
    assert distance(loud, "top-k") > 0.1
    assert distance(loud, "random-k") == pytest.approx(0, abs=1e-6)


def test_batch_norm_is_attacked_in_the_mode_of_training():
    model = batch_norm_net()
    index = draw(0, 4)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    view = view_of(model, index)
    observed = observed_gradient(view)
    victim = Victim(view, observed)
    first, again = (victim.gradient(X[index], Y[index]) for _ in range(2))
    assert torch.equal(first, again)
    expected = flat(observed)
    assert float((first.detach() - expected).norm() / expected.norm()) < 1e-4
    claim = InvertingGradients(steps=40)(view, rng())
    assert claim.objective < 0.5
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


def test_tables_are_attacked_without_total_variation():
    model = seeded(lambda: nn.Sequential(nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 10)))
    x, y = X[:2].flatten(1), Y[:2]
    view = update_view(
        model, update_of(model, (x, y)), BatchSize(2), input_shape=(64,), value_range=None
    )
    claim = InvertingGradients(steps=30, tv=1e3)(view, rng())
    assert claim.inputs.shape == (2, 64)
    assert claim.objective < 1


def test_small_convolutions_change_speed_only_and_restore_the_flag():
    model, x = lenet(), X[:4]
    before = torch.backends.mkldnn.enabled
    plain = model(x)
    with small_convolutions(model, x):
        assert not torch.backends.mkldnn.enabled
        torch.testing.assert_close(model(x), plain, atol=1e-6, rtol=1e-5)
    assert torch.backends.mkldnn.enabled == before
    with small_convolutions(model, X[:1000]):
        assert torch.backends.mkldnn.enabled == before


def history(update: dict[str, Tensor], sd: float, rounds: int, *facts) -> HistoryView:
    model = trained_mlp(512)
    state = {name: value.detach() for name, value in model.named_parameters()}
    seen = tuple(
        SeenRound(t, state, {3: noisy(update, sd, seed=t), 4: noisy(update, 1.0, seed=50 + t)})
        for t in range(rounds)
    )
    return HistoryView(client=3, model=model, rounds=seen, **known(*facts))


@pytest.mark.parametrize("rounds", [4, 16])
def test_noise_falls_by_the_square_root_of_the_rounds(rounds):
    index = draw(0, 4)
    update = update_of(trained_mlp(512), (X[index], Y[index]))
    mean, seen = mean_gradient(history(update, 1e-3, rounds))
    assert seen == rounds
    rest = torch.cat([(mean[name] + u / LR).flatten() for name, u in update.items()])
    assert float(rest.std()) == pytest.approx(1e-3 / LR / math.sqrt(rounds), rel=0.02)


def test_averaging_a_fixed_batch_defeats_noise():
    one, many = 0.0, 0.0
    for seed in range(3):
        index = draw(seed, 4)
        update = update_of(trained_mlp(512), (X[index], Y[index]))
        facts = (BatchSize(4), auxiliary())
        single = update_view(trained_mlp(512), noisy(update, 3e-3, seed=99), *facts)
        claims = (
            FullyConnected()(single, rng()),
            Averaged()(history(update, 3e-3, 64, *facts), rng()),
        )
        found = [hit_rate(claim.inputs, X[index]) for claim in claims]
        one, many = one + found[0] / 3, many + found[1] / 3
    assert many >= 0.75
    assert many > one + 0.4


@pytest.mark.parametrize("build", [InvertingGradients, DLG])
def test_impossible_settings_are_refused(build):
    with pytest.raises(UsageError, match="restarts is 0; use 1 or more"):
        build(restarts=0)


def test_averaging_needs_the_clients_updates():
    index = draw(0, 1)
    seen = history(update_of(trained_mlp(512), (X[index], Y[index])), 0.0, 2)
    absent = HistoryView(
        observer=seen.observer, job=seen.job, loss=seen.loss, client=7, model=seen.model,
        rounds=seen.rounds,
    )  # fmt: skip
    with pytest.raises(NotApplicableError, match="took part in none"):
        Averaged()(absent, rng())


@pytest.mark.parametrize("attack", [FullyConnected(), InvertingGradients(steps=3), DLG(steps=2)])
def test_an_update_of_zeros_gives_a_claim_without_faith(attack):
    model = mlp(32)
    view = update_view(
        model, {n: torch.zeros_like(p) for n, p in model.named_parameters()}, BatchSize(1)
    )
    claim = attack(view, rng())
    assert bool(claim.inputs.isfinite().all())
    assert not claim.explanation.startswith("1 of")
