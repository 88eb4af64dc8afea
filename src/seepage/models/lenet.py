"""The LeNet variant that gradient inversion is commonly shown on."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from ..core.errors import ModelError
from ..core.names import nearest
from .images import image_shape

_ACTIVATIONS = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid}
_CHANNELS = 12
_STRIDES = (2, 2, 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class LeNet:
    """Three 5x5 convolutions of 12 channels, strides 2, 2 and 1, and a linear layer.

    The network of the code (github.com/mit-han-lab/dlg) of Zhu, Liu and Han, Deep Leakage
    from Gradients (NeurIPS 2019), with a linear layer that fits any input. As there, a
    `sigmoid` network starts uniform in [-0.5, 0.5] (from PyTorch's smaller start it does
    not train); a `relu` network starts as PyTorch's layers do. Raises `ModelError` for
    another activation.
    """

    activation: str = "relu"

    def __post_init__(self) -> None:
        if self.activation not in _ACTIVATIONS:
            near = nearest(self.activation, _ACTIVATIONS)
            raise ModelError(f"lenet: no activation is called {self.activation!r}{near}")

    def __call__(self, input_shape: tuple[int, ...], outputs: int) -> nn.Module:
        """Return a module from images `[n, c, h, w]`, h and w >= 8, to `[n, outputs]`."""
        channels, height, width = image_shape("lenet", input_shape)
        layers: list[nn.Module] = []
        for stride in _STRIDES:
            layers += [
                nn.Conv2d(channels, _CHANNELS, kernel_size=5, padding=2, stride=stride),
                _ACTIVATIONS[self.activation](),
            ]
            channels = _CHANNELS
            height, width = -(-height // stride), -(-width // stride)
        linear = nn.Linear(channels * height * width, outputs)
        model = nn.Sequential(*layers, nn.Flatten(), linear)
        if self.activation == "sigmoid":
            for parameter in model.parameters():
                nn.init.uniform_(parameter, -0.5, 0.5)
        return model
