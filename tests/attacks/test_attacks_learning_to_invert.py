from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from attack_scores import hit_rate, matched
from attack_views import (
    aggregate_view,
    auxiliary,
    defense_card,
    digits,
    draw,
    gradient_update,
    lenet,
    mlp,
    rng,
    seeded,
    trained_mlp,
    update_of,
    update_view,
)
from sklearn.kernel_ridge import KernelRidge as SklearnKernelRidge
from torch import Tensor, nn

from seepage.attacks.inversion.learned.gradient_features import GradientFeatures
from seepage.attacks.inversion.learned.hashing import SignedHash
from seepage.attacks.inversion.learned.kernel_ridge import KernelRidge
from seepage.attacks.inversion.learned.learning_to_invert import LearningToInvert
from seepage.attacks.inversion.learned.rehearsal_batches import rehearsal_batches
from seepage.attacks.inversion.learned.training_memory import forget
from seepage.core.errors import NotApplicableError, UsageError
from seepage.core.views import AuxiliaryData, BatchSize, UpdateView
from seepage.defenses.dp.local_dp import LocalDP
from seepage.defenses.top_k import TopK
from seepage.metrics.reconstruction import mse

X, Y = digits()
FAST = LearningToInvert(examples=300)


def view(model: nn.Module, index: Tensor, *defenses: Any, seed: int = 0) -> UpdateView:
    update: Any = update_of(model, (X[index], Y[index]))
    for defense in defenses:
        update = defense.protect_update(update, rng(seed))
    cards = tuple(defense.card for defense in defenses)
    return update_view(model, update, BatchSize(len(index)), auxiliary(), defenses=cards)


@pytest.mark.parametrize("model", [lenet(), trained_mlp(128)], ids=["lenet", "trained"])
def test_single_records_come_back_and_the_null_and_the_mean_do_not(model):
    aux = auxiliary()
    found, null, error, prior = 0.0, 0.0, 0.0, 0.0
    for seed in range(6):
        index, other = draw(seed, 1), draw(seed + 50, 1)
        claim = FAST(view(model, index), rng())
        of_class = aux.inputs[aux.targets == Y[index]].mean(0, keepdim=True)
        found += hit_rate(claim.inputs, X[index]) / 6
        null += hit_rate(claim.inputs, X[other]) / 6
        error += float(mse(claim.inputs, X[index])) / 6
        prior += float(mse(of_class, X[index])) / 6
        assert claim.labels.tolist() == Y[index].tolist()
    assert found >= 0.85
    assert null <= 0.15
    assert error < 0.25 * prior


def test_batches_come_back_and_equal_labels_beat_the_mean():
    model, aux = trained_mlp(128), auxiliary()
    batches = [draw(1, 3), draw(2, 3), draw(5, 2), draw(6, 2)]
    found = [hit_rate(FAST(view(model, i), rng()).inputs, X[i]) for i in batches]
    assert sum(found) / len(found) >= 0.75
    error, prior = 0.0, 0.0
    for seed in (3, 4, 7):
        first = draw(seed, 1)
        alike = torch.cat([first, torch.nonzero(Y[:800] == Y[first]).flatten()[5:6]])
        claim = FAST(view(model, alike), rng())
        assert claim.labels.tolist() == Y[alike].tolist()
        error += float(mse(*matched(claim.inputs, X[alike])).mean())
        of_class = aux.inputs[aux.targets == Y[first]].mean(0, keepdim=True)
        prior += float(mse(of_class, X[alike]).mean())
    assert error < 0.7 * prior


def test_who_knows_of_top_k_sees_more():
    knowing, blind = 0.0, 0.0
    for seed in range(6):
        index = draw(seed, 1)
        seen = view(mlp(32), index, TopK(fraction=0.01))
        knowing += float(mse(FAST(seen, rng()).inputs, X[index])) / 6
        unaware = LearningToInvert(examples=300, adaptive=False)(seen, rng())
        blind += float(mse(unaware.inputs, X[index])) / 6
        assert not unaware.solved
        assert "not simulated" in unaware.explanation
    assert knowing < 0.7 * blind


def test_what_is_remembered_changes_nothing():
    seen, another = (view(lenet(), draw(seed, 1)) for seed in (0, 1))
    forget()
    first = FAST(seen, rng(1))
    FAST(another, rng(2))
    remembered = FAST(seen, rng(3))
    forget()
    again = FAST(seen, rng(4))
    for claim in (remembered, again):
        assert torch.equal(claim.inputs, first.inputs)
        assert claim.explanation == first.explanation


def test_training_is_not_shared_where_anything_differs(monkeypatch):
    trained = []
    module = "seepage.attacks.inversion.learned.learning_to_invert.trained_inverse"
    original = __import__(module.rsplit(".", 1)[0], fromlist=["trained_inverse"]).trained_inverse

    def counting(*args: Any, **kwargs: Any) -> Any:
        trained.append(1)
        return original(*args, **kwargs)

    monkeypatch.setattr(module, counting)
    forget()
    small = LearningToInvert(examples=40)
    index, aux = draw(0, 1), auxiliary()
    seen = view(lenet(), index)
    fewer = AuxiliaryData(aux.inputs[:300], aux.targets[:300])
    other = seeded(lenet, seed=5)
    other[0].weight.data += 1e-3
    different = [
        seen,
        view(other, index),
        replace(seen, facts=(BatchSize(1), fewer)),
        view(lenet(), index, TopK(fraction=0.5)),
        view(lenet(), index, TopK(fraction=0.4)),
        replace(seen, loss=lambda a, b: F.cross_entropy(a, b)),
    ]
    for _ in range(2):
        for each in different:
            small(each, rng())
    assert len(trained) == len(different)


