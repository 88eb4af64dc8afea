"""`seepage.attack` on a user's own gradients: what it takes, what it refuses, what it explains."""

import re

import pytest
import torch
import torch.nn.functional as F
from attack_views import digits, gradient_of, mlp, trained_mlp
from torch import nn

import seepage
from seepage.core.errors import ModelError, NotApplicableError, UsageError

X, Y = digits()


def gradients_of(model: nn.Module, index: slice) -> list[torch.Tensor]:
    return list(gradient_of(model, X[index], Y[index]).values())


def ask(name: str, model: nn.Module, **given):
    return seepage.attack(name, model=model, loss=F.cross_entropy, input_shape=(1, 8, 8), **given)


def test_gradients_and_the_update_that_they_make_are_the_same_question():
    model = trained_mlp(256)
    seen = gradients_of(model, slice(0, 3))
    by_gradient = ask("fully-connected", model, gradients=seen, batch_size=3)
    update = [-0.05 * g for g in seen]
    by_update = ask("fully-connected", model, update=update, lr=0.05, batch_size=3)
    named = {n: u for (n, _), u in zip(model.named_parameters(), update, strict=True)}
    by_name = ask("fully-connected", model, update=named, lr=0.05, batch_size=3)
    for found in (by_gradient, by_update, by_name):
        assert found.solved
        nearest = torch.cdist(found.inputs.flatten(1), X[:3].flatten(1)).amin(0)
        assert float(nearest.max()) < 1e-3
        assert found.seconds > 0


def test_it_is_the_same_with_the_same_seed_and_leaves_the_model_alone():
    model = mlp(32)
    before = [p.detach().clone() for p in model.parameters()]
    given = {"gradients": gradients_of(model, slice(0, 2)), "batch_size": 2, "budget": 1e-3}
    one, two = (ask("inverting-gradients", model, steps=5, **given, seed=4) for _ in range(2))
    assert torch.equal(one.inputs, two.inputs)
    assert model.training
    assert all(torch.equal(p, b) for p, b in zip(model.parameters(), before, strict=True))


def test_the_budget_buys_fresh_starts_and_the_objective_chooses():
    model = mlp(8, nn.Sigmoid)
    given = {"gradients": gradients_of(model, slice(0, 4)), "batch_size": 4, "steps": 3}
    once = ask("inverting-gradients", model, **given, budget=1e-6)
    often = ask("inverting-gradients", model, **given, budget=2.0)
    assert often.objective <= once.objective
    assert often.seconds > once.seconds


def test_labels_say_the_batch_size_and_are_kept():
    model = mlp(64)
    found = ask(
        "inverting-gradients", model, gradients=gradients_of(model, slice(0, 2)), labels=Y[:2],
        steps=5, budget=0.1,
    )  # fmt: skip
    assert sorted(found.labels.tolist()) == sorted(Y[:2].tolist())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "exactly one of gradients, update or view, not none"),
        ({"gradients": [], "update": []}, "not gradients and update"),
        ({"gradients": [torch.zeros(1)]}, "1 tensors; the model has 4"),
        ({"update": "same"}, "update needs lr"),
        ({"gradients": "same", "local_steps": 5}, "give update= for several"),
        ({"gradients": "same"}, "inverting-gradients needs knows-batch-size: give batch_size="),
        ({"gradients": "same", "labels": [1, 2], "batch_size": 3}, "2 labels for 1 step"),
        ({"gradients": {"9.bias": torch.zeros(1)}}, "'9.bias', which the model does not have"),
    ],
)
def test_what_is_missing_or_does_not_fit_is_named(given, message):
    model = mlp(32)
    seen = gradients_of(model, slice(0, 1))
    given = {k: seen if isinstance(v, str) else v for k, v in given.items()}
    with pytest.raises(UsageError, match=message):
        ask("inverting-gradients", model, **given)


