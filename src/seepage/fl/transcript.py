"""What happened in a job: the whole record, from which each observer's View is cut.

A transcript holds secrets (the batches). Nothing of it goes to an attack but through the
builders in `views`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

    from ..core.defense import Defense
    from ..core.task import Records, Task
    from ..core.views import Update


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class RoundRecord:
    """One recorded round.

    Fields
    ------
    round : from 0
    state : trainable parameters and shared float buffers before the round
    released : by client, what left it: the update after all client-side defenses
    batches : by client, every distinct record that it used, in order of first use
        (the truth); without records where Poisson sampling drew none
    aggregate : the mean update as it left the aggregation
    sent : the models that a malicious server sent, by client (missing: the honest one)
    aborted : why there is no aggregate, where the clients' defenses withheld it
    carried : by client, what its defenses carried on from earlier rounds
    sybils : clients of a malicious server's own in the aggregate, whose updates are 0
    """

    round: int
    state: Update
    released: Mapping[int, Update]
    batches: Mapping[int, Records]
    aggregate: Update
    sent: Mapping[int, nn.Module] = field(default_factory=dict[int, "nn.Module"])
    aborted: str = ""
    carried: Mapping[int, Update] = field(default_factory=dict[int, "Update"])
    sybils: int = 0


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Transcript:
    """A finished job.

    Fields
    ------
    task, defenses, seed, replica : what was run
    rounds : the recorded rounds, by number
    states : the global state at the start of each recorded round
    model : the final model, in evaluation mode
    bytes_up, bytes_down : bytes sent by, and to, all clients over all rounds
    seconds : wall time of the training
    sat_out : by round, the clients that were drawn and that a defense did not let take part
    """

    task: Task
    defenses: tuple[Defense, ...]
    seed: int
    replica: int = 0
    rounds: Mapping[int, RoundRecord]
    states: Mapping[int, Update]
    model: nn.Module
    bytes_up: int
    bytes_down: int
    seconds: float
    sat_out: Mapping[int, tuple[int, ...]] = field(default_factory=dict[int, tuple[int, ...]])
