from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from attack_views import (
    LR,
    auxiliary,
    digits,
    draw,
    gallery,
    job,
    lenet,
    mlp,
    noisy,
    seeded,
    trained_mlp,
    update_of,
    update_view,
    view_of,
)
from torch import Tensor, nn

from seepage.attacks.inversion.exact.averaged import Averaged, mean_gradient
from seepage.attacks.inversion.exact.fully_connected import FullyConnected
from seepage.attacks.inversion.observed import observed_gradient
from seepage.attacks.inversion.optimized.convolutions import small_convolutions
from seepage.attacks.inversion.optimized.dlg import DLG
from seepage.attacks.inversion.optimized.inverting_gradients import InvertingGradients
from seepage.attacks.inversion.optimized.known_noise import known_noise
from seepage.attacks.inversion.optimized.matching import GaussianMatch, SquaredMatch, cosine_match
from seepage.attacks.inversion.optimized.starts import starts
from seepage.attacks.inversion.optimized.victim import Victim, flat
from seepage.core.cards import DefenseCard
from seepage.core.errors import NotApplicableError, UsageError
from seepage.core.threat import Observer
from seepage.core.views import BatchSize, HistoryView, Labels, SeenRound
from seepage.metrics.matching import match
from seepage.metrics.reconstruction import identified, psnr
from seepage.models.resnet import ResNet20

X, Y = digits()


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def mean_psnr(claimed: Tensor, originals: Tensor) -> float:
    i, j = (list(column) for column in zip(*match(claimed, originals), strict=True))
    return float(psnr(claimed[i], originals[j]).mean())


def top_k(update: dict[str, Tensor], fraction: float) -> dict[str, Tensor]:
    flat = torch.cat([u.flatten() for u in update.values()]).abs()
    least = flat.topk(int(fraction * len(flat))).values[-1]
    return {name: u * (u.abs() >= least) for name, u in update.items()}


def test_the_victims_gradient_is_the_observed_one():
    index = draw(0, 4)
    view = view_of(lenet(), index)
    observed = observed_gradient(view)
    replayed = Victim(view, observed).gradient(X[index], Y[index])
    expected = torch.cat([g.flatten() for g in observed.values()])
    torch.testing.assert_close(replayed, expected, atol=1e-6, rtol=1e-3)


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
        assert claim.objective < 0.1 * start.objective
        hits += float(identified(claim.inputs, X[index], gallery(X[index])).float().mean())
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
    view = view_of(lenet(), draw(0, 2))
    one, many = (InvertingGradients(steps=20, restarts=n)(view, rng()) for n in (1, 4))
    assert many.objective < one.objective
    assert DLG(steps=5, restarts=4)(view, rng()).objective <= (
        DLG(steps=5, restarts=1)(view, rng()).objective
    )


