import pytest
import torch
from torch import nn

from seepage.core.errors import ModelError
from seepage.models.api import loss
from seepage.models.fit import check_fit

INPUTS = torch.rand(6, 1, 8, 8)
LABELS = torch.tensor([0, 1, 1, 2, 0, 1])
VALUES = torch.rand(6)


def flat(outputs: int, *more: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, outputs), *more)


class Detached(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(64, 3)

    def forward(self, x):
        return self.layer(x.flatten(1)).detach().requires_grad_()


class Pair(nn.Linear):
    def forward(self, x):
        return x, x


class Merged(nn.Linear):
    def forward(self, x):
        return super().forward(x.flatten(1)).mean(0, keepdim=True)


def frozen() -> nn.Module:
    return flat(3).requires_grad_(False)


def exploded() -> nn.Module:
    model = flat(3)
    nn.init.constant_(model[1].weight, float("nan"))
    return model


CROSS_ENTROPY = nn.CrossEntropyLoss()

WRONG = {
    "input shape": (
        nn.Linear(30, 3), CROSS_ENTROPY, LABELS,
        r"can't take a batch of inputs of shape \(1, 8, 8\): RuntimeError: mat1 and mat2",
    ),
    "too few outputs": (flat(2), CROSS_ENTROPY, LABELS, "2 outputs but labels reach 2; give it 3"),
    "broadcast": (
        flat(1), nn.MSELoss(), VALUES,
        r"broadcast outputs \(2, 1\) and targets \(2,\)",
    ),
    "wrong kind of target": (
        flat(3), nn.BCEWithLogitsLoss(), LABELS,
        r"does not take outputs \(2, 3\) and targets \(2,\): ValueError",
    ),
    "per record": (
        flat(3), nn.CrossEntropyLoss(reduction="none"), LABELS,
        r"returns \(2,\), not a scalar; use mean reduction",
    ),
    "number": (flat(3), lambda o, t: 1.0, LABELS, "returns float, not a scalar"),
    "sum": (flat(3), nn.CrossEntropyLoss(reduction="sum"), LABELS, "is a sum over the batch"),
    "infinite loss": (
        flat(3), lambda o, t: o.mean() * float("inf"), LABELS, "the loss is -?inf",
    ),
    "infinite gradient": (
        flat(1), lambda o, t: (o - o.detach()).abs().sqrt().mean(), VALUES,
        "a gradient is not finite",
    ),
    "no gradient": (Detached(), CROSS_ENTROPY, LABELS, "no parameter gets a gradient"),
    "frozen": (frozen(), CROSS_ENTROPY, LABELS, "no parameters that require a gradient"),
    "nan outputs": (exploded(), CROSS_ENTROPY, LABELS, "outputs are not finite"),
    "pair": (Pair(2, 2), CROSS_ENTROPY, LABELS, "returns a tuple"),
    "one output for all": (Merged(64, 3), CROSS_ENTROPY, LABELS, r"\(1, 3\) for 2 inputs"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_does_not_fit_is_named_in_one_line(case) -> None:
    model, criterion, targets, message = WRONG[case]
    with pytest.raises(ModelError, match=message) as raised:
        check_fit(model, criterion, INPUTS, targets)
    assert "\n" not in str(raised.value)


RIGHT = {
    "classes": (flat(3), CROSS_ENTROPY, LABELS),
    "weighted classes": (
        flat(3), nn.CrossEntropyLoss(weight=torch.tensor([1.0, 5.0, 9.0])), LABELS
    ),
    "regression": (flat(1), loss("auto", 0), VALUES),
    "binary by one output": (
        flat(1), lambda o, t: nn.functional.binary_cross_entropy_with_logits(o[:, 0], t.float()),
        LABELS.clamp(max=1),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", RIGHT)
def test_what_fits_passes(case) -> None:
    model, criterion, targets = RIGHT[case]
    assert check_fit(model, criterion, INPUTS, targets) is None


def test_the_missing_output_shows_though_only_one_record_needs_it() -> None:
    labels = torch.zeros(6, dtype=torch.int64)
    labels[3] = 9
    with pytest.raises(ModelError, match="5 outputs but labels reach 9"):
        check_fit(flat(5), CROSS_ENTROPY, INPUTS, labels)


def test_the_model_and_the_global_generator_stay_as_they_were() -> None:
    model = nn.Sequential(nn.BatchNorm2d(1), nn.Dropout(), flat(3))
    state = {k: v.clone() for k, v in model.state_dict().items()}
    before = torch.random.get_rng_state()
    check_fit(model, CROSS_ENTROPY, INPUTS, LABELS)
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(state[k], v) for k, v in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
