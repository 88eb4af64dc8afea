"""Inverts several local steps at once, by the gradient of a model on their way.

The update w_T - w_0 of a client that took T local steps is no gradient at w_0. But some
model between w_0 and w_T has a gradient, over all the records of the T steps together,
that points along it. So the surrogate w = w_0 + alpha (w_T - w_0) is searched along with
the records:

    D = 1 - cos(grad L(w; x, y), w_0 - w_T),  0 <= alpha <= 1

(Zhu, Yao & Blaschko 2023, "Surrogate Model Extension (SME): A Fast and Accurate Weight
Update Attack on Federated Learning", arXiv 2306.00127, section 4). It costs one gradient an
iteration, however many steps the client took, and needs no guess of which record was in
which of them. It gains where a client goes through its records several times. Where each
is used once, the model sent is near the best surrogate, since records are new to a model
that meets them. The paper descends on alpha; here alpha tries a step to either side every
few iterations (Hooke & Jeeves 1961), which needs no derivative through the weights. With
one local step alpha is 0, and what is left is Inverting Gradients, whose objective and
search these are.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from ....core.claims import Reconstruction
from ....core.errors import UsageError, require_least
from ....core.views import UpdateView
from ...attribute.labels import batch_labels
from ..observed import contributors, observed_batch_size, observed_gradient
from .search.data_ratio import data_ratio, judged
from .search.matching import cosine_match
from .search.signed_adam import SignedAdam
from .search.smooth_prior import SmoothPrior
from .search.starts import starts
from .search.victim import Victim, flat

if TYPE_CHECKING:
    from torch import Tensor

    from ....core.views import AggregateView, Update
    from .search.matching import CosineMatch

# Iterations between two looks to the sides, and the first and least distance that they go.
_EVERY = 20
_FIRST, _LEAST = 0.25, 1 / 32


@dataclass(frozen=True, kw_only=True, slots=True)
class SME:
    """Gradient inversion of FedAvg updates by a surrogate model.

    Fields
    ------
    steps : iterations a restart
    lr : step size of Adam, in units of the input; falls to a hundredth along a half cosine
    tv : weight of total variation (its sum over an image) beside the logarithm of the
        distance, for image-shaped inputs
    restarts : fresh starts; the one with the least objective is returned
    alpha : where the surrogate starts between the model sent (0) and returned (1)
    records : how many records the client holds; 0: at least as many as its steps use
    """

    steps: int = 300
    lr: float = 0.1
    tv: float = 4e-3
    restarts: int = 1
    alpha: float = 0.25
    records: int = 0

    def __post_init__(self) -> None:
        require_least("sme", self, steps=1, restarts=1, records=0)
        if not 0 <= self.alpha <= 1:
            raise UsageError(f"sme: alpha is {self.alpha}; use 0 to 1")

    def __call__(self, view: UpdateView | AggregateView, rng: torch.Generator) -> Reconstruction:
        """Return the records of all local steps, each once, over all contributors."""
        records = observed_batch_size(view) * view.job.local_steps
        if self.records:
            records = min(records, self.records * contributors(view))
        gradient = observed_gradient(view)
        labels = batch_labels(view, records)
        match = cosine_match(flat(gradient), view.defenses, mask_aware=True)
        search = SignedAdam(steps=self.steps, lr=self.lr, value_range=view.job.value_range)
        shape = (len(labels), *view.job.input_shape)
        found: list[tuple[float, _Surrogate, Tensor]] = []
        for start in starts(self.restarts, shape, view.job.value_range, rng).split(1):
            surrogate = _Surrogate(self, view, gradient, labels, match)
            x = search(surrogate.slopes, start)
            found.append((surrogate.objective(x), surrogate, x[0]))
        objective, surrogate, inputs = min(found, key=lambda one: one[0])
        distance = float(surrogate.distance(inputs[None]))
        ratio = data_ratio(match, inputs)
        return Reconstruction(
            inputs=inputs,
            labels=labels,
            objective=objective,
            solved=judged(distance, ratio),
            explanation=(
                f"cosine distance {distance:.2e} at alpha {surrogate.alpha:.2f} between the models "
                f"sent and returned, {ratio:.1f} known numbers for each unknown one"
            ),
        )


class _Surrogate:
    """The model on the way at `alpha`, and how far the gradient of a guess points astray."""

    def __init__(
        self,
        attack: SME,
        view: UpdateView | AggregateView,
        gradient: Update,
        labels: Tensor,
        match: CosineMatch,
    ) -> None:
        self._view, self._gradient, self._labels, self._match = view, gradient, labels, match
        self._prior = SmoothPrior(attack.tv)
        self._moves = view.job.local_steps > 1
        self.alpha = attack.alpha if self._moves else 0.0
        self._victim = self._at(self.alpha)
        self._reach, self._calls = _FIRST, 0

    def slopes(self, x: Tensor) -> tuple[Tensor, Tensor] | None:
        """Return slopes of the objective (but for a factor) and of D; None when all is done.

        Every few calls alpha moves to where the gradient of the guess `[1, n, *shape]`
        points best.
        """
        self._calls += 1
        if self._moves and self._calls % _EVERY == 0:
            self._look(x)
        distances, slopes, _ = self._victim.slope(x, self._labels, self._match)
        if bool((distances <= self._match.floor).all()):
            return None
        return self._prior.slopes(x, distances, slopes)

    def distance(self, x: Tensor, victim: Victim | None = None) -> Tensor:
        """Return the distance of a guess `[1, n, *shape]`, a scalar."""
        return self._match.distance((victim or self._victim).gradients(x, self._labels)[0])

    def objective(self, x: Tensor) -> float:
        """Return the distance of a guess `[1, n, *shape]` times what the prior makes of it."""
        return float(self._prior.objectives(x, self.distance(x)[None]))

    def _look(self, x: Tensor) -> None:
        here = float(self.distance(x))
        for alpha in (min(1.0, self.alpha + self._reach), max(0.0, self.alpha - self._reach)):
            victim = self._at(alpha)
            if float(self.distance(x, victim)) < here:
                self.alpha, self._victim = alpha, victim
                return
        self._reach = max(self._reach / 2, _LEAST)

    def _at(self, alpha: float) -> Victim:
        return Victim(between(self._view, alpha), self._gradient)


def between(view: UpdateView | AggregateView, alpha: float) -> UpdateView | AggregateView:
    """Return the view with a model that has gone the share `alpha` of the update."""
    update = view.update if isinstance(view, UpdateView) else view.aggregate
    model = deepcopy(view.model)
    with torch.no_grad():
        held = {**dict(model.named_parameters()), **dict(model.named_buffers())}
        for name, value in update.items():
            if name in held and held[name].is_floating_point():
                held[name].add_(value, alpha=alpha)
    return replace(view, model=model)
