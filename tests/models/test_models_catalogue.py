import dataclasses
import subprocess
import sys

import pytest
import torch
from learned_digits import accuracy
from torch import nn

from seepage.core.errors import ModelError, UsageError
from seepage.models.api import build
from seepage.models.cards import CARDS
from seepage.models.facts import float_buffers, has_batch_norm, parameter_count

IMAGES = [(1, 8, 8), (3, 9, 13), (1, 28, 28), (3, 32, 32)]
SETTINGS = [
    ("logistic", {}),
    ("mlp", {}),
    ("mlp", {"width": 7, "depth": 3}),
    ("lenet", {}),
    ("lenet", {"activation": "sigmoid"}),
    ("convnet", {"width": 5}),
    ("convnet", {"norm": "group", "width": 12}),
    ("convnet", {"norm": "none", "width": 4}),
    ("resnet20", {}),
    ("resnet20", {"norm": "group"}),
]


def make(name: str, shape: tuple[int, ...], classes: int = 4, seed: int = 0, **settings):
    rng = torch.Generator().manual_seed(seed)
    return build(name, settings, input_shape=shape, classes=classes, rng=rng)


@pytest.mark.parametrize("card", CARDS, ids=lambda c: c.name)
def test_cards_match_their_dataclasses(card) -> None:
    fields = dataclasses.fields(card.load())
    assert [(p.name, p.default) for p in card.parameters] == [(f.name, f.default) for f in fields]
    assert card.load().__dataclass_params__.frozen


def test_cards_need_no_torch() -> None:
    code = "import sys, seepage.models.cards; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(("name", "settings"), SETTINGS)
@pytest.mark.parametrize("shape", IMAGES)
def test_every_model_takes_every_image(name, settings, shape) -> None:
    model = make(name, shape, **settings)
    for batch in (1, 3):
        outputs = model(torch.rand(batch, *shape))
        assert outputs.shape == (batch, 4)
        gradients = torch.autograd.grad(outputs.square().sum(), list(model.parameters()))
        assert all(torch.isfinite(g).all() for g in gradients)


@pytest.mark.parametrize("name", ["logistic", "mlp"])
def test_tables_and_regression(name) -> None:
    assert make(name, (13,), classes=0)(torch.rand(5, 13)).shape == (5, 1)


def test_sizes_are_as_documented() -> None:
    assert parameter_count(make("logistic", (1, 8, 8), classes=10)) == 650
    assert parameter_count(make("mlp", (64,), classes=10)) == 65 * 128 + 129 * 10
    # Zhu et al.'s LeNet on CIFAR: 768 features enter the linear layer.
    convolutions = 12 * (3 * 25 + 1) + 2 * 12 * (12 * 25 + 1)
    assert parameter_count(make("lenet", (3, 32, 32), classes=10)) == convolutions + 7690


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("logistic", {}),
        ("mlp", {}),
        ("lenet", {}),
        ("lenet", {"activation": "sigmoid"}),
        ("convnet", {"width": 8}),
        ("convnet", {"norm": "group", "width": 8}),
        ("convnet", {"norm": "none", "width": 8}),
    ],
)
def test_every_model_learns(name, settings) -> None:
    model = make(name, (1, 8, 8), classes=10, **settings)
    assert accuracy(model, steps=400, lr=0.3) > 0.85


def test_the_same_seed_gives_the_same_model_and_the_global_generator_stays() -> None:
    before = torch.random.get_rng_state()
    first, again, other = (make("convnet", (1, 8, 8), seed=s).state_dict() for s in (1, 1, 2))
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(first[k], again[k]) for k in first)
    assert not torch.equal(first["0.weight"], other["0.weight"])


def test_two_models_from_one_generator_differ() -> None:
    rng = torch.Generator().manual_seed(0)
    first, second = (build("mlp", {}, input_shape=(4,), classes=2, rng=rng) for _ in range(2))
    assert not torch.equal(first[1].weight, second[1].weight)


def test_facts_of_normalization() -> None:
    batch, group = (make("convnet", (1, 8, 8), norm=n) for n in ("batch", "group"))
    assert has_batch_norm(batch)
    assert not has_batch_norm(group)
    assert not float_buffers(group)
    # Means and variances of three layers; their counters are integers and stay out.
    assert len(float_buffers(batch)) == 6
    model = nn.Linear(1, 1)
    model.register_buffer("kept", torch.zeros(1))
    model.register_buffer("scratch", torch.zeros(1), persistent=False)
    assert list(float_buffers(model)) == ["kept"]


@pytest.mark.parametrize(
    ("name", "shape", "settings", "message"),
    [
        ("lenet", (30,), {}, r"lenet takes images .* not inputs of shape \(30,\)"),
        ("convnet", (1, 8, 7), {}, "8x8 or larger, not 8x7"),
        ("lenet", (1, 8, 8), {"activation": "sigmod"}, "did you mean 'sigmoid'"),
        ("convnet", (1, 8, 8), {"norm": "layer"}, "known: batch, group, none"),
        ("mlp", (3,), {"depth": 0}, "depth is 0; use 1 or more"),
        ("resnet20", (3, 7, 32), {}, "8x8 or larger, not 7x32"),
        ("resnet20", (1, 8, 8), {"norm": "bacth"}, "did you mean 'batch'"),
    ],
)
def test_what_a_model_can_not_be(name, shape, settings, message) -> None:
    with pytest.raises(ModelError, match=message):
        make(name, shape, **settings)


def test_unknown_names_and_settings() -> None:
    with pytest.raises(UsageError, match="did you mean 'lenet'"):
        make("lenett", (1, 8, 8))
    with pytest.raises(UsageError, match="did you mean 'width'"):
        make("mlp", (3,), widht=3)
