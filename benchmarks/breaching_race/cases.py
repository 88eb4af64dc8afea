"""What is raced: the contests, their images and models, and what the server saw."""

from __future__ import annotations

import io
import zipfile
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from seepage.core.threat import Observer
from seepage.core.views import BatchSize, JobFacts, UpdateView
from seepage.models.api import build

CANDIDATES = 1000
DEVELOPMENT = 3
CLASSES = 10

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
class Images:
    """Pixels in 0..1 `[n, c, h, w]` and labels: for victims, and, disjoint, as candidates."""

    inputs: Tensor
    targets: Tensor
    gallery: Tensor


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
        return tuple(self.originals.shape[1:])

    def view(self) -> UpdateView:
        """Return what the honest server sees: neither labels nor batch statistics."""
        names = [name for name, _ in self.model.named_parameters()]
        job = JobFacts(
            input_shape=self.shape,
            classes=CLASSES,
            value_range=(0.0, 1.0),
            clients=2,
            cohort=2,
            local_steps=1,
            lr=1.0,
        )
        return UpdateView(
            observer=Observer.HONEST_SERVER,
            job=job,
            loss=F.cross_entropy,
            facts=(BatchSize(self.contest.batch_size),),
            round=0,
            client=0,
            model=deepcopy(self.model),
            update={n: -g for n, g in zip(names, self.gradients, strict=True)},
        )


def case(contest: Contest, number: int, folder: Path, training_steps: int) -> Case:
    """Return case `number`; negative numbers are for development and share no image with others."""
    data = images(contest.data, folder)
    name, settings = NETS[contest.net]
    model = build(
        name,
        settings,
        input_shape=tuple(data.inputs.shape[1:]),
        classes=CLASSES,
        rng=torch.Generator().manual_seed(1000 + number),
    )
    model.train()
    train(model, data, training_steps)
    first = (number + DEVELOPMENT) * contest.batch_size
    batch = slice(first, first + contest.batch_size)
    x, y = data.inputs[batch], data.targets[batch]
    return Case(contest, number, x, data.gallery, model, gradient(model, x, y))


def gradient(model: nn.Module, x: Tensor, y: Tensor) -> list[Tensor]:
    """Return the gradient of the mean loss by parameter; the model stays as it was."""
    client = deepcopy(model)
    loss = F.cross_entropy(client(x), y)
    return list(torch.autograd.grad(loss, list(client.parameters())))


def train(model: nn.Module, data: Images, steps: int) -> None:
    """Take SGD steps of 32 on the images behind those of the first hundred batches."""
    rng = torch.Generator().manual_seed(0)
    optimizer = torch.optim.SGD(model.parameters(), 0.05)
    for _ in range(steps):
        index = torch.randint(400, len(data.inputs), (32,), generator=rng)
        optimizer.zero_grad()
        F.cross_entropy(model(data.inputs[index]), data.targets[index]).backward()
        optimizer.step()


@cache
def images(name: str, folder: Path) -> Images:
    """Return 2,400 images for victims and training, and 999 candidates beside the victim."""
    return {"fashion-mnist": _fashion, "cifar-10": _cifar}[name](folder)


def _fashion(folder: Path) -> Images:
    with np.load(folder / "images/fashion_mnist/fashion_mnist_30k_10k.npz") as arrays:
        x, y = arrays["x_train"][:2400], arrays["y_train"][:2400]
        gallery = arrays["x_test"][: CANDIDATES - 1]
    pixels = [torch.from_numpy(a)[:, None].float() / 255 for a in (x, gallery)]
    return Images(pixels[0], torch.from_numpy(y).long(), pixels[1])


def _cifar(folder: Path) -> Images:
    with zipfile.ZipFile(folder / "images/cifar10_jpeg/cifar10_10k_2k_jpeg.zip") as archive:
        names = sorted(n for n in archive.namelist() if n.endswith(".jpg"))
        classes = sorted({n.split("/")[1] for n in names})
        drawn: dict[str, list[str]] = {}
        for part, count in (("train", 2400), ("test", CANDIDATES - 1)):
            part_names = [n for n in names if n.startswith(f"{part}/")]
            order = np.random.default_rng(0).permutation(len(part_names))[:count]
            drawn[part] = [part_names[i] for i in order]
        pixels = {part: torch.stack([_decoded(archive, n) for n in drawn[part]]) for part in drawn}
    targets = torch.tensor([classes.index(n.split("/")[1]) for n in drawn["train"]])
    return Images(pixels["train"], targets, pixels["test"])


def _decoded(archive: zipfile.ZipFile, name: str) -> Tensor:
    with Image.open(io.BytesIO(archive.read(name))) as image:
        pixels = np.array(image.convert("RGB"))
    return torch.from_numpy(pixels).permute(2, 0, 1).float() / 255
