"""Deep Leakage from Gradients: the batch whose gradient equals the observed one.

Minimizes ||grad L(x, y) - g||^2 over x by L-BFGS (Zhu, Liu & Han 2019, arXiv 1906.08935,
eq. 4) *with* a line search that meets the strong Wolfe conditions: without one the method
diverges on a third of its starts. Labels are recovered first (iDLG, Zhao et al. 2020,
arXiv 2001.02610); where they can't be, they are optimized along as soft labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from ....core.claims import Reconstruction
from ....core.errors import NotApplicableError, UsageError
from ...attribute.labels import recover_labels
from ..observed import observed_batch_size, observed_gradient
from .convolutions import small_convolutions
from .victim import Victim, flat

if TYPE_CHECKING:
    from torch import Tensor

    from ....core.views import AggregateView, UpdateView


@dataclass(frozen=True, kw_only=True, slots=True)
class DLG:
    """Gradient inversion by least squares.

    Fields
    ------
    steps : iterations of L-BFGS a restart, each with its line search
    restarts : fresh starts; the one with the least objective is returned
    history : pairs that L-BFGS keeps of the curvature
    """

    steps: int = 60
    restarts: int = 2
    history: int = 20

    def __post_init__(self) -> None:
        for name in ("steps", "restarts", "history"):
            if getattr(self, name) < 1:
                raise UsageError(f"dlg: {name} is {getattr(self, name)}; use 1 or more")

    def __call__(self, view: UpdateView | AggregateView, rng: torch.Generator) -> Reconstruction:
        """Return a batch as large as the observed one."""
        records = observed_batch_size(view) * view.job.local_steps
        gradient = observed_gradient(view)
        labels = _labels(view, records)
        victim = Victim(view, gradient)
        target = flat(gradient)
        target_scale = target.square().sum().clamp_min(1e-30)
        best: tuple[float, Tensor, Tensor] | None = None
        for _ in range(self.restarts):
            x = torch.randn((records, *view.job.input_shape), generator=rng)
            y = _soft(view, records, rng) if labels is None else labels
            with small_convolutions(view.model, x):
                objective = self._descend(victim, x, y, target, target_scale)
            if best is None or objective < best[0]:
                best = (objective, x.detach(), y.detach())
        if best is None or best[0] == float("inf"):
            raise NotApplicableError("no start led to a finite gradient distance")
        inputs = best[1] if view.job.value_range is None else best[1].clamp(*view.job.value_range)
        found = best[2].argmax(1) if best[2].ndim == 2 else best[2]
        return Reconstruction(
            inputs=inputs,
            labels=found,
            objective=best[0],
            explanation=f"relative gradient distance {best[0]:.2e}",
        )

    def _descend(
        self, victim: Victim, x: Tensor, y: Tensor, target: Tensor, scale: Tensor
    ) -> float:
        """Move `x` (and soft labels `y`) to a minimum; return the relative distance there."""
        soft = y.is_floating_point() and y.ndim == 2
        free = [x.requires_grad_(True)] + ([y.requires_grad_(True)] if soft else [])
        optimizer = torch.optim.LBFGS(
            free,
            max_iter=self.steps,
            history_size=self.history,
            line_search_fn="strong_wolfe",
            tolerance_change=1e-12,
        )

        def distance() -> Tensor:
            targets = y.softmax(1) if soft else y
            return (victim.gradient(x, targets) - target).square().sum() / scale

        def closure() -> Tensor:
            optimizer.zero_grad()
            value = distance()
            value.backward(inputs=free)
            return value

        optimizer.step(closure)
        value = float(distance().detach())
        return value if value == value else float("inf")


def _labels(view: UpdateView | AggregateView, records: int) -> Tensor | None:
    try:
        return recover_labels(view, records)
    except NotApplicableError:
        if not view.job.classes:
            raise
        return None


def _soft(view: UpdateView | AggregateView, records: int, rng: torch.Generator) -> Tensor:
    return torch.randn((records, view.job.classes), generator=rng)
