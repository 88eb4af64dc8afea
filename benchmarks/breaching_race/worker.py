"""The peer's side of the race: runs in breaching's own environment and knows nothing of seepage.

Reads one JSON object a line from stdin and answers one a line on stdout. Arrays travel as
npz files. `do` is one of

    versions                                   -> {"breaching": ..., "torch": ..., ...}
    gradient  net, job, scale                  -> {}; gradients 0, 1, ... in the file `out`
    attack    net, job, scale, attack,
              overrides, batch_size, seed      -> {"seconds", "labels"}; `images` in `out`

`job` holds the state dict of the model as `state/<name>`, and for an attack the shared
gradients as `gradient/<number>`. The network takes pixels in 0..1. breaching searches in
units of the data's mean and standard deviation (`scale`), so it is given the same network
behind the inverse of that normalization; its gradients are the same.
"""

from __future__ import annotations

import json
import platform
import sys
import time
import warnings
from importlib.metadata import version

import numpy as np
import torch
from torch import nn
from torch.nn import functional

CLASSES = 10


class Block(nn.Module):
    """ResNet-20's pair of convolutions beside a shortcut without parameters (option A)."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.stride, self.zeros = (1, 0) if width == channels else (2, width - channels)
        self.body = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1, stride=self.stride, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
        )
        self.activation = nn.ReLU()

    def forward(self, x):
        """Add the shortcut, thinned out and padded with zeros where the width grows."""
        shortcut = x
        if self.zeros:
            before = self.zeros // 2
            sides = (0, 0, 0, 0, before, self.zeros - before)
            shortcut = functional.pad(x[:, :, :: self.stride, :: self.stride], sides)
        return self.activation(shortcut + self.body(x))


def mlp(shape, width: int) -> nn.Module:
    """Return ours: one hidden layer."""
    pixels = int(np.prod(shape))
    return nn.Sequential(
        nn.Flatten(), nn.Linear(pixels, width), nn.ReLU(), nn.Linear(width, CLASSES)
    )


def lenet(shape, activation: type[nn.Module]) -> nn.Module:
    """Return ours: three convolutions of 12 channels and a linear layer."""
    layers, channels, side = [], shape[0], shape[1]
    for stride in (2, 2, 1):
        layers += [nn.Conv2d(channels, 12, 5, padding=2, stride=stride), activation()]
        channels, side = 12, -(-side // stride)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(12 * side * side, CLASSES))


def convnet(shape, width: int) -> nn.Module:
    """Return ours: three convolutions with batch normalization and a linear layer."""
    layers, channels, side = [], shape[0], shape[1]
    for stride, wider in ((1, width), (2, 2 * width), (2, 4 * width)):
        layers += [
            nn.Conv2d(channels, wider, 3, padding=1, stride=stride, bias=False),
            nn.BatchNorm2d(wider),
            nn.ReLU(),
        ]
        channels, side = wider, -(-side // stride)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * side * side, CLASSES))


def resnet20(shape) -> nn.Module:
    """Return ours: three stages of three blocks."""
    layers = [nn.Conv2d(shape[0], 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    channels = 16
    for width in (16, 32, 64):
        for _ in range(3):
            layers.append(Block(channels, width))
            channels = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, CLASSES))


NETS = {
    "mlp-128": lambda shape: mlp(shape, 128),
    "lenet-relu": lambda shape: lenet(shape, nn.ReLU),
    "lenet-sigmoid": lambda shape: lenet(shape, nn.Sigmoid),
    "convnet-16": lambda shape: convnet(shape, 16),
    "resnet-20": resnet20,
}


class Denormalized(nn.Module):
    """The network as a function of normalized inputs."""

    def __init__(self, net: nn.Module, mean, std) -> None:
        super().__init__()
        self.net = net
        self.register_buffer("mean", torch.tensor(mean)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(std)[:, None, None], persistent=False)

    def forward(self, x):
        """Undo the normalization first."""
        return self.net(x * self.std + self.mean)


class Metadata(dict):
    """What breaching wants to know of the data, by item and by attribute."""

    def __getattr__(self, key):
        try:
            return self[key]
        except KeyError as error:
            raise AttributeError(key) from error


def victim(request, job) -> nn.Module:
    """Return the network of a job, in the units in which the variant searches."""
    net = NETS[request["net"]](request["shape"])
    start = len("state/")
    state = {k[start:]: torch.from_numpy(v) for k, v in job.items() if k.startswith("state/")}
    net.load_state_dict(state)
    scale = request["scale"]
    raw = not any(scale["mean"]) and set(scale["std"]) == {1.0}
    return net if raw else Denormalized(net, scale["mean"], scale["std"])


def gradient(request, job) -> dict:
    """Write the gradient on given pixels, to be compared before the race."""
    model = victim(request, job).train()
    mean, std = (torch.tensor(request["scale"][k])[:, None, None] for k in ("mean", "std"))
    x, y = torch.from_numpy(job["inputs"]), torch.from_numpy(job["targets"])
    loss = functional.cross_entropy(model((x - mean) / std), y)
    found = torch.autograd.grad(loss, list(model.parameters()))
    np.savez(request["out"], **{str(i): g.numpy() for i, g in enumerate(found)})
    return {}


def attack(request, job) -> dict:
    """Run one attack of breaching and write its images, in pixels 0..1."""
    import breaching

    config = breaching.get_attack_config(request["attack"], overrides=request["overrides"])
    model = victim(request, job)
    parameters = [p.detach().clone() for p in model.parameters()]
    shared = [torch.from_numpy(job[f"gradient/{i}"]) for i in range(len(parameters))]
    metadata = Metadata(
        **request["scale"],
        shape=tuple(request["shape"]),
        classes=CLASSES,
        modality="vision",
        task="classification",
    )
    payload = [{"parameters": parameters, "buffers": None, "metadata": metadata}]
    known = {
        "num_data_points": request["batch_size"],
        "labels": None,
        "local_hyperparams": None,
    }
    updates = [{"gradients": shared, "buffers": None, "metadata": known}]
    setup = {"dtype": torch.float, "device": torch.device("cpu")}
    torch.manual_seed(request["seed"])
    start = time.process_time()
    attacker = breaching.attacks.prepare_attack(model, nn.CrossEntropyLoss(), config, setup)
    for prior in getattr(attacker, "regularizers", ()):
        one_channel(prior, request["shape"][0])
    found, _ = attacker.reconstruct(payload, updates, {}, dryrun=False)
    seconds = time.process_time() - start
    mean, std = (torch.tensor(request["scale"][k])[:, None, None] for k in ("mean", "std"))
    images = found["data"].detach().float() * std + mean
    np.savez(request["out"], images=images.numpy())
    return {"seconds": seconds, "labels": [int(y) for y in found["labels"].reshape(-1)]}


def one_channel(prior: nn.Module, channels: int) -> None:
    """Let breaching's total variation, made for three channels, take gray images."""
    if channels == 1 and getattr(prior, "groups", None) == 3:
        prior.groups = 1
        prior.weight = prior.weight[:2]


def versions() -> dict:
    """Return what runs here, once breaching could be imported."""
    import breaching  # noqa: F401

    names = ("breaching", "torch", "numpy", "hydra-core", "omegaconf")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}


def main() -> None:
    """Answer requests, a line each, until there are no more."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    answers, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if request["do"] == "versions":
                answer = versions()
            else:
                with np.load(request["job"]) as arrays:
                    job = dict(arrays)
                answer = {"gradient": gradient, "attack": attack}[request["do"]](request, job)
        except Exception as error:  # whatever the peer raises is an answer
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
