"""Finds one batch that explains a client's updates of several rounds together.

A client that trains on the same records in every round gives a gradient of them at each
model w_t that it is sent, with noise of its own. The mean over T rounds has 1/T of the
noise's variance, and the batch that it comes from is known as a function of the guess:

    mean_t grad L(w_t; x, y)  ~  mean_t g_t

so that nothing is lost by the models' being different. It is searched as in Inverting
Gradients (Geiping et al. 2020, arXiv 2003.14053). This is why an epsilon must be composed
over all releases. Of a client that draws other records each round it finds nothing that a
single round does not show better.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from ....core.errors import NotApplicableError, require_least
from ....core.views import UpdateView
from ..observed import model_at, observed_gradient
from .inverting_gradients import InvertingGradients
from .search.known_noise import known_noise
from .search.victim import Victim

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from ....core.claims import Reconstruction
    from ....core.views import HistoryView, Update
    from .closed_form.tape import Distance


@dataclass(frozen=True, kw_only=True, slots=True)
class SeveralRounds:
    """Gradient inversion of one client's updates of several rounds.

    Fields
    ------
    steps, lr, tv, restarts : as of `inverting-gradients`
    rounds : most rounds that are used, evenly spread over those seen
    """

    steps: int = 300
    lr: float = 0.1
    tv: float = 4e-3
    restarts: int = 1
    rounds: int = 16

    def __post_init__(self) -> None:
        require_least("several-rounds", self, steps=1, restarts=1, rounds=1)

    def __call__(self, view: HistoryView, rng: torch.Generator) -> Reconstruction:
        """Return a batch as large as that of one round.

        Raises `NotApplicableError` where the client took part in no round that was seen.
        """
        views = updates_of(view, self.rounds)
        gradients = [observed_gradient(one) for one in views]
        mean = _mean(gradients)
        attack = InvertingGradients(
            steps=self.steps, lr=self.lr, tv=self.tv, restarts=self.restarts, mask_aware=False
        )
        found = attack.invert(
            _showing(views[len(views) // 2], mean),
            JointGradient(views, gradients),
            mean,
            _left_noise(views, gradients),
            rng,
        )
        said = f"{len(views)} rounds taken for the same records; {found.explanation}"
        return replace(found, explanation=said)


def updates_of(view: HistoryView, most: int) -> list[UpdateView]:
    """Return the client's updates as views of single rounds, `most` of them at most."""
    took_part = [seen for seen in view.rounds if view.client in seen.updates]
    if not took_part:
        raise NotApplicableError("the client took part in none of the rounds seen")
    count = min(most, len(took_part))
    chosen = [took_part[i * len(took_part) // count] for i in range(count)]
    return [
        view.of_update(
            seen.updates[view.client],
            model=model_at(view, seen.state),
            number=seen.round,
            client=view.client,
        )
        for seen in chosen
    ]


def _showing(view: UpdateView, gradient: Update) -> UpdateView:
    """Return the view with the update that one step along `gradient` makes."""
    step = -view.job.lr * view.job.local_steps
    return replace(view, update={name: step * value for name, value in gradient.items()})


def _mean(gradients: Sequence[Update]) -> dict[str, Tensor]:
    return {n: torch.stack([g[n] for g in gradients]).mean(0) for n in gradients[0]}


def _left_noise(
    views: Sequence[UpdateView], gradients: Sequence[Update]
) -> dict[str, float | Tensor] | None:
    """Return the standard deviation of the noise in the mean, by name; None where unknown."""
    each = [known_noise(view, g) for view, g in zip(views, gradients, strict=True)]
    known = [noise for noise in each if noise is not None]
    if len(known) < len(each):
        return None
    squares = {n: sum(noise[n] ** 2 for noise in known) for n in known[0]}
    return {n: square**0.5 / len(known) for n, square in squares.items()}


class JointGradient:
    """The mean gradient over the models of several rounds, as a function of one batch."""

    def __init__(self, views: Sequence[UpdateView], gradients: Sequence[Update]) -> None:
        self._victims = [Victim(v, g) for v, g in zip(views, gradients, strict=True)]

    def slope(
        self, inputs: Tensor, targets: Tensor, match: Distance
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return the distances of the mean gradients, and their slopes at the inputs.

        With v the slope of the distance at the mean, it is the sum of those of <v / T, G_t>.
        """
        made = torch.stack([victim.gradients(inputs, targets) for victim in self._victims])
        distances, directions = match.aim(made.mean(0))
        slopes = torch.zeros_like(inputs)
        for i, direction in enumerate(directions / len(self._victims)):
            along = _Along(direction[None])
            for victim in self._victims:
                slopes[i] += victim.slope(inputs[i : i + 1], targets, along)[1][0]
        return distances, slopes, None


@dataclass(frozen=True, slots=True, eq=False)
class _Along:
    """<G, direction> as a distance: its slope is the direction, whatever G is."""

    direction: Tensor

    @property
    def weights(self) -> None:
        """None: the direction is not the observed gradient."""
        return

    def of_sums(self, inner: Tensor, square: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return <G, observed> itself, where that is the direction, and its slopes."""
        return inner, torch.ones_like(inner), torch.zeros_like(square)

    def aim(self, gradients: Tensor) -> tuple[Tensor, Tensor]:
        """Return the products of gradients `[1, p]` with the direction, and the direction."""
        return (gradients * self.direction).sum(1), self.direction
