"""Finds the batch whose gradient points the way that the observed one does.

Minimizes 1 - cos(grad L(x, y), g) + tv TV(x) over x by Adam on the sign of the gradient,
with x kept in the range of the data (Geiping et al. 2020, "Inverting Gradients", arXiv
2003.14053, eq. 4 and section 5). Labels are recovered first, from the last layer. The
cosine does not see the length of g, so that clipping is no hindrance. Under
sparsification only the coordinates that were sent are compared: the others are no zeros,
they are unknown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from ...core.claims import Reconstruction
from ..attribute.labels import recover_labels
from .convolutions import small_convolutions
from .observed import observed_batch_size, observed_gradient
from .total_variation import total_variation
from .victim import Victim, flat

if TYPE_CHECKING:
    from torch import Tensor

    from ...core.views import AggregateView, UpdateView

_MILESTONES = (3 / 8, 5 / 8, 7 / 8)
_SPARSE = 0.2


@dataclass(frozen=True, kw_only=True, slots=True)
class InvertingGradients:
    """Gradient inversion by cosine similarity and total variation.

    Fields
    ------
    steps : iterations a restart
    lr : step size of Adam, in units of the input; falls tenfold at 3/8, 5/8 and 7/8
    tv : weight of total variation (its sum over an image), for image-shaped inputs
    restarts : fresh starts; the one with the least objective is returned
    mask_aware : compare only the coordinates that a sparsified update holds
    """

    steps: int = 300
    lr: float = 0.1
    tv: float = 1e-6
    restarts: int = 1
    mask_aware: bool = True

    def __call__(self, view: UpdateView | AggregateView, rng: torch.Generator) -> Reconstruction:
        """Return a batch as large as the observed one."""
        records = observed_batch_size(view) * view.job.local_steps
        gradient = observed_gradient(view)
        labels = recover_labels(view, records)
        victim = Victim(view, gradient)
        target = flat(gradient)
        mask = self._mask(view, target)
        best: tuple[float, Tensor] | None = None
        for _ in range(self.restarts):
            start = _start(view, records, rng)
            with small_convolutions(view.model, start):
                found = self._descend(victim, start, labels, target, mask, view.job.value_range)
            if best is None or found[0] < best[0]:
                best = found
        if best is None:
            raise ValueError("restarts must be at least 1")
        return Reconstruction(
            inputs=best[1],
            targets=labels,
            objective=best[0],
            note=f"gradient cosine and prior: {best[0]:.4f}",
        )

    def _mask(self, view: UpdateView | AggregateView, target: Tensor) -> Tensor | None:
        """Return the indices of the coordinates that were sent, None where all were."""
        sent = target != 0
        sparsified = any(d.name == "top-k" for d in view.defenses)
        if not self.mask_aware or not (sparsified or float((~sent).float().mean()) > _SPARSE):
            return None
        return sent.nonzero().flatten()

    def _descend(
        self,
        victim: Victim,
        x: Tensor,
        labels: Tensor,
        target: Tensor,
        mask: Tensor | None,
        value_range: tuple[float, float] | None,
    ) -> tuple[float, Tensor]:
        goal = target if mask is None else target[mask]
        goal = goal / goal.norm().clamp_min(1e-30)
        images = x.ndim == 4 and self.tv > 0
        first, second = torch.zeros_like(x), torch.zeros_like(x)
        lr, drops = self.lr, {int(self.steps * m) for m in _MILESTONES}
        objective = torch.zeros(())
        x.requires_grad_(True)
        for step in range(1, self.steps + 1):
            found = victim.gradient(x, labels)
            found = found if mask is None else found[mask]
            objective = 1 - found @ goal / found.norm().clamp_min(1e-30)
            if images:
                objective = objective + self.tv * total_variation(x)
            (slope,) = torch.autograd.grad(objective, x)
            with torch.no_grad():
                slope.sign_()
                first.mul_(0.9).add_(slope, alpha=0.1)
                second.mul_(0.999).addcmul_(slope, slope, value=0.001)
                scale = (second / (1 - 0.999**step)).sqrt_().add_(1e-8)
                x.addcdiv_(first, scale, value=-lr / (1 - 0.9**step))
                if value_range is not None:
                    x.clamp_(*value_range)
            if step in drops:
                lr *= 0.1
        return float(objective.detach()), x.detach()


def _start(view: UpdateView | AggregateView, records: int, rng: torch.Generator) -> Tensor:
    shape = (records, *view.job.input_shape)
    if view.job.value_range is None:
        return torch.randn(shape, generator=rng)
    low, high = view.job.value_range
    return low + (high - low) * torch.rand(shape, generator=rng)
