"""What an observer would have seen of batches that the attacker chooses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from ....core.views import AggregateView, UpdateView
from ..observed import contributors, observed_batch_size
from .local_training import LocalTraining
from .simulated_defenses import Released, aggregated, sent, simulated_by_record

if TYPE_CHECKING:
    from torch import Tensor

    from ....core.cards import DefenseCard
    from ...record_defenses import RecordDefense
    from .hashing import SignedHash

# Values of updates that are held at once before they are hashed: 128 MB of floats.
_MOST_VALUES = 2**25


@dataclass(frozen=True, slots=True, eq=False)
class Simulation:
    """The victims' side of a view: local training, the defenses, and the mean over clients.

    Fields
    ------
    view : what was observed; of the update itself only names and shapes are used
    adaptive : whether the defenses in force are simulated
    """

    view: UpdateView | AggregateView
    adaptive: bool = True

    @property
    def defenses(self) -> tuple[DefenseCard, ...]:
        """The public cards of the defenses that are simulated."""
        return self.view.defenses if self.adaptive else ()

    @property
    def names(self) -> list[str]:
        """The tensors of the update in its order, as far as the model has them."""
        known = self.view.model.state_dict().keys()
        return [name for name in self._observed if name in known]

    @property
    def observed(self) -> Tensor:
        """The observed update, flat, where its noise is even, `[p]`."""
        parts = [self._observed[name].detach().flatten() for name in self.names]
        return torch.cat(parts) / self.spread

    @property
    def spread(self) -> float | Tensor:
        """How loud the last noise is on each value, over its root mean square, `[p]`; 1 if even."""
        nothing = torch.zeros(1, contributors(self.view), self.coordinates)
        noise = self._released(nothing, torch.Generator()).noise
        if not isinstance(noise, torch.Tensor):
            return 1.0
        loud = noise / _level(noise)
        return loud.clamp_min(float(loud[loud > 0].min()))

    @property
    def coordinates(self) -> int:
        """How many values an update has."""
        return sum(self._observed[name].numel() for name in self.names)

    @property
    def records(self) -> int:
        """How many records are behind the update, over all steps and contributors."""
        return observed_batch_size(self.view) * self.view.job.local_steps

    @property
    def value_range(self) -> tuple[float, float] | None:
        """The range of the inputs."""
        return self.view.job.value_range

    def hashed(
        self, inputs: Tensor, targets: Tensor, hashing: SignedHash, rng: torch.Generator
    ) -> tuple[Tensor, float]:
        """Return hashed updates `[n, m]` of batches `[n, records, *shape]`, without last noise.

        They are of where that noise is even; the second is its standard deviation there.
        """
        clients, job, by_record = contributors(self.view), self.view.job, self._by_record
        training = LocalTraining(
            self.view.model,
            self.view.loss,
            self.names,
            steps=job.local_steps,
            lr=job.lr,
            clip=by_record.clip if by_record else None,
        )
        inputs, targets = _shuffled(inputs, targets, rng)
        chunk = max(1, _MOST_VALUES // (self.coordinates * clients))
        found: list[Tensor] = []
        noise, spread = 0.0, self.spread
        for x, y in zip(inputs.split(chunk), targets.split(chunk), strict=True):
            x = x.unflatten(1, (clients, -1)).flatten(0, 1)
            y = y.unflatten(1, (clients, -1)).flatten(0, 1)
            updates = training.updates(x, y, rng).unflatten(0, (-1, clients))
            released = self._released(updates, rng)
            found.append(hashing(released.values / spread))
            noise = _level(released.noise) * hashing.size**0.5
        return torch.cat(found), noise

    def _released(self, updates: Tensor, rng: torch.Generator) -> Released:
        """Return what is seen of the clients' updates `[n, clients, p]`, `[n, p]`."""
        job, defenses = self.view.job, self.defenses
        batch = observed_batch_size(self.view) // contributors(self.view)
        released = sent(
            updates,
            defenses,
            batch=batch,
            steps=job.local_steps,
            lr=job.lr,
            rng=rng,
            by_record=self._by_record,
            like={name: self._observed[name] for name in self.names},
        )
        if isinstance(self.view, UpdateView):
            return Released(released.values[:, 0], released.noise)
        return aggregated(released, defenses, rng)

    @property
    def _by_record(self) -> RecordDefense | None:
        trained = dict(self.view.model.named_parameters())
        like = {name: self._observed[name] for name in self.names if name in trained}
        return simulated_by_record(self.defenses, like, self.view.round * self.view.job.local_steps)

    @property
    def _observed(self) -> dict[str, Tensor]:
        view = self.view
        return dict(view.update if isinstance(view, UpdateView) else view.aggregate)


def _level(noise: float | Tensor) -> float:
    """Return the root mean square of the noise's deviations."""
    return float(noise.square().mean().sqrt()) if isinstance(noise, torch.Tensor) else noise


def _shuffled(inputs: Tensor, targets: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return batches with records in random order: which step or client has which is not known."""
    order = torch.rand(targets.shape, generator=rng).argsort(1)
    index = order.view(*order.shape, *(1,) * (inputs.ndim - 2)).expand_as(inputs)
    return inputs.gather(1, index), targets.gather(1, order)