class Branching(nn.Module):
    """A model that can't be traced: it asks for a value of its input."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = mlp(16, nn.Tanh)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x) if x.sum() > 0 else -self.layers(x)


def pooled() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1), nn.GroupNorm(3, 6), nn.GELU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 8, 3, stride=2, dilation=2, padding=2, bias=False), nn.BatchNorm2d(8),
        nn.SiLU(), nn.AvgPool2d(2), nn.Dropout(), nn.Flatten(), nn.Linear(8, 10),
    )  # fmt: skip


def frozen_statistics() -> nn.Module:
    norms = nn.BatchNorm1d(12), nn.BatchNorm1d(12).eval()
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(64, 12), norms[0], nn.Tanh(), nn.Linear(12, 12), norms[1],
        nn.Softplus(), nn.Linear(12, 10),
    )  # fmt: skip
    norms[1].running_mean.uniform_(-1, 1)
    norms[1].running_var.uniform_(0.5, 2)
    return model


def wide() -> nn.Module:
    return ResNet20()((1, 32, 32), 10)


SMOOTHED = nn.CrossEntropyLoss(label_smoothing=0.1)


@pytest.mark.parametrize(
    ("build", "size", "loss"),
    [
        (lambda: mlp(24, nn.Sigmoid), 8, F.cross_entropy),
        (lambda: mlp(24, bias=False), 8, SMOOTHED),
        (lenet, 8, F.cross_entropy),
        (lambda: lenet(nn.Sigmoid), 8, SMOOTHED),
        (pooled, 8, F.cross_entropy),
        (frozen_statistics, 8, F.cross_entropy),
        (wide, 32, F.cross_entropy),
        (Branching, 8, F.cross_entropy),
    ],
)
def test_slopes_in_closed_form_are_those_of_double_backward(build, size, loss):
    model = seeded(build).double()
    x = F.interpolate(X[:3].double(), (size, size))
    guesses = torch.stack([x, x.flip(0), torch.rand(x.shape, generator=rng()).double()])
    y = Y[:3]
    view = update_view(model, {}, BatchSize(3), input_shape=(1, size, size))
    view = replace(view, loss=loss)
    parts = torch.autograd.grad(loss(model(x.flip(3)), y), model.parameters())
    observed = dict(zip(dict(model.named_parameters()), parts, strict=True))
    deviations = {name: 1.0 + i for i, name in enumerate(observed)}
    victim = Victim(view, observed)
    assert victim.closed_form == (build is not Branching)
    one_by_one = torch.stack([victim.gradient(g, y).detach() for g in guesses])
    torch.testing.assert_close(victim.gradients(guesses, y), one_by_one, rtol=1e-7, atol=1e-10)
    for match in (
        cosine_match(flat(observed), (), mask_aware=True),
        cosine_match(flat(top_k(observed, 0.3)), (defense("top-k"),), mask_aware=True),
        GaussianMatch.of(observed, deviations),
        SquaredMatch(flat(observed)),
    ):
        distances, slopes, soft = victim.slope(guesses, y, match)
        assert soft is None
        for i, guess in enumerate(guesses):
            at = guess.clone().requires_grad_()
            gradient = victim.gradient(at, y)
            expected, direction = match.aim(gradient.detach()[None])
            (slope,) = torch.autograd.grad(gradient, at, direction[0])
            torch.testing.assert_close(distances[i], expected[0], rtol=1e-6, atol=1e-9)
            torch.testing.assert_close(slopes[i], slope, rtol=1e-5, atol=1e-9)


def test_slopes_at_soft_labels_are_those_of_double_backward():
    model = lenet(nn.Sigmoid).double()
    index = draw(0, 2)
    view = update_view(model, {}, BatchSize(2))
    parts = torch.autograd.grad(
        F.cross_entropy(model(X[index].double()), Y[index]), model.parameters()
    )
    observed = dict(zip(dict(model.named_parameters()), parts, strict=True))
    victim, match = Victim(view, observed), SquaredMatch(flat(observed))
    x = torch.rand(2, 1, 8, 8, generator=rng()).double()
    y = torch.rand(2, 10, generator=rng()).double().softmax(1).requires_grad_()
    distance, direction = match.aim(victim.gradient(x, y).detach()[None])
    (expected,) = torch.autograd.grad(victim.gradient(x, y), y, direction[0])
    distances, _, slopes = victim.slope(x[None], y.detach()[None], match)
    torch.testing.assert_close(distances, distance)
    torch.testing.assert_close(slopes[0], expected)


@pytest.mark.parametrize("build", [lambda: mlp(32), lenet, Branching])
def test_restarts_together_find_what_each_finds_alone(build):
    index = draw(0, 2)
    view = view_of(seeded(build), index)
    observed = observed_gradient(view)
    victim, match = Victim(view, observed), cosine_match(flat(observed), (), mask_aware=True)
    guesses = starts(3, (2, 1, 8, 8), (0.0, 1.0), rng())
    together, slopes, _ = victim.slope(guesses, Y[index], match)
    for i in range(3):
        alone, slope, _ = victim.slope(guesses[i : i + 1], Y[index], match)
        torch.testing.assert_close(together[i], alone[0], rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(slopes[i], slope[0], rtol=1e-4, atol=1e-7)
    assert float((guesses[0] - 0.5).abs().max()) < 0.1
    assert float((guesses[1] - guesses[2]).abs().mean()) > 0.05


def defense(name: str, **settings) -> DefenseCard:
    return DefenseCard(
        name=name,
        summary="",
        implementation="",
        mechanism="",
        guarantee="heuristic",
        adaptive_attacks=(),
        settings=settings,
    )


def test_the_noise_of_a_card_is_that_of_the_gradient():
    update = update_of(mlp(8), (X[:4], Y[:4]))
    cards = {
        0.5 * 3 / 4: defense("dp-sgd", noise_multiplier=0.5, max_grad_norm=3.0),
        0.5 * 3 / LR: defense("local-dp", noise_multiplier=0.5, max_norm=3.0),
    }
    for expected, card in cards.items():
        view = update_view(mlp(8), update, BatchSize(4), defenses=(card,))
        found = known_noise(view, update)
        assert found == pytest.approx(dict.fromkeys(update, expected))
        uneven = replace(card, settings={**card.settings, "noise_scale": {"1.bias": 2.0}})
        found = known_noise(replace(view, defenses=(uneven,)), update)
        assert found["1.bias"] == pytest.approx(2 * found["1.weight"])
    assert known_noise(update_view(mlp(8), update, BatchSize(4)), update) is None


def test_the_right_batch_leaves_nothing_but_the_noise():
    gradient = {
        "a": torch.randn(3000, generator=rng(1)),
        "b": torch.randn(50, 40, generator=rng(2)),
    }
    deviations = {"a": 0.3, "b": 5.0}
    seen = {
        n: 0.4 * g + deviations[n] * torch.randn(g.shape, generator=rng(3 + i))
        for i, (n, g) in enumerate(gradient.items())
    }
    match = GaussianMatch.of(seen, deviations)
    guesses = torch.stack([flat(gradient), 7 * flat(gradient), -flat(gradient)])
    right, scaled, opposite = (match.misfit(float(d)) for d in match.aim(guesses)[0])
    assert right == pytest.approx(1, abs=0.06)
    assert scaled == pytest.approx(right, abs=1e-4)
    assert opposite > right + 0.3
    # Fitting the noise as well goes below what the noise allows.
    assert float(match.aim(flat(seen)[None])[0]) < match.floor < float(match.aim(guesses)[0][0])


def test_whitening_finds_the_quiet_coordinates():
    scale = {"0.weight": 30.0, "0.bias": 30.0, "2.weight": 30.0, "2.bias": 30.0}
    card = defense("local-dp", noise_multiplier=2e-5, max_norm=1.0, noise_scale=scale)
    hits = {True: 0.0, False: 0.0}
    for seed in range(4):
        index = draw(seed, 1)
        update = update_of(lenet(), (X[index], Y[index]))
        loud = {n: u + 2e-5 * scale.get(n, 1.0) * torch.randn(u.shape, generator=rng(i))
                for i, (n, u) in enumerate(update.items())}  # fmt: skip
        view = update_view(lenet(), loud, BatchSize(1), defenses=(card,))
        for aware in hits:
            claim = InvertingGradients(steps=100, noise_aware=aware)(view, rng())
            hits[aware] += mean_psnr(claim.inputs, X[index]) / 4
            assert not claim.solved
    assert hits[True] > hits[False] + 2, hits


def test_knowing_the_mask_of_top_k_helps():
    hits = {True: 0.0, False: 0.0}
    for seed in range(6):
        index = draw(seed, 1)
        sparse = top_k(update_of(lenet(), (X[index], Y[index])), 0.03)
        view = update_view(lenet(), sparse, BatchSize(1), defenses=(defense("top-k"),))
        for aware in hits:
            claim = InvertingGradients(steps=100, mask_aware=aware)(view, rng(seed))
            found = identified(claim.inputs, X[index], gallery(X[index]))
            hits[aware] += float(found.float().mean()) / 6
    assert hits[True] >= hits[False] + 0.25


def test_a_gradient_that_explains_a_sparse_update_is_at_distance_zero():
    dense = torch.randn(500, generator=rng())
    sparse = top_k({"g": dense}, 0.1)["g"]

    def distance(guess: Tensor, *names: str) -> float:
        cards = [defense(name) for name in names]
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
    model = seeded(
        lambda: nn.Sequential(
            nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(),
            nn.Linear(384, 10),
        )
    )  # fmt: skip
    index = draw(0, 4)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    view = view_of(model, index)
    observed = observed_gradient(view)
    victim = Victim(view, observed)
    first, again = (victim.gradient(X[index], Y[index]) for _ in range(2))
    assert torch.equal(first, again)
    expected = torch.cat([g.flatten() for g in observed.values()])
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
    return HistoryView(
        observer=Observer.HONEST_SERVER,
        job=job(),
        loss=F.cross_entropy,
        facts=facts,
        client=3,
        model=model,
        rounds=seen,
    )


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
        found = [
            float(identified(claim.inputs, X[index], gallery(X[index])).float().mean())
            for claim in claims
        ]
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
