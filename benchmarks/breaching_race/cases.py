"""What is raced: the contests, their images and models, and what the server saw."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import image_sets
import torch
import victims
from image_sets import CLASSES
from torch import Tensor, nn
from trained_nets import draws, trained

from seepage.core.views import BatchSize, UpdateView
from seepage.models.api import build

CANDIDATES = 1000
DEVELOPMENT = 3

NETS = {
    "mlp-128": ("mlp", {"width": 128}),
    "lenet-relu": ("lenet", {"activation": "relu"}),
    "lenet-sigmoid": ("lenet", {"activation": "sigmoid"}),
    "convnet-16": ("convnet", {"width": 16, "norm": "batch"}),
    "resnet-20": ("resnet20", {"norm": "batch"}),
}
# The usual normalization of each data set, public knowledge: (mean, standard deviation).
SCALES = {
    "fashion-mnist": {"mean": [0.286], "std": [0.353]},
    "cifar-10": {"mean": [0.4914, 0.4822, 0.4465], "std": [0.247, 0.2435, 0.2616]},
}
SETS = {"fashion-mnist": "Fashion-MNIST", "cifar-10": "CIFAR-10"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Contest:
    """One attack on one network; `goal` is what ours / theirs should not exceed."""

    net: str
    data: str
    attack: str
    goal: float
    batch_size: int = 1

    @property
    def name(self) -> str:
        """Net, data, attack, and the batch size where it is not 1."""
        batch = f"/b{self.batch_size}" if self.batch_size > 1 else ""
        return f"{self.net}/{self.data}/{self.attack}{batch}"


_IG = "inverting-gradients"
CONTESTS = (
    Contest(net="mlp-128", data="fashion-mnist", attack=_IG, goal=1 / 5),
    Contest(net="mlp-128", data="fashion-mnist", attack="dlg", goal=1 / 5),
    Contest(net="lenet-relu", data="fashion-mnist", attack=_IG, goal=1 / 3),
    Contest(net="lenet-sigmoid", data="cifar-10", attack=_IG, goal=1 / 3),
    Contest(net="lenet-sigmoid", data="cifar-10", attack="dlg", goal=1 / 3),
    Contest(net="resnet-20", data="cifar-10", attack=_IG, goal=1 / 2),
    Contest(net="convnet-16", data="cifar-10", attack=_IG, goal=1.0),
)
ANALYTIC = tuple(
    Contest(
        net="mlp-128", data="fashion-mnist", attack="fully-connected", goal=1.0, batch_size=size
    )
    for size in (1, 4)
)


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One batch, the model that its client was sent and the gradient that came back."""

    contest: Contest
    number: int
    originals: Tensor
    gallery: Tensor
    model: nn.Module
    gradients: list[Tensor]

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one image."""
        return tuple(self.originals.shape[1:])

    def view(self) -> UpdateView:
        """Return what the honest server sees: neither labels nor batch statistics."""
        names = [name for name, _ in self.model.named_parameters()]
        return UpdateView(
            client=0,
            model=deepcopy(self.model),
            update={n: -g for n, g in zip(names, self.gradients, strict=True)},
            **victims.server(self.shape, BatchSize(self.contest.batch_size), lr=1.0, clients=2),
        )


def case(contest: Contest, number: int, folder: Path, training_steps: int) -> Case:
    """Return case `number`; negative numbers are for development and share no image with others."""
    known, gallery = images(contest.data, folder)
    name, settings = NETS[contest.net]
    model = build(
        name,
        settings,
        input_shape=known.shape,
        classes=CLASSES,
        rng=torch.Generator().manual_seed(1000 + number),
    )
    # Behind the images of the first hundred batches.
    rows = draws(len(known) - 400, 32, training_steps, torch.Generator().manual_seed(0))
    trained(model, known[400:], rows, lr=0.05)
    first = (number + DEVELOPMENT) * contest.batch_size
    batch = known[first : first + contest.batch_size]
    return Case(contest, number, batch.x, gallery, model, gradient(model, batch.x, batch.y))


def gradient(model: nn.Module, x: Tensor, y: Tensor) -> list[Tensor]:
    """Return the gradient of the mean loss by parameter; the model stays as it was."""
    return victims.gradient(deepcopy(model), image_sets.Images(x, y))


@cache
def images(name: str, folder: Path) -> tuple[image_sets.Images, Tensor]:
    """Return 2,400 images for victims and training, and 999 candidates beside the victim."""
    train, test = image_sets.images(SETS[name], folder)
    known = image_sets.Images(train.x[:2400].contiguous(), train.y[:2400])
    return known, test.x[: CANDIDATES - 1].contiguous()
