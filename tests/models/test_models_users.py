import sys
import types

import pytest
import torch
from torch import nn

from seepage.core.errors import UsageError
from seepage.models.api import build, loss


def by_name(classes, input_shape):
    return nn.Linear(input_shape[0], classes)


def by_place(shape, classes):
    return nn.Linear(shape[0], classes)


def by_place_with_setting(shape, labels, width):
    return nn.Sequential(nn.Linear(shape[0], width), nn.Linear(width, labels))


def alone(width=3, depth=2):
    assert isinstance(width, int)
    return nn.Linear(width, depth)


def broken(input_shape, classes):
    raise RuntimeError("no weights found")


def no_model():
    return 3


@pytest.fixture(autouse=True)
def mine(monkeypatch):
    module = types.ModuleType("mine")
    for function in (by_name, by_place, by_place_with_setting, alone, broken, no_model):
        setattr(module, function.__name__, function)
    module.model = nn.Linear(3, 2)
    module.number = 3
    module.total = lambda outputs, targets: (outputs.sum() - targets.sum()) ** 2
    monkeypatch.setitem(sys.modules, "mine", module)


def make(name, **settings):
    rng = torch.Generator().manual_seed(0)
    return build(f"mine:{name}", settings, input_shape=(3,), classes=2, rng=rng)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("by_name", {}),
        ("by_place", {}),
        ("by_place_with_setting", {"width": 5}),
        ("alone", {}),
        ("alone", {"depth": 2}),
    ],
)
def test_a_users_function_gets_what_it_asks_for(name, settings) -> None:
    before = torch.random.get_rng_state()
    first, again = make(name, **settings), make(name, **settings)
    assert torch.equal(before, torch.random.get_rng_state())
    assert first(torch.rand(4, 3)).shape == (4, 2)
    assert all(
        torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True)
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("broken", "mine:broken failed: RuntimeError: no weights found"),
        ("no_model", "mine:no_model returned int"),
        ("model", "mine:model is a Linear; name a function"),
        ("missing", "mine:missing can't be imported: AttributeError"),
    ],
)
def test_a_users_function_that_fails_is_named(name, message) -> None:
    before = torch.random.get_rng_state()
    with pytest.raises(UsageError, match=message):
        make(name)
    assert torch.equal(before, torch.random.get_rng_state())


def test_a_module_that_is_not_there_is_named() -> None:
    rng = torch.Generator()
    with pytest.raises(UsageError, match=r"nowhere_at_all:f can't be imported: ModuleNotFound"):
        build("nowhere_at_all:f", {}, input_shape=(3,), classes=2, rng=rng)


def test_auto_loss() -> None:
    outputs, values = torch.tensor([[1.0], [3.0]]), torch.tensor([1.0, 1.0])
    squared = loss("auto", 0)
    assert squared(outputs, values).item() == squared(outputs[:, 0], values).item() == 2.0
    assert isinstance(loss("auto", 3), nn.CrossEntropyLoss)


def test_users_losses() -> None:
    assert loss("mine:total", 0)(torch.ones(3), torch.zeros(3)) == 9
    assert isinstance(loss("torch.nn:BCEWithLogitsLoss", 2), nn.BCEWithLogitsLoss)
    with pytest.raises(UsageError, match=r"no loss is called 'mse'.*module:function"):
        loss("mse", 0)
    with pytest.raises(UsageError, match="mine:number is a int"):
        loss("mine:number", 0)
