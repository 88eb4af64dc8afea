"""See through Gradients: gradient matching with batch statistics and several starts at once.

Minimizes over each of several starts x (Yin et al. 2021, arXiv 2104.07586, eqs. 2 to 10)

    log(D(grad L(x, y), g) + statistics S(x)) + tv TV(x) + l2 |x|^2 + consistency |x - c|^2

with mean squares for |.|^2. D is the cosine distance, which does not see clipping, where
the paper takes squares; S compares the mean and variance that x has in each batch
normalization with those of the client's batch, which its buffers give away
(`batch_statistics.py`). D jumps wherever a ReLU turns, and in a deep net is flat but next
to the batch; S changes slowly, and leads there. The logarithm keeps the weight of the
priors, as in `inverting_gradients.py`. c is the mean of the starts, laid over each other by
translation (`registration.py`; the paper: by optical flow) in the second half of the
search, when they show something. The start with the least objective, c aside, is claimed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from ....core.claims import Reconstruction
from ....core.errors import require_least
from ...attribute.labels import batch_labels
from ..observed import observed_batch_size, observed_gradient
from .search.batch_statistics import StatisticsDistance, batch_statistics
from .search.data_ratio import data_ratio, judged
from .search.matching import cosine_match
from .search.registration import consensus
from .search.signed_adam import SignedAdam
from .search.smooth_prior import SmoothPrior
from .search.starts import starts
from .search.victim import Victim, flat

if TYPE_CHECKING:
    from torch import Tensor

    from ....core.views import AggregateView, UpdateView
    from .search.matching import CosineMatch

# What float32 leaves of the distances at the batch itself.
_ROUNDING = 1e-7
_BETWEEN_MEANS = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class GradInversion:
    """Gradient inversion with batch statistics and consistency of several starts.

    Fields
    ------
    steps : iterations of each start
    lr : step size of Adam, in units of the input; falls to a hundredth along a half cosine
    tv : weight of total variation (its sum over an image, a mean over channels), for images
    l2 : weight of the mean square of an input
    statistics : weight of the distance of batch statistics beside that of the gradient
    consistency : weight of the mean squared distance from the mean of all starts
    restarts : starts that are searched from together; time is better spent on the steps of
        one, so that consistency is for those who have time left
    """

    steps: int = 250
    lr: float = 0.1
    tv: float = 1.2e-2
    l2: float = 1e-3
    statistics: float = 0.5
    consistency: float = 1.0
    restarts: int = 1

    def __post_init__(self) -> None:
        require_least("grad-inversion", self, steps=1, restarts=1)

    def __call__(self, view: UpdateView | AggregateView, rng: torch.Generator) -> Reconstruction:
        """Return a batch as large as the observed one."""
        records = observed_batch_size(view) * view.job.local_steps
        labels = batch_labels(view, records)
        search = _Search(self, view, labels)
        shape = (len(labels), *view.job.input_shape)
        descent = SignedAdam(steps=self.steps, lr=self.lr, value_range=view.job.value_range)
        found = descent(search.slopes, starts(self.restarts, shape, view.job.value_range, rng))
        objectives, distances = search.objectives(found)
        best = int(objectives.argmin())
        distance, ratio = float(distances[best]), data_ratio(search.match, found[best])
        source = search.known.source if search.known else "none known"
        return Reconstruction(
            inputs=found[best],
            labels=labels,
            objective=float(objectives[best]),
            solved=judged(distance, ratio),
            explanation=f"gradient cosine distance {distance:.2e}, {ratio:.1f} known numbers for "
            f"each unknown one; batch statistics: {source}",
        )


class _Search:
    """The objective and its slope, with the mean of the starts once half the steps are done."""

    def __init__(
        self, attack: GradInversion, view: UpdateView | AggregateView, labels: Tensor
    ) -> None:
        gradient = observed_gradient(view)
        self.match: CosineMatch = cosine_match(flat(gradient), view.defenses, mask_aware=True)
        self.known = batch_statistics(view) if attack.statistics > 0 else None
        self._attack, self._labels, self._prior = attack, labels, SmoothPrior(attack.tv)
        self._victim = Victim(view, gradient)
        self._statistics = StatisticsDistance(view.model, self.known) if self.known else None
        self._step = 0
        self._means: Tensor | None = None

    def slopes(self, x: Tensor) -> tuple[Tensor, Tensor] | None:
        """Return slopes of the objective and of log(D + statistics S); None: all is done."""
        values, distances, slope, misfit = self._evaluate(x)
        if bool((distances <= self.match.floor).all()):
            return None
        attack, step = self._attack, self._step
        self._step += 1
        if attack.consistency > 0 and len(x) > 1 and 2 * step >= attack.steps:
            if self._means is None or step % _BETWEEN_MEANS == 0:
                self._means = consensus(x, self._labels, int(values.argmin()))
            slope.add_(x - self._means, alpha=2 * attack.consistency / x[0].numel())
        return slope, misfit

    def objectives(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return objectives and gradient distances of restarts `[r, n, *shape]`, `[r]` each."""
        values, distances, _, _ = self._evaluate(x)
        # A search that left the finite numbers must not win.
        return values.nan_to_num(torch.inf), distances.nan_to_num(2.0)

    def _evaluate(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return objectives, D, and the slopes of the objective and of its logarithm."""
        attack, axes = self._attack, (-1,) + (1,) * (x.ndim - 1)
        distances, away, _ = self._victim.slope(x, self._labels, self.match)
        misfit = distances
        if self._statistics:
            apart, slope = self._statistics.slope(x)
            misfit = misfit + attack.statistics * apart
            away = away + attack.statistics * slope
        misfit = misfit.clamp_min(_ROUNDING)
        away = away / misfit.view(axes)
        values = misfit.log() + attack.l2 * x.square().flatten(1).mean(1)
        slope = away.add(x, alpha=2 * attack.l2 / x[0].numel())
        rough, smoothing = self._prior(x)
        return values + rough, distances, slope + smoothing, away
