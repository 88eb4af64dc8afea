"""Fits records to a linear layer's noisy gradient through their activation patterns.

A = D X + noise, where an input leaves D zero on the neurons that it turns off, and the
model says which those are. So alternate: pattern from X, D by least squares on the
pattern, X by least squares on D. Descents start from records that are already known,
and, where the attacker holds auxiliary data, from the auxiliary records that explain the
gradient best (orthogonal matching pursuit, Pati et al. 1993, with patterned atoms). The
start with the smallest residual wins: no truth is needed to choose.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from .first_layer import FirstLayer

_SETTLED = 1e-5


@dataclass(frozen=True, slots=True, eq=False)
class PatternFit:
    """Records as rows of X `[k, n]`, and the share of the gradient they leave over."""

    directions: Tensor
    residual: float


@dataclass(frozen=True, slots=True, eq=False)
class PatternProblem:
    """A gradient A `[m, n]`, its layer, and the public range of input values."""

    matrix: Tensor
    layer: FirstLayer
    value_range: tuple[float, float] | None

    def descend(self, start: Tensor, steps: int) -> PatternFit:
        """Alternate from `start` `[k, n]` until it settles, `steps` times at most."""
        x = self._inside(start)
        for _ in range(steps):
            d = self._columns(x, self.layer.active(x))
            gram = d.T @ d
            ridge = (1e-9 * gram.diagonal().mean() + 1e-300) * torch.eye(len(x), dtype=x.dtype)
            moved = self._inside(torch.linalg.solve(gram + ridge, d.T @ self.matrix))
            settled = float((moved - x).norm()) < _SETTLED * float(x.norm())
            x = moved
            if settled:
                break
        rest = self.matrix - self._columns(x, self.layer.active(x)) @ x
        return PatternFit(x, float(rest.norm() / self.matrix.norm().clamp_min(1e-300)))

    def pursue(
        self, known: Tensor, atoms: Tensor, count: int, jitter: float, rng: torch.Generator
    ) -> Tensor:
        """Return `known` `[j, n]` with atoms `[a, n]` added one by one until there are `count`.

        Each step takes the atom whose patterned row space explains most of what is left;
        `jitter` blurs that choice in log scale.
        """
        pattern = self.layer.active(atoms).to(atoms.dtype)
        size = atoms.square().sum(1)
        x = known
        for _ in range(count - len(known)):
            rest = self.matrix
            if len(x):
                rest = rest - self._columns(x, self.layer.active(x)) @ x
            score = ((rest @ atoms.T).square() * pattern.T).sum(0) / size
            blur = torch.randn(len(atoms), generator=rng, dtype=atoms.dtype)
            best = int((score.clamp_min(1e-300).log() + jitter * blur).argmax())
            x = torch.cat([x, atoms[best : best + 1]])
        return x

    def _columns(self, x: Tensor, on: Tensor) -> Tensor:
        """Return D `[m, k]` by least squares with zeros where `on` `[k, m]` is false."""
        mask = on.to(x.dtype).T
        gram = x @ x.T
        ridge = 1e-6 * gram.diagonal().mean() * torch.eye(len(x), dtype=x.dtype)
        normal = mask[:, :, None] * mask[:, None, :] * gram + ridge + torch.diag_embed(1 - mask)
        wanted = (self.matrix @ x.T) * mask
        return torch.linalg.solve(normal, wanted[:, :, None])[:, :, 0] * mask

    def _inside(self, x: Tensor) -> Tensor:
        return self.layer.directions(self.layer.records(x, self.value_range))