def test_a_shape_that_does_not_fit_names_the_parameter():
    model = mlp(32)
    seen = gradients_of(model, slice(0, 1))
    seen[2] = seen[2].T
    with pytest.raises(UsageError, match=r"of 3.weight has shape \[32, 10\]"):
        ask("dlg", model, gradients=seen, batch_size=1)
    with pytest.raises(ModelError, match=r"inputs of shape \[1, 9, 9\]"):
        seepage.attack(
            "dlg", model=model, loss=F.cross_entropy, input_shape=(1, 9, 9),
            gradients=gradients_of(model, slice(0, 1)), batch_size=1,
        )  # fmt: skip
    with pytest.raises(NotApplicableError, match="view of kind history, not update"):
        ask("averaged", model, gradients=gradients_of(model, slice(0, 1)))


def test_a_poor_result_is_explained():
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 4), nn.BatchNorm1d(4), nn.Linear(4, 10))
    found = ask(
        "inverting-gradients", model, gradients=gradients_of(model, slice(0, 32)), batch_size=32,
        steps=3, budget=1e-6,
    )  # fmt: skip
    assert not found.solved
    assert "numbers are known" in found.explanation
    assert "BatchNorm is in training mode" in found.explanation
    assert "labels were estimated" in found.explanation
    learned = mlp(16)
    with torch.no_grad():
        learned[3].bias[Y[0]] = 40.0
    found = ask(
        "inverting-gradients", learned, gradients=gradients_of(learned, slice(0, 1)),
        batch_size=1, steps=3, budget=1e-6,
    )  # fmt: skip
    assert "the model has learned these records well" in found.explanation


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"labels": [9, 9, 10]}, "label 10 is none of 10 classes"),
        ({"gradients": [None, None, None, None]}, "gradients of 1.weight is None"),
        ({"gradients": ["a", "b", "c", "d"]}, "gradients of 1.weight is a str"),
        ({"input_shape": "8"}, "input_shape is 8"),
        ({"loss": "cross_entropy"}, "loss is a str"),
        ({"loss": nn.CrossEntropyLoss(reduction="none")}, "reduction='none'"),
        ({"model": "mlp"}, "model is a str"),
        ({"budget": "2s"}, "budget is '2s'"),
        ({"lr": -0.1}, "lr is -0.1"),
        ({"value_range": (1, 0)}, "value_range is"),
        ({"auxiliary": torch.zeros(3)}, "auxiliary is a pair"),
    ],
)
def test_a_mistake_is_named_before_anything_runs(changed, message):
    model = mlp(32)
    given = {
        "model": model, "loss": F.cross_entropy, "input_shape": (1, 8, 8),
        "gradients": gradients_of(model, slice(0, 3)), "labels": Y[:3],
    }  # fmt: skip
    with pytest.raises(UsageError, match=re.escape(message)):
        seepage.attack("dlg", **{**given, **changed})


def test_regression_and_frozen_layers_are_refused_and_double_models_are_not():
    model = mlp(64)
    model[1].bias.requires_grad_(False)
    seen = torch.autograd.grad(
        F.cross_entropy(model(X[:1]), Y[:1]), [p for p in model.parameters() if p.requires_grad]
    )
    with pytest.raises(NotApplicableError, match=r"does not hold 1\.bias: is it frozen"):
        ask("spear", model, gradients=seen, batch_size=1)
    one = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 1))
    slopes = torch.autograd.grad(F.mse_loss(one(X[:2]), torch.ones(2, 1)), list(one.parameters()))
    with pytest.raises(NotApplicableError, match="only class labels are searched with"):
        seepage.attack(
            "dlg", model=one, loss=F.mse_loss, input_shape=(1, 8, 8), gradients=slopes,
            labels=torch.ones(2),
        )  # fmt: skip
    double = mlp(256).double()
    loss = F.cross_entropy(double(X[:2].double()), Y[:2])
    slopes = torch.autograd.grad(loss, list(double.parameters()))
    assert ask("spear", double, gradients=slopes, batch_size=2).solved
