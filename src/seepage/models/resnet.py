"""ResNet-20, the small residual network for 32x32 images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import nn
from torch.nn import functional

from ..core.errors import ModelError
from ..core.names import nearest
from .images import image_shape

if TYPE_CHECKING:
    from torch import Tensor

_NORMS = ("batch", "group")
_GROUPS = 8
_WIDTHS = (16, 32, 64)
_BLOCKS = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class ResNet20:
    """He et al. 2016 (arXiv 1512.03385, section 4.2) with n = 3: 20 weighted layers.

    A 3x3 convolution, three stages of three blocks with 16, 32 and 64 channels, the mean
    over positions and a linear layer. Shortcuts are the paper's option A: where the width
    doubles, every second position with zeros for the new channels, so they have no
    parameters. 269,722 parameters for 3x32x32 and 10 classes. `group` is group
    normalization in 8 groups (models that a DPSGD defense can protect have no batch
    statistics). Raises `ModelError` for another norm.
    """

    norm: str = "batch"

    def __post_init__(self) -> None:
        if self.norm not in _NORMS:
            raise ModelError(
                f"resnet20: no norm is called {self.norm!r}{nearest(self.norm, _NORMS)}"
            )

    def __call__(self, input_shape: tuple[int, ...], outputs: int) -> nn.Module:
        """Return a module from images `[n, c, h, w]`, h and w >= 8, to `[n, outputs]`."""
        channels, _, _ = image_shape("resnet20", input_shape)
        layers: list[nn.Module] = [
            _convolution(channels, _WIDTHS[0]),
            _normalization(self.norm, _WIDTHS[0]),
            nn.ReLU(),
        ]
        channels = _WIDTHS[0]
        for width in _WIDTHS:
            for _ in range(_BLOCKS):
                layers.append(_Block(channels, width, self.norm))
                channels = width
        head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, outputs))
        return nn.Sequential(*layers, *head)


class _Block(nn.Module):
    """Two convolutions beside a shortcut; it halves the image where the width grows."""

    def __init__(self, channels: int, width: int, norm: str) -> None:
        super().__init__()
        self.stride, self.zeros = (1, 0) if width == channels else (2, width - channels)
        self.body = nn.Sequential(
            _convolution(channels, width, self.stride),
            _normalization(norm, width),
            nn.ReLU(),
            _convolution(width, width),
            _normalization(norm, width),
        )
        self.activation = nn.ReLU()

    def forward(self, images: Tensor) -> Tensor:
        """Return the block's output, its input added through the shortcut."""
        shortcut = images
        if self.zeros:
            thinned = images[:, :, :: self.stride, :: self.stride]
            before = self.zeros // 2
            shortcut = functional.pad(thinned, (0, 0, 0, 0, before, self.zeros - before))
        return self.activation(shortcut + self.body(images))


def _convolution(channels: int, width: int, stride: int = 1) -> nn.Conv2d:
    layer = nn.Conv2d(channels, width, kernel_size=3, padding=1, stride=stride, bias=False)
    nn.init.kaiming_normal_(layer.weight)
    return layer


def _normalization(norm: str, channels: int) -> nn.Module:
    return nn.BatchNorm2d(channels) if norm == "batch" else nn.GroupNorm(_GROUPS, channels)
