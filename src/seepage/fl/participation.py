"""Who takes part in each round: those who were drawn, less those whom a defense holds back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..core.defense import Defense, Participation
from ..core.privacy import Exposure
from ..core.seeds import torch_rng
from .batches import cohort_of, expected_batch

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from torch import nn

    from ..core.task import Task


class Cohorts:
    """The cohorts of a job, in the order of its rounds.

    `sat_out` has by round the clients that were drawn and not admitted, and `took_part` how
    many updates were asked for so far.
    """

    def __init__(
        self, task: Task, model: nn.Module, defenses: Sequence[Defense], *, seed: int, replica: int
    ) -> None:
        self._task, self._model, self._defenses = task, model, tuple(defenses)
        self._run = seed, replica
        self.sat_out: dict[int, tuple[int, ...]] = {}
        self.took_part = 0

    def of(self, number: int) -> tuple[int, ...]:
        """Return who takes part in round `number`, in ascending order; may be nobody."""
        seed, replica = self._run
        rng = torch_rng(seed, "cohort", replica, number)
        drawn = cohort_of(len(self._task.clients), self._task.cohort, rng)
        cohort = admitted(self._task, self._model, self._defenses, drawn, number)
        if out := tuple(client for client in drawn if client not in cohort):
            self.sat_out[number] = out
        self.took_part += len(cohort)
        return cohort


def admitted(
    task: Task,
    model: nn.Module,
    defenses: Sequence[Defense],
    drawn: Iterable[int],
    number: int,
) -> tuple[int, ...]:
    """Return those of the clients in `drawn` that every defense lets take part in a round."""
    asked = [d for d in defenses if type(d).admit is not Defense.admit]
    if not asked:
        return tuple(drawn)
    sizes = {name: p.numel() for name, p in model.named_parameters() if p.requires_grad}
    return tuple(
        client
        for client in drawn
        if all(defense.admit(_asked(task, client, sizes, defenses, number)) for defense in asked)
    )


def _asked(
    task: Task, client: int, sizes: Mapping[str, int], defenses: Sequence[Defense], number: int
) -> Participation:
    training, held = task.training, task.clients[client]
    exposure = Exposure(
        rounds=training.rounds,
        local_steps=training.local_steps,
        batch_size=expected_batch(len(held.train), training.batch_size),
        examples=len(held.train),
        clients=len(task.clients),
        cohort=task.cohort,
        parameters=sizes,
    )
    return Participation(
        client=held.name, round=number, exposure=exposure, defenses=tuple(defenses)
    )
