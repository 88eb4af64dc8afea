"""Deep Leakage from Gradients: the batch whose gradient equals the observed one.

Minimizes ||grad L(x, y) - g||^2 / ||g||^2 over x (Zhu, Liu & Han 2019, arXiv 1906.08935,
eq. 4) by L-BFGS (`quasi_newton.py`) *with* a line search: without one the method diverges
on a third of its starts. It starts at gray: from Gaussian noise, as in the paper, larger
images are not found. Labels are recovered first (iDLG, Zhao et al. 2020, arXiv 2001.02610);
where they can't be, they are optimized along as soft labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from ....core.claims import Reconstruction
from ....core.errors import NotApplicableError, require_least
from ...attribute.labels import batch_labels
from ..observed import observed_batch_size, observed_gradient
from .search.data_ratio import data_ratio
from .search.matching import SquaredMatch, cosine_match
from .search.quasi_newton import QuasiNewton
from .search.starts import starts
from .search.victim import Victim, flat

if TYPE_CHECKING:
    from torch import Tensor

    from ....core.views import AggregateView, UpdateView

SOLVED = 1e-6
"""Relative squared distance at which a batch is taken for the right one."""
_EXACT = 1e-9
_FIRST = 0.05


@dataclass(frozen=True, kw_only=True, slots=True)
class DLG:
    """Gradient inversion by least squares.

    Fields
    ------
    steps : most evaluations of the gradient by L-BFGS a restart
    restarts : most fresh starts; the one with the least objective is returned, and none
        follows one that is solved
    history : pairs that L-BFGS keeps of the curvature
    """

    steps: int = 1000
    restarts: int = 2
    history: int = 100

    def __post_init__(self) -> None:
        require_least("dlg", self, steps=1, restarts=1, history=1)

    def __call__(self, view: UpdateView | AggregateView, rng: torch.Generator) -> Reconstruction:
        """Return a batch as large as the observed one."""
        records = observed_batch_size(view) * view.job.local_steps
        gradient = observed_gradient(view)
        labels = _labels(view, records)
        search = _Search(Victim(view, gradient), SquaredMatch(flat(gradient)))
        size = records if labels is None else len(labels)
        guesses = starts(self.restarts, (size, *view.job.input_shape), view.job.value_range, rng)
        best: tuple[float, Tensor, Tensor] | None = None
        for x in guesses:
            y = _soft(view, size, rng) if labels is None else labels
            found = self._descend(search, x, y)
            if best is None or found[0] < best[0]:
                best = found
            if best[0] <= SOLVED:
                break
        if best is None or best[0] == float("inf"):
            raise NotApplicableError("no start led to a finite gradient distance")
        distance, inputs, targets = best
        if view.job.value_range is not None:
            inputs = inputs.clamp(*view.job.value_range)
        match = cosine_match(flat(gradient), (), mask_aware=False)
        ratio = data_ratio(match, inputs)
        return Reconstruction(
            inputs=inputs,
            labels=targets.argmax(1) if targets.is_floating_point() else targets,
            objective=distance,
            solved=distance <= SOLVED and ratio > 1,
            explanation=(
                f"relative squared gradient distance {distance:.2e} ({SOLVED:.0e} or below means "
                f"the batch), {ratio:.1f} known numbers for each unknown one"
            ),
        )

    def _descend(self, search: _Search, x: Tensor, y: Tensor) -> tuple[float, Tensor, Tensor]:
        """Return the relative distance at a minimum, and inputs and (soft) labels there."""
        descent = QuasiNewton(steps=self.steps, history=self.history, first=_FIRST, floor=_EXACT)
        soft = y.is_floating_point()
        start = torch.cat([x.flatten(), y.flatten()]) if soft else x.flatten()
        found, values = descent(lambda point: search.evaluate(point, x.shape, y), start[None])
        inputs = found[0, : x.numel()].view(x.shape)
        targets = found[0, x.numel() :].view(y.shape).softmax(1) if soft else y
        distance = float(values[0])
        return distance if distance == distance else float("inf"), inputs, targets


class _Search:
    """The relative distance and its slope at a point: inputs, and logits of soft labels."""

    def __init__(self, victim: Victim, match: SquaredMatch) -> None:
        self._victim, self._match = victim, match

    def evaluate(self, point: Tensor, shape: torch.Size, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return the distance `[1]` and its slope at a point `[1, n]`.

        `y` are hard labels, or has the shape of the soft ones that follow the inputs.
        """
        size = shape.numel()
        x = point[:, :size].view(1, *shape)
        soft = y.is_floating_point()
        targets = point[:, size:].view(1, *y.shape).softmax(2) if soft else y
        distance, slope, at_targets = self._victim.slope(x, targets, self._match)
        if at_targets is None:
            return distance, slope.flatten(1)
        pull = targets * (at_targets - (targets * at_targets).sum(2, keepdim=True))
        return distance, torch.cat([slope.flatten(1), pull.flatten(1)], 1)


def _labels(view: UpdateView | AggregateView, records: int) -> Tensor | None:
    try:
        return batch_labels(view, records)
    except NotApplicableError:
        if not view.job.classes:
            raise
        return None


def _soft(view: UpdateView | AggregateView, records: int, rng: torch.Generator) -> Tensor:
    return torch.randn((records, view.job.classes), generator=rng)
