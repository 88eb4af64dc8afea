"""Inverts several local steps by playing them again, step for step.

The observer knows the model sent, the learning rate and how many steps of which batch
size the client took. So it simulates the client on guessed batches and descends through
the whole simulation:

    D = 1 - cos(w_0 - w_T(x, y), w_0 - w_T),  w_t+1(x, y) = w_t - lr grad L(w_t; x_t, y_t)

(Geiping et al. 2020, "Inverting Gradients", arXiv 2003.14053, section 6; Dimitrov et al.
2022, "Data Leakage in Federated Averaging", arXiv 2206.12395). At the right records in
the right batches D is 0, which no single gradient reaches. But which record fell into which
step is not known. So a random order runs a short way, pairs of guessed records change
places wherever that lowers D, and so on a few times before the long search. Records that a
client used more than once: `epochs.py`. Objective and search are those of
`inverting_gradients.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from ....core.claims import Reconstruction
from ....core.errors import NotApplicableError, require_least
from ...attribute.labels import batch_labels
from ..observed import observed_batch_size, observed_gradient
from .search.convolutions import small_convolutions
from .search.data_ratio import data_ratio, judged
from .search.epochs import Epochs
from .search.local_steps import LocalSteps
from .search.matching import cosine_match
from .search.signed_adam import SignedAdam
from .search.smooth_prior import SmoothPrior
from .search.starts import starts
from .search.victim import flat

if TYPE_CHECKING:
    from torch import Tensor

    from ....core.views import UpdateView


@dataclass(frozen=True, kw_only=True, slots=True)
class UnrolledFedAvg:
    """Gradient inversion of FedAvg updates through the simulated local steps.

    Fields
    ------
    steps : iterations of the last search
    lr : step size of Adam, in units of the input; falls to a hundredth along a half cosine
    tv : weight of total variation (its sum over an image) beside the logarithm of the
        distance, for image-shaped inputs
    trials : short searches before, each followed by swaps
    trial : iterations of a short search
    swaps : pairs of records in different steps that change places on trial
    records : how many records the client holds; 0: at least as many as its steps use
    agreement : weight of the squared distance between the mean inputs of its epochs
    """

    steps: int = 300
    lr: float = 0.1
    tv: float = 4e-3
    trials: int = 3
    trial: int = 60
    swaps: int = 40
    records: int = 0
    agreement: float = 1.0

    def __post_init__(self) -> None:
        require_least("unrolled-fedavg", self, steps=1, trials=0, trial=1, swaps=0, records=0)

    def __call__(self, view: UpdateView, rng: torch.Generator) -> Reconstruction:
        """Return the records of all local steps, each once."""
        epochs = self._epochs(view)
        labels = batch_labels(view, epochs.records)
        replay = _Replay(self, view, epochs)
        order = epochs.order(labels, rng)
        x = starts(1, (epochs.free, *view.job.input_shape), view.job.value_range, rng)
        with small_convolutions(view.model, x[0]):
            for _ in range(self.trials if epochs.ordered else 0):
                x, order = replay.swapped(replay.search(x, order, self.trial), order, rng)
            x = replay.search(x, order, self.steps)
            distance = float(replay.distance(x[0], order).detach())
            objective = replay.objective(x, order)
        inputs, found = epochs.merge(x[0], order)
        ratio = data_ratio(replay.match, x)
        return Reconstruction(
            inputs=inputs,
            labels=found,
            objective=objective,
            solved=judged(distance, ratio),
            explanation=(
                f"cosine distance {distance:.2e} between the simulated update and the observed "
                f"one; {ratio:.1f} known numbers for each unknown one"
            ),
        )

    def _epochs(self, view: UpdateView) -> Epochs:
        batch = observed_batch_size(view)
        slots = batch * view.job.local_steps
        if 0 < self.records < batch:
            raise NotApplicableError(f"{self.records} records fill no batch of {batch}")
        return Epochs(
            steps=view.job.local_steps, batch=batch, records=min(self.records or slots, slots)
        )


class _Replay:
    """The simulated client beside the observed update."""

    def __init__(self, attack: UnrolledFedAvg, view: UpdateView, epochs: Epochs) -> None:
        gradient = observed_gradient(view)
        self.match = cosine_match(flat(gradient), view.defenses, mask_aware=True)
        self._training = LocalSteps(view, gradient)
        self._attack, self._epochs, self._range = attack, epochs, view.job.value_range
        self._prior = SmoothPrior(attack.tv)

    def distance(self, x: Tensor, order: Tensor) -> Tensor:
        """Return the distance of the update that inputs `[n, *shape]` make, and disagreement."""
        made = self._training.gradient(self._epochs.spread(x), order)
        return self.match.distance(made) + self._attack.agreement * self._epochs.disagreement(x)

    def objective(self, x: Tensor, order: Tensor) -> float:
        """Return the distance of a guess `[1, n, *shape]` times what the prior makes of it."""
        return float(self._prior.objectives(x, self.distance(x[0], order).detach()[None]))

    def search(self, x: Tensor, order: Tensor, steps: int) -> Tensor:
        """Return a guess with a lesser objective, after `steps` iterations at most."""

        def slopes(x: Tensor) -> tuple[Tensor, Tensor] | None:
            """Return slopes of the objective and of D at a guess; None when all is done."""
            x = x.detach().requires_grad_()
            distance = self.distance(x[0], order)
            if float(distance.detach()) <= self.match.floor:
                return None
            (found,) = torch.autograd.grad(distance, x)
            return self._prior.slopes(x.detach(), distance.detach()[None], found)

        return SignedAdam(steps=steps, lr=self._attack.lr, value_range=self._range)(slopes, x)

    def swapped(self, x: Tensor, order: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return the guess and the labels after swaps of slots that lower the distance."""
        least = float(self.distance(x[0], order).detach())
        for _ in range(self._attack.swaps):
            places = self._epochs.swap(rng)
            there = float(self.distance(x[0][places], order[places]).detach())
            if there < least:
                least, x, order = there, x[:, places], order[places]
        return x, order
