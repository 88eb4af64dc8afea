"""ResNet-20 against the figures of its paper, and against a forward pass written out."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from learned_digits import accuracy
from torch import Tensor, nn

from seepage.models.api import build
from seepage.models.facts import float_buffers, has_batch_norm, parameter_count


def resnet(shape: tuple[int, ...] = (3, 32, 32), **settings: str) -> nn.Module:
    rng = torch.Generator().manual_seed(0)
    return build("resnet20", settings, input_shape=shape, classes=10, rng=rng)


@pytest.mark.parametrize("norm", ["batch", "group"])
def test_it_has_the_papers_layers_and_size(norm: str) -> None:
    model = resnet(norm=norm)
    assert parameter_count(model) == 269_722  # 0.27M in table 6 of He et al.
    weighted = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(weighted) == 20
    assert has_batch_norm(model) == (norm == "batch")
    assert len(float_buffers(model)) == (38 if norm == "batch" else 0)


def test_stages_halve_the_image_and_double_the_width() -> None:
    shapes: list[tuple[int, ...]] = []
    model = resnet()
    for layer in list(model)[3:12]:
        layer.register_forward_hook(lambda *seen: shapes.append(tuple(seen[2].shape[1:])))
    model(torch.rand(2, 3, 32, 32))
    assert shapes == [(16, 32, 32)] * 3 + [(32, 16, 16)] * 3 + [(64, 8, 8)] * 3


def test_it_computes_the_residual_network_of_option_a() -> None:
    model = resnet().eval()
    state = model.state_dict()
    for name, value in state.items():  # statistics and scales that do not hide a swap
        if value.ndim == 1:
            value.copy_(torch.rand(value.shape, generator=torch.Generator().manual_seed(len(name))))
            value.add_(0.5)

    def normed(x: Tensor, conv: str, norm: str, stride: int) -> Tensor:
        x = F.conv2d(x, state[f"{conv}.weight"], stride=stride, padding=1)
        mean, var = state[f"{norm}.running_mean"], state[f"{norm}.running_var"]
        return F.batch_norm(x, mean, var, state[f"{norm}.weight"], state[f"{norm}.bias"])

    x = torch.rand(2, 3, 15, 18, generator=torch.Generator().manual_seed(1))
    expected = F.relu(normed(x, "0", "1", 1))
    for block in range(3, 12):
        stride = 2 if block in (6, 9) else 1
        inner = F.relu(normed(expected, f"{block}.body.0", f"{block}.body.1", stride))
        inner = normed(inner, f"{block}.body.3", f"{block}.body.4", 1)
        if stride == 2:
            expected = expected[:, :, ::2, ::2]
            nothing = torch.zeros_like(expected[:, : expected.shape[1] // 2])
            expected = torch.cat([nothing, expected, nothing], 1)
        expected = F.relu(expected + inner)
    expected = F.linear(expected.mean((2, 3)), state["14.weight"], state["14.bias"])
    torch.testing.assert_close(model(x), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("norm", ["batch", "group"])
def test_it_learns(norm: str) -> None:
    assert accuracy(resnet((1, 8, 8), norm=norm), steps=60, lr=0.1, momentum=0.9) > 0.85
