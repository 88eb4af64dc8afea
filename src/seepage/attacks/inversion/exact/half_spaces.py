"""Which zero patterns of a gradient's columns a record explains, under a ReLU.

A record a (in coordinates of the gradient's row space) switches neuron j on where
p_j^T a > 0, p_j being the neuron's weights and bias in the same coordinates. So the
non-zero rows of its column lie in one half-space. Cover (1965) counts such patterns:
m points in r dimensions have few of 2^m, so with m well above 2 r a pattern that a
half-space explains is a record's, and a mixture of columns fails. This is SPEAR's check
of ReLU consistency (Dimitrov et al. 2024, arXiv 2403.03945) for one column alone, before
the others are known.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import normalize

if TYPE_CHECKING:
    from torch import Tensor

_STEPS, _RIDGE = 14, 1e-5


@dataclass(frozen=True, slots=True, eq=False)
class HalfSpaces:
    """Neurons p_j as rows `[m, r]`, at unit length (0 stays 0)."""

    planes: Tensor

    def separate(self, on: Tensor) -> tuple[Tensor, Tensor]:
        """Return the records a `[s, r]` that best explain `on` `[s, m]`, and what share they miss.

        Logistic regression with a small ridge, by Newton's method.
        """
        planes, rank = self.planes, self.planes.shape[1]
        sign = on.to(planes.dtype) * 2 - 1
        outer = (planes[:, :, None] * planes[:, None, :]).flatten(1)
        ridge = _RIDGE * torch.eye(rank, dtype=planes.dtype)
        a = torch.zeros_like(sign @ planes)
        for _ in range(_STEPS):
            miss = torch.sigmoid(-(a @ planes.T) * sign)
            slope = (miss * sign) @ planes - _RIDGE * a
            curve = ((miss * (1 - miss)) @ outer).view(-1, rank, rank) + ridge
            a = a + torch.linalg.solve(curve, slope[:, :, None])[:, :, 0]
        return normalize(a, dim=1), (self.on(a) != on).to(planes.dtype).mean(dim=1)

    def on(self, records: Tensor) -> Tensor:
        """Return which neurons records `[s, r]` switch on, `[s, m]` bool."""
        return records @ self.planes.T > 0

    def usually_on(self, rows: Tensor, scale: Tensor | None) -> Tensor:
        """Return how often each neuron is on, `[m]` in [0, 1], from rows `[k, r]` of the gradient.

        Each row, brought to the scale of a record (`scale` `[r]` gives a record's constant
        1), is a mixture of records whose weights add up to 1: mixtures spread wider than
        records do, but about the same center. Without a scale nothing is known: 1/2.
        """
        half = torch.full_like(self.planes[:, 0], 0.5)
        if scale is None:
            return half
        constant = rows @ scale
        clear = constant.abs() > 0.02 * rows.norm(dim=1) * scale.norm()
        if not bool(clear.any()):
            return half
        return self.on(rows[clear] / constant[clear, None]).to(rows.dtype).mean(dim=0)
