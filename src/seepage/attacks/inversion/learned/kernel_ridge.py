"""Ridge regression in the feature space of a polynomial kernel, in closed form.

It stands for the network that is trained by gradient descent: f(z) = mean + sum_i a_i
k(z, z_i) with k(z, z') = ((1 + z . z') / 2)^degree on features of length 1, and a the
solution of (K + ridge I) a = y - mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

_RIDGES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)


@dataclass(frozen=True, slots=True, eq=False)
class KernelRidge:
    """A fitted regression from features `[n, r]` to targets `[n, t]`."""

    anchors: Tensor
    weights: Tensor
    mean: Tensor
    degree: int

    @classmethod
    def of(
        cls, features: Tensor, targets: Tensor, mean: Tensor, *, ridge: float, degree: int
    ) -> KernelRidge:
        """Fit to features `[n, r]` of length 1 and targets `[n, t]`, around `mean` `[t]`."""
        gram = _kernel(features, features, degree).double()
        gram.diagonal().add_(ridge)
        factor = torch.linalg.cholesky(gram)
        weights = torch.cholesky_solve((targets - mean).double(), factor)
        return cls(features, weights.to(targets.dtype), mean, degree)

    def __call__(self, features: Tensor) -> Tensor:
        """Return predictions `[n, t]` for features `[n, r]`."""
        return self.mean + _kernel(features, self.anchors, self.degree) @ self.weights


def chosen_ridge(
    fitted: tuple[Tensor, Tensor], held: tuple[Tensor, Tensor], mean: Tensor, degree: int
) -> tuple[float, Tensor]:
    """Return the ridge that errs least on held-out pairs, and its predictions for them.

    Both pairs are features and targets; the regression sees the first one only.
    """
    best: tuple[float, float, Tensor] | None = None
    for ridge in _RIDGES:
        model = KernelRidge.of(*fitted, mean, ridge=ridge, degree=degree)
        predicted = model(held[0])
        error = float((predicted - held[1]).square().mean())
        if best is not None and error >= best[0]:
            break
        best = (error, ridge, predicted)
    assert best is not None
    return best[1], best[2]


def _kernel(a: Tensor, b: Tensor, degree: int) -> Tensor:
    return ((1 + a @ b.T) / 2).pow(degree)
