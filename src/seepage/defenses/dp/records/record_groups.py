"""Which parameters are clipped together, and how long a record's gradient may be in each group.

Flat clipping has one group of norm C. Per-layer clipping has one for each layer, with norms
C_l so that sum C_l^2 = C^2: a whole gradient is then at most C long too (McMahan et al. 2018,
arXiv 1812.06210, section 3.2).
"""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt
from typing import TYPE_CHECKING

import torch

from ....core.errors import RefusedError

if TYPE_CHECKING:
    from torch import Tensor

Groups = Mapping[tuple[str, ...], float]
"""Names of the parameters that are clipped together -> the norm that they are clipped to."""

SPLITS = ("dimension", "equal")
# Clipping this much shorter keeps rounding in the norm from letting a gradient exceed it.
_SLACK = 1e-5


def flat(sizes: Mapping[str, int], max_norm: float) -> Groups:
    """Return all parameters as one group; `sizes` has the number of values of each by name."""
    return {tuple(sizes): max_norm}


def by_layer(sizes: Mapping[str, int], max_norm: float, split: str) -> Groups:
    """Return a group for each layer, its share of `max_norm`^2 by `split` (one of `SPLITS`).

    >>> by_layer({"0.weight": 8, "0.bias": 1, "1.weight": 16}, 5.0, "dimension")
    {('0.weight', '0.bias'): 3.0, ('1.weight',): 4.0}
    """
    layers: dict[str, list[str]] = {}
    for name in sizes:
        layers.setdefault(name.rpartition(".")[0], []).append(name)
    weights = [
        sum(sizes[name] for name in names) if split == "dimension" else 1
        for names in layers.values()
    ]
    return {
        tuple(names): max_norm * sqrt(weight / sum(weights))
        for names, weight in zip(layers.values(), weights, strict=True)
    }


def clipping_scale(lengths: Tensor, max_norm: float) -> Tensor:
    """Return the factor for each gradient of length `lengths`, `[batch]`, at most 1."""
    if not bool(torch.isfinite(lengths).all()):
        raise RefusedError(
            "clipping by record: the gradient of a record is NaN or infinite, so nothing is "
            "released; lower the learning rate or check the data"
        )
    return (max_norm * (1 - _SLACK) / lengths.clamp(min=torch.finfo(lengths.dtype).tiny)).clamp(
        max=1
    )
