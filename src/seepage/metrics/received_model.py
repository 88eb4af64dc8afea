"""What a client could notice in a model that it was sent, before it answers.

Each function reads only what the client has: the model that it had before, the one that it
got, and its own batch. An honest model gives the scale for each figure.
"""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

_PARALLEL = 0.999


def parameter_distance(sent: nn.Module, before: nn.Module) -> float:
    """Return the L2 distance of two models' parameters, relative to the norm of `before`.

    Infinite where names or shapes differ: another architecture was sent.

    >>> a = nn.Linear(2, 1)
    >>> parameter_distance(a, a), parameter_distance(nn.Linear(3, 1), a)
    (0.0, inf)
    """
    new, old = dict(sent.named_parameters()), dict(before.named_parameters())
    if {n: p.shape for n, p in new.items()} != {n: p.shape for n, p in old.items()}:
        return float("inf")
    moved = sum(float((new[n] - old[n]).detach().double().square().sum()) for n in old)
    size = sum(float(p.detach().double().square().sum()) for p in old.values())
    return (moved / max(size, 1e-300)) ** 0.5


def d_snr(
    model: nn.Module, loss: Callable[[Tensor, Tensor], Tensor], inputs: Tensor, targets: Tensor
) -> float:
    """Return the disaggregation signal-to-noise ratio of a batch `[b, *shape]`.

    The largest share that one record has in the gradient of a weight matrix or kernel:
    max over layers of max_i ||g_i|| / (sum_j ||g_j|| - max_i ||g_i||) (Garov, Dimitrov,
    Jovanovic & Vechev 2024, arXiv 2306.03013, eq. 5). Infinite where one record alone has
    a gradient; an honest batch of b alike records gives 1 / (b - 1).
    """
    if len(targets) < 2:
        return float("inf")
    copy = deepcopy(model).eval()
    weights = [p.requires_grad_(True) for p in copy.parameters() if p.ndim > 1]
    norms: list[Tensor] = []
    for x, y in zip(inputs.split(1), targets.split(1), strict=True):
        parts = torch.autograd.grad(loss(copy(x), y), weights, materialize_grads=True)
        norms.append(torch.stack([g.norm() for g in parts]))
    by_layer = torch.stack(norms).double()
    most = by_layer.amax(0)
    rest = by_layer.sum(0) - most
    ratio = torch.where(most > 0, most / rest, torch.zeros_like(most))
    return float(ratio.max())


def parallel_rows(model: nn.Module) -> float:
    """Return the largest share of a linear layer's rows that lie along one direction, 0..1.

    An imprint measures the same thing in every row, with another threshold in each (Fowl
    et al. 2022, arXiv 2110.13057); trained rows of 32 inputs or more hardly ever agree.

    >>> layer = nn.Linear(32, 4)
    >>> with torch.no_grad():
    ...     _ = layer.weight.copy_(torch.ones(4, 32))
    >>> parallel_rows(layer)
    1.0
    """
    shares = [0.0]
    for layer in model.modules():
        if isinstance(layer, nn.Linear) and min(layer.weight.shape) > 2:
            rows = nn.functional.normalize(layer.weight.detach().double(), dim=1)
            alike = (rows @ rows.T).abs() > _PARALLEL
            most = int(alike.sum(1).max())
            shares.append(most / len(rows) if most > 1 else 0.0)
    return max(shares)


def silent_neurons(model: nn.Module, inputs: Tensor) -> float:
    """Return the largest share of a ReLU layer's units that no record of `inputs` turns on.

    A layer that is silent altogether lets no gradient through: the model of a client whose
    update is to vanish from a sum. NaN where the model has no ReLU module.
    """
    shares: list[float] = []

    def look(_: nn.Module, __: tuple[Tensor, ...], output: Tensor) -> None:
        """Note the share of units that the batch leaves silent."""
        shares.append(float((output <= 0).flatten(1).all(0).double().mean()))

    copy = deepcopy(model).eval()
    for layer in copy.modules():
        if isinstance(layer, nn.ReLU):
            layer.register_forward_hook(look)
    with torch.no_grad():
        copy(inputs)
    return max(shares, default=float("nan"))