def test_aggregates_and_several_steps_are_learned_as_they_are():
    model, index = mlp(64), draw(2, 2)
    updates = [update_of(model, (X[i][None], Y[i][None])) for i in index]
    mean = aggregate_view(model, updates, BatchSize(1), auxiliary())
    stepped = update_view(
        model, update_of(model, *((X[i][None], Y[i][None]) for i in index)), BatchSize(1),
        auxiliary(), local_steps=2,
    )  # fmt: skip
    for seen in (mean, stepped):
        claim = FAST(seen, rng())
        assert claim.inputs.shape == (2, 1, 8, 8)
        assert hit_rate(claim.inputs, X[index]) == 1


def test_an_attacker_who_can_not_see_says_so():
    index = draw(0, 1)
    claim = FAST(view(lenet(), index, LocalDP(noise_multiplier=5.0, max_norm=0.01)), rng())
    assert not claim.solved
    assert "little more than the mean record" in claim.explanation
    sure = FAST(view(mlp(32), index), rng())
    assert sure.solved
    seen = view(mlp(32), index)
    mangled = {n: u * (u > 0) for n, u in seen.update.items()}
    claim = FAST(replace(seen, update=mangled, defenses=(defense_card("odd"),)), rng())
    assert not claim.solved
    assert "taken for no defense: odd" in claim.explanation
    assert "unlike the simulated ones" in claim.explanation


def test_too_many_records_and_too_little_data_are_refused():
    many = LearningToInvert(most_records=3)(view(mlp(32), draw(0, 4)), rng())
    assert len(many.inputs) == 0
    assert not many.solved
    assert "4 records" in many.explanation
    aux = auxiliary()
    few = AuxiliaryData(aux.inputs[:5], aux.targets[:5])
    seen = replace(view(mlp(32), draw(0, 1)), facts=(BatchSize(1), few))
    with pytest.raises(NotApplicableError, match="5 auxiliary records"):
        FAST(seen, rng())
    with pytest.raises(UsageError, match="examples is 3; use 20 or more"):
        LearningToInvert(examples=3)


def test_a_regression_is_inverted_without_labels():
    def build() -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 1))

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        return F.mse_loss(outputs[:, 0], targets)

    model, ages = seeded(build), X.flatten(1)[:, 20:30].sum(1)
    aux = AuxiliaryData(X[1300:], ages[1300:])
    found = 0.0
    for seed in range(4):
        index = draw(seed, 1)
        update = gradient_update(model, X[index], ages[index], loss)
        seen = replace(update_view(model, update, BatchSize(1), aux, classes=0), loss=loss)
        claim = FAST(seen, rng())
        assert claim.labels is None
        found += hit_rate(claim.inputs, X[index]) / 4
    assert found >= 0.75


def test_the_regression_is_that_of_scikit_learn():
    z = F.normalize(torch.randn(40, 6, generator=rng()), dim=1)
    y, new = torch.randn(40, 3, generator=rng(1)), F.normalize(torch.randn(9, 6), dim=1)
    peer = SklearnKernelRidge(alpha=0.1, kernel="poly", degree=3, gamma=0.5, coef0=0.5)
    expected = peer.fit(z.numpy(), y.numpy()).predict(new.numpy())
    ours = KernelRidge.of(z, y, torch.zeros(3), ridge=0.1, degree=3)(new)
    torch.testing.assert_close(ours, torch.tensor(expected), rtol=1e-3, atol=1e-4)


def test_features_keep_angles_and_weigh_noise_down():
    updates = torch.randn(50, 20, generator=rng()) @ torch.diag(torch.logspace(0, -2, 20))
    plain = GradientFeatures.of(updates, 0.0, 50)
    angle = F.cosine_similarity(updates[0], updates[1], dim=0)
    z = plain(updates)
    assert float(z[0] @ z[1]) == pytest.approx(float(angle), abs=1e-3)
    noisy = GradientFeatures.of(updates, 0.1, 50)
    assert noisy.basis.shape == (20, 20)
    basis = noisy.basis.float()
    power = (updates @ basis).square().mean(0)
    torch.testing.assert_close(noisy.gain, power / (power + 0.01), rtol=1e-2, atol=1e-5)
    guess = (updates + 0.1 * torch.randn(50, 20, generator=rng(1))) @ basis * noisy.gain
    error = (guess @ basis.T - updates).square().mean()
    assert float(error) < 0.6 * 0.01


def test_hashing_keeps_inner_products_on_average():
    a, b = torch.randn(2, 1000, generator=rng())
    a = a + b
    kept = torch.stack([
        (h := SignedHash.of(1000, 300, rng(s)))(a[None])[0] @ h(b[None])[0] for s in range(60)
    ])  # fmt: skip
    assert float(kept.mean()) == pytest.approx(float(a @ b), abs=4 * float(kept.std()) / 60**0.5)
    assert SignedHash.of(1000, 300, rng())(a[None]).shape == (1, 250)
    assert torch.equal(SignedHash.of(1000, 1000, rng())(a[None]), a[None])


def test_no_record_is_both_learned_from_and_judged_by():
    aux = auxiliary()
    labels = torch.tensor([2, 2, 7])
    learn, judge = rehearsal_batches(aux, labels, 3, 300, rng())
    assert not set(learn.rows.flatten().tolist()) & set(judge.rows.flatten().tolist())
    assert torch.equal(learn.targets, labels.expand(300, 3))
    assert torch.equal(learn.own, aux.targets[learn.rows] == labels)
    assert learn.own.float().mean() > 0.1
    brightness = aux.inputs.flatten(1).mean(1)[learn.rows]
    assert bool((brightness[:, 0] <= brightness[:, 1] + 1e-6).all())
