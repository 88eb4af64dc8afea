"""Fashion-MNIST and CIFAR-10 as tensors in 0..1, read from the data folder."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cifar10
import numpy as np
import torch
from torch import Tensor

SETS = ("Fashion-MNIST", "CIFAR-10")
CLASSES = 10


@dataclass(frozen=True, slots=True, eq=False)
class Images:
    """Pixels in 0..1 `[n, c, h, w]` and labels `[n]`."""

    x: Tensor
    y: Tensor

    def __len__(self) -> int:
        """Return how many they are."""
        return len(self.y)

    def __getitem__(self, rows: slice | Tensor) -> Images:
        """Return those of the rows."""
        return Images(self.x[rows], self.y[rows])

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one image."""
        return tuple(self.x.shape[1:])


@cache
def images(name: str, folder: Path | None = None) -> tuple[Images, Images]:
    """Return a set's training and test images; `folder` is the data folder, if not the usual."""
    return _cifar(folder) if name == "CIFAR-10" else _fashion(folder)


def _fashion(folder: Path | None) -> tuple[Images, Images]:
    """Return 30,000 and 10,000 images of Fashion-MNIST, in the file's order."""
    path = (folder or cifar10.folder()) / "images/fashion_mnist/fashion_mnist_30k_10k.npz"
    with np.load(path) as arrays:
        train, test = (
            Images(
                torch.from_numpy(arrays[f"x_{part}"])[:, None].float() / 255,
                torch.from_numpy(arrays[f"y_{part}"]).long(),
            )
            for part in ("train", "test")
        )
    return train, test


def _cifar(folder: Path | None) -> tuple[Images, Images]:
    """Return 10,000 and 2,000 images of CIFAR-10, shuffled."""
    train, test = (cifar10.part(part, folder) for part in ("train", "test"))
    return (
        Images(torch.from_numpy(train[0]), torch.from_numpy(train[1]).long()),
        Images(torch.from_numpy(test[0]), torch.from_numpy(test[1]).long()),
    )
