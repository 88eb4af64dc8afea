"""Finds the batch whose gradient points the way that the observed one does.

Minimizes D = 1 - cos(grad L(x, y), g) and TV(x) by Adam on the sign of the slope
(`signed_adam.py`), with x kept in the range of the data (Geiping et al. 2020, "Inverting
Gradients", arXiv 2003.14053, eq. 4 and section 5). The objective is log D + tv TV(x) instead
of their D + tv TV(x): with an error of unknown size in the gradient, its likelihood is a
power of D. So the prior counts as much at the end as at the start, and gives way where D
falls to 0. The search starts at gray, as nothing removes the noise of a start where the
gradient does not see it. Labels are recovered first, from the last layer. The cosine does
not see the length of g, so that clipping is no hindrance. For what is known of
sparsification and of noise see `matching.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from ....core.claims import Reconstruction
from ....core.errors import require_least
from ...attribute.labels import batch_labels
from ..observed import observed_batch_size, observed_gradient
from .search.data_ratio import EXPLAINED, data_ratio, judged
from .search.known_noise import known_noise
from .search.matching import GaussianMatch, cosine_match
from .search.signed_adam import SignedAdam
from .search.smooth_prior import SmoothPrior
from .search.starts import starts
from .search.victim import Slopes, Victim, flat

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from ....core.views import AggregateView, Update, UpdateView
    from .search.matching import CosineMatch


@dataclass(frozen=True, kw_only=True, slots=True)
class InvertingGradients:
    """Gradient inversion by cosine similarity and total variation.

    Fields
    ------
    steps : iterations a restart
    lr : step size of Adam, in units of the input; falls to a hundredth along a half cosine
    tv : weight of total variation (its sum over an image, a mean over channels) beside the
        logarithm of the distance, for image-shaped inputs
    restarts : fresh starts; the one with the least objective is returned
    mask_aware : under sparsification, take the coordinates that were not sent for unknown
    noise_aware : under noise of known size, weigh coordinates by it and do not fit it
    """

    steps: int = 300
    lr: float = 0.1
    tv: float = 4e-3
    restarts: int = 1
    mask_aware: bool = True
    noise_aware: bool = True

    def __post_init__(self) -> None:
        require_least("inverting-gradients", self, steps=1, restarts=1)

    def __call__(self, view: UpdateView | AggregateView, rng: torch.Generator) -> Reconstruction:
        """Return a batch as large as the observed one."""
        gradient = observed_gradient(view)
        noise = known_noise(view, gradient) if self.noise_aware else None
        return self.invert(view, Victim(view, gradient), gradient, noise, rng)

    def invert(
        self,
        view: UpdateView | AggregateView,
        victim: Slopes,
        gradient: Update,
        noise: Mapping[str, float | Tensor] | None,
        rng: torch.Generator,
    ) -> Reconstruction:
        """Return the batch whose gradient, as `victim` has it, is nearest to `gradient`.

        `noise` is the standard deviation of each parameter's coordinates, where it is known.
        """
        labels = batch_labels(view, observed_batch_size(view) * view.job.local_steps)
        match = cosine_match(flat(gradient), view.defenses, mask_aware=self.mask_aware)
        noise = noise if match.sent is None else None
        search = _Search(
            victim, labels, match if noise is None else GaussianMatch.of(gradient, noise), self.tv
        )
        shape = (len(labels), *view.job.input_shape)
        descent = SignedAdam(steps=self.steps, lr=self.lr, value_range=view.job.value_range)
        found = descent(search.slopes, starts(self.restarts, shape, view.job.value_range, rng))
        objectives, distances = search.objectives(found)
        best = int(objectives.argmin())
        return self._claim(found[best], labels, float(objectives[best]), float(distances[best]),
                           search, match)  # fmt: skip

    def _claim(
        self,
        inputs: Tensor,
        labels: Tensor,
        objective: float,
        distance: float,
        search: _Search,
        match: CosineMatch,
    ) -> Reconstruction:
        ratio = data_ratio(match, inputs)
        if isinstance(search.match, GaussianMatch):
            solved = False
            text = (
                f"the misfit is {search.match.misfit(distance):.3f} of what the known noise makes "
                "(1: explained); under noise no fit is proof"
            )
        else:
            solved = judged(distance, ratio)
            text = (
                f"cosine distance {distance:.2e} (below {EXPLAINED:.0e} a batch explains the "
                f"update), {ratio:.1f} known numbers for each unknown one"
            )
        return Reconstruction(
            inputs=inputs, labels=labels, objective=objective, solved=solved, explanation=text
        )


class _Search:
    """The objective D exp(tv TV), which is ordered as log D + tv TV, and its slope."""

    def __init__(
        self, victim: Slopes, labels: Tensor, match: CosineMatch | GaussianMatch, tv: float
    ) -> None:
        self.match = match
        self._victim, self._labels, self._prior = victim, labels, SmoothPrior(tv)

    def slopes(self, x: Tensor) -> tuple[Tensor, Tensor] | None:
        """Return slopes of the objective (but for factors) and of D; None when all is done."""
        distances, slopes, _ = self._victim.slope(x, self._labels, self.match)
        if bool((distances <= self.match.floor).all()):
            return None
        return self._prior.slopes(x, distances, slopes)

    def objectives(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return objectives and distances of restarts `[r, n, *shape]`, `[r]` each."""
        distances, _, _ = self._victim.slope(x, self._labels, self.match)
        return self._prior.objectives(x, distances), distances
