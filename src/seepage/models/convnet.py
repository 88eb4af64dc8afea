"""A small convolutional network with a choice of normalization."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from ..core.errors import ModelError, require_least
from ..core.names import nearest
from .images import image_shape

_NORMS = ("batch", "group", "none")
_GROUPS = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class ConvNet:
    """Three blocks of 3x3 convolution, normalization and ReLU, then a linear layer.

    Blocks have `width`, 2 `width` and 4 `width` channels; the second and third halve the
    image by their stride. `group` is group normalization in the largest number of groups
    up to 8 that divides the channels (models that a DPSGD defense can protect have no
    batch statistics). Raises `ModelError` for another norm, or a width below 1.
    """

    norm: str = "batch"
    width: int = 32

    def __post_init__(self) -> None:
        if self.norm not in _NORMS:
            raise ModelError(
                f"convnet: no norm is called {self.norm!r}{nearest(self.norm, _NORMS)}"
            )
        require_least("convnet", self, ModelError, width=1)

    def __call__(self, input_shape: tuple[int, ...], outputs: int) -> nn.Module:
        """Return a module from images `[n, c, h, w]`, h and w >= 8, to `[n, outputs]`."""
        channels, height, width = image_shape("convnet", input_shape)
        layers: list[nn.Module] = []
        for stride, wider in ((1, self.width), (2, 2 * self.width), (2, 4 * self.width)):
            bias = self.norm == "none"
            layers += [
                nn.Conv2d(channels, wider, kernel_size=3, padding=1, stride=stride, bias=bias),
                *self._norm(wider),
                nn.ReLU(),
            ]
            channels = wider
            height, width = -(-height // stride), -(-width // stride)
        return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * height * width, outputs))

    def _norm(self, channels: int) -> tuple[nn.Module, ...]:
        if self.norm == "batch":
            return (nn.BatchNorm2d(channels),)
        if self.norm == "group":
            groups = max(g for g in range(1, _GROUPS + 1) if channels % g == 0)
            return (nn.GroupNorm(groups, channels),)
        return ()
