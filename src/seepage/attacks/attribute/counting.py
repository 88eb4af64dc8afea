"""How many records of each class are behind a sum of their logit gradients.

A record of class k adds a vector to the sum whose distribution the attacker knows from
records of its own: mean `means[k]`, covariance `spread`. So the sum t over a batch with
counts n is about Gaussian, and with class frequencies f a priori the counts minimize

    (t - n @ means) (size spread)^-1 (t - n @ means) / 2 + sum_k log(n_k!) - n_k log f_k

over whole numbers that add up to the batch size. The search starts at the linear
estimate of n with least mean squared error and moves one record from class to class.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

# Share of the mean variance added to each: the spread comes from a finite sample.
_RIDGE = 1e-3
# Variance a record of what float32 rounds off an update.
_ROUNDING = 1e-8


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ClassGradients:
    """What a record of each class adds to the gradient of the logits.

    Fields
    ------
    means : mean of each class, `[classes, classes]`
    spread : covariance within classes, pooled over them, `[classes, classes]`
    frequency : share of each class in the population, `[classes]`, above 0
    """

    means: Tensor
    spread: Tensor
    frequency: Tensor

    @classmethod
    def of(cls, gradients: Tensor, targets: Tensor, frequency: Tensor) -> ClassGradients:
        """Estimate from logit gradients `[n, classes]` of records of every class."""
        gradients = gradients.double()
        one_hot = torch.nn.functional.one_hot(targets, gradients.shape[1]).double()
        means = (one_hot.T @ gradients) / one_hot.sum(0)[:, None]
        rest = gradients - means[targets]
        return cls(means=means, spread=rest.T @ rest / len(rest), frequency=frequency.double())

    def counts(
        self, total: Tensor, size: int, least: Tensor, error: Tensor | None = None
    ) -> Tensor:
        """Return the likeliest counts int64 `[classes]` of `size` records whose sum is `total`.

        No count is below `least` (int64 `[classes]`, with a sum of `size` at most). `error` is
        the variance with which each value of `total` is known, `[classes]`; None: exactly.
        """
        noise = size * self.spread
        noise = noise + _eye(noise) * (_RIDGE * noise.diagonal().mean() + _ROUNDING * size)
        if error is not None:
            noise = noise + torch.diag(error.double())
        start = self._linear_estimate(total.double(), size, noise)
        return self._search(whole_counts(start, size, least), total.double(), noise, least)

    def _linear_estimate(self, total: Tensor, size: int, noise: Tensor) -> Tensor:
        f = self.frequency
        prior = size * (torch.diag(f) - f[:, None] * f)
        joint = self.means.T @ prior @ self.means + noise
        gain = torch.linalg.solve(joint, self.means.T @ prior).T
        return size * f + gain @ (total - size * f @ self.means)

    def _search(self, counts: Tensor, total: Tensor, noise: Tensor, least: Tensor) -> Tensor:
        """Move one record from class to class while that lowers the objective."""
        weighted = torch.linalg.solve(noise, self.means.T)
        gram = self.means @ weighted
        distance = (gram.diagonal()[:, None] + gram.diagonal() - 2 * gram) / 2
        n = counts.double()
        for _ in range(4 * int(counts.sum()) + 4):
            pull = (total - n @ self.means) @ weighted
            add = (n + 1).log() - self.frequency.log() - pull
            drop = n.log() - self.frequency.log() - pull
            change = distance + add - drop[:, None]
            change[n <= least] = torch.inf
            change.fill_diagonal_(torch.inf)
            best = int(change.argmin())
            if not float(change.flatten()[best]) < -1e-9:
                break
            n[best // len(n)] -= 1
            n[best % len(n)] += 1
        return n.long()


def whole_counts(estimate: Tensor, size: int, least: Tensor) -> Tensor:
    """Return whole numbers near `estimate` `[classes]` with sum `size`, none below `least`.

    The estimate is projected on the simplex, then rounded by largest remainders.

    >>> whole_counts(torch.tensor([2.6, 1.5, -0.1]), 4, torch.zeros(3, dtype=torch.int64))
    tensor([3, 1, 0])
    """
    free = size - int(least.sum())
    above = estimate - least
    ordered = above.sort(descending=True).values
    shifts = (ordered.cumsum(0) - free) / torch.arange(1, len(above) + 1)
    shift = shifts[max(int((ordered > shifts).sum()) - 1, 0)]
    above = (above - shift).clamp_min(0)
    counts = above.floor()
    missing = free - int(counts.sum())
    counts[(above - counts).topk(max(missing, 0)).indices] += 1
    return counts.long() + least


def _eye(like: Tensor) -> Tensor:
    return torch.eye(len(like), dtype=like.dtype)
