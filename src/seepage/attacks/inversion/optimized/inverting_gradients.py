"""Finds the batch whose gradient points the way that the observed one does.

Minimizes 1 - cos(grad L(x, y), g) + tv TV(x) over x by Adam on the sign of the gradient,
with x kept in the range of the data (Geiping et al. 2020, "Inverting Gradients", arXiv
2003.14053, eq. 4 and section 5). Labels are recovered first, from the last layer. The
cosine does not see the length of g, so that clipping is no hindrance. Under
sparsification a coordinate that was not sent is no zero: see `matching.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from ....core.claims import Reconstruction
from ....core.errors import UsageError
from ...attribute.labels import recover_labels
from ..observed import observed_batch_size, observed_gradient
from .convolutions import small_convolutions
from .matching import CosineMatch, cosine_match
from .total_variation import total_variation
from .victim import Victim, flat

if TYPE_CHECKING:
    from torch import Tensor

    from ....core.views import AggregateView, UpdateView

_MILESTONES = (3 / 8, 5 / 8, 7 / 8)


@dataclass(frozen=True, kw_only=True, slots=True)
class InvertingGradients:
    """Gradient inversion by cosine similarity and total variation.

    Fields
    ------
    steps : iterations a restart
    lr : step size of Adam, in units of the input; falls tenfold at 3/8, 5/8 and 7/8
    tv : weight of total variation (its sum over an image), for image-shaped inputs
    restarts : fresh starts; the one with the least objective is returned
    mask_aware : under sparsification, take the coordinates that were not sent for unknown
    """

    steps: int = 300
    lr: float = 0.1
    tv: float = 1e-6
    restarts: int = 1
    mask_aware: bool = True

    def __post_init__(self) -> None:
        for name in ("steps", "restarts"):
            if getattr(self, name) < 1:
                raise UsageError(
                    f"inverting-gradients: {name} is {getattr(self, name)}; use 1 or more"
                )

    def __call__(self, view: UpdateView | AggregateView, rng: torch.Generator) -> Reconstruction:
        """Return a batch as large as the observed one."""
        records = observed_batch_size(view) * view.job.local_steps
        gradient = observed_gradient(view)
        labels = recover_labels(view, records)
        victim = Victim(view, gradient)
        match = cosine_match(flat(gradient), view.defenses, mask_aware=self.mask_aware)
        starts = [_start(view, records, rng) for _ in range(self.restarts)]
        with small_convolutions(view.model, starts[0]):
            found = [self._descend(victim, x, labels, match, view.job.value_range) for x in starts]
        objective, inputs = min(found, key=lambda pair: pair[0])
        return Reconstruction(
            inputs=inputs,
            labels=labels,
            objective=objective,
            explanation=f"gradient cosine and prior: {objective:.4f}",
        )

    def _descend(
        self,
        victim: Victim,
        x: Tensor,
        labels: Tensor,
        match: CosineMatch,
        value_range: tuple[float, float] | None,
    ) -> tuple[float, Tensor]:
        images = x.ndim == 4 and self.tv > 0
        first, second = torch.zeros_like(x), torch.zeros_like(x)
        lr, drops = self.lr, {int(self.steps * m) for m in _MILESTONES}
        objective = torch.zeros(())
        x.requires_grad_(True)
        for step in range(1, self.steps + 1):
            objective = match.distance(victim.gradient(x, labels))
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
