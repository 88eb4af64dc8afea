"""Distances in what a small network, trained on auxiliary data, has learned to see.

Two images can differ in many pixels and show the same thing. Features of a network trained
to tell things apart are nearer to what a person sees (Zhang et al. 2018, arXiv 1801.03924,
who use networks trained on ImageNet). Here the network is trained on the spot on records
like the victims', so that nothing is downloaded and the records may be anything.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..core.errors import DataError

_FEATURES = 64
_CHANNELS = (24, 48, 96)
_HIDDEN = 128
_BATCH = 64
_CHUNK = 256


@dataclass(frozen=True, slots=True, eq=False)
class FeatureSpace:
    """The last layer but one of a network, each feature scaled to mean 0 and deviation 1.

    Made by `fit`.
    """

    network: nn.Module
    mean: Tensor
    deviation: Tensor

    @classmethod
    def fit(
        cls, inputs: Tensor, targets: Tensor, rng: torch.Generator, *, steps: int = 300
    ) -> FeatureSpace:
        """Train on auxiliary inputs `[n, *shape]` and targets `[n]`, some seconds on a CPU.

        Images `[c, h, w]` train convolutions, anything else a multilayer perceptron.
        Integer targets are classes, others are regressed. `steps` are of Adam, 64 records
        each. The same `rng` state gives the same space; torch's global generator is left
        as it was. Raises `DataError` for fewer than two records.
        """
        if len(inputs) < 2 or len(inputs) != len(targets):
            raise DataError(
                f"features need two or more records with a target each, not {len(inputs)} "
                f"inputs and {len(targets)} targets"
            )
        classes = 0 if targets.is_floating_point() else int(targets.max()) + 1
        seed = int(torch.randint(2**62, (), generator=rng))
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            torch.default_generator.manual_seed(seed)
            network = nn.Sequential(_Standardize(inputs), *_trunk(tuple(inputs.shape[1:])))
            head = nn.Linear(_FEATURES, classes or 1)
            _train(nn.Sequential(network, head), inputs, targets, steps, rng)
        network.eval().requires_grad_(False)
        seen = _in_chunks(network, inputs)
        return cls(network, seen.mean(0), seen.std(0).clamp_min(1e-6))

    def features(self, inputs: Tensor) -> Tensor:
        """Return the scaled features of `[n, *shape]`, `[n, 64]`."""
        return (_in_chunks(self.network, inputs) - self.mean) / self.deviation

    def distance(self, a: Tensor, b: Tensor) -> Tensor:
        """Return 1 less the cosine of the features of each pair of `[n, *shape]`, `[n]`.

        0 for equal records, about 1 for unrelated ones, 2 at most; 2 where a value is not
        finite.
        """
        cosine = torch.cosine_similarity(self.features(a).double(), self.features(b).double())
        return (1 - cosine).clamp(0, 2).nan_to_num(2.0)


class _Standardize(nn.Module):
    """Scales each channel of images, or each column of a table, to mean 0, deviation 1."""

    def __init__(self, inputs: Tensor) -> None:
        super().__init__()
        axes = (0, 2, 3) if inputs.ndim == 4 else (0,)
        self.register_buffer("mean", inputs.mean(axes, keepdim=True))
        self.register_buffer("deviation", inputs.std(axes, keepdim=True).clamp_min(1e-3))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return inputs with the mean 0 and the deviation 1 of the auxiliary ones."""
        return (inputs - self.get_buffer("mean")) / self.get_buffer("deviation")


def _trunk(shape: tuple[int, ...]) -> list[nn.Module]:
    """Return layers from inputs of `shape` to the features."""
    if len(shape) != 3:
        sizes = (math.prod(shape), _HIDDEN)
        return [
            nn.Flatten(),
            *(nn.Linear(*sizes), nn.ReLU()),
            *(nn.Linear(_HIDDEN, _FEATURES), nn.ReLU()),
        ]
    layers: list[nn.Module] = []
    channels = shape[0]
    for stride, width in zip((1, 2, 2), _CHANNELS, strict=True):
        layers += [
            nn.Conv2d(channels, width, kernel_size=3, padding=1, stride=stride, bias=False),
            nn.GroupNorm(8, width),
            nn.ReLU(),
        ]
        channels = width
    # A grid of 2 x 2 means keeps roughly where things are.
    pool = nn.AdaptiveAvgPool2d(2)
    return [*layers, pool, nn.Flatten(), nn.Linear(4 * channels, _FEATURES), nn.ReLU()]


def _train(
    model: nn.Module, inputs: Tensor, targets: Tensor, steps: int, rng: torch.Generator
) -> None:
    if targets.is_floating_point():
        targets = ((targets - targets.mean()) / targets.std().clamp_min(1e-6)).view(-1, 1)
        loss: nn.Module = nn.MSELoss()
    else:
        targets, loss = targets.long(), nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        rows = torch.randint(len(inputs), (min(_BATCH, len(inputs)),), generator=rng)
        optimizer.zero_grad()
        loss(model(inputs[rows]), targets[rows]).backward()
        optimizer.step()
        schedule.step()


def _in_chunks(network: nn.Module, inputs: Tensor) -> Tensor:
    with torch.no_grad():
        return torch.cat([network(chunk) for chunk in inputs.split(_CHUNK)])
