"""What an attack asserts, and the secret that metrics hold against it.

Attacks return Claims and never receive a Truth; metrics receive both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Reconstruction:
    """Records that the attack says were in the batch, in any order.

    Fields
    ------
    inputs : `[k, *shape]`, in the scale that the model was fed; `k` may be 0
    labels : their labels `[k]`, where the attack found or was given them
    objective : the attack's own figure of merit (lower is better), by which restarts are chosen
    solved : whether the attack itself takes the records for right; the truth has no say in it
    explanation : what a reader should know of this result, and why where it is poor
    seconds : what the attack took; 0 where nobody timed it
    """

    inputs: Tensor
    labels: Tensor | None = None
    objective: float = 0.0
    solved: bool = False
    explanation: str = ""
    seconds: float = 0.0

    @classmethod
    def nothing(cls, input_shape: tuple[int, ...], explanation: str) -> Reconstruction:
        """Return no record at all, and why: better than wrong ones."""
        return cls(
            inputs=torch.empty(0, *input_shape),
            labels=torch.empty(0, dtype=torch.int64),
            objective=1.0,
            explanation=explanation,
        )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class MembershipScores:
    """One score per candidate, `[n]`: higher means likelier a member."""

    scores: Tensor
    note: str = ""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class AttributeGuess:
    """Values of an attribute of the batch, `[k]`, in any order (e.g. its labels).

    `attribute` is `label`, or a column's name; its values then count its codes.
    """

    attribute: str
    values: Tensor
    note: str = ""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ColumnGuess:
    """How likely each value of a column is for each record asked about, `[n, k]`."""

    column: str
    probabilities: Tensor
    note: str = ""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Linkage:
    """For each target record, gallery indices in order of likelihood, `[n, k]`."""

    ranking: Tensor
    note: str = ""


Claim = Reconstruction | MembershipScores | AttributeGuess | ColumnGuess | Linkage


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class BatchTruth:
    """The records behind an update or an aggregate: inputs `[b, *shape]`, targets `[b]`.

    `cluster` names the draw (client, round, replica) within which records are not
    independent; `rows` are their indices in the job's data, `[b]`.
    """

    inputs: Tensor
    targets: Tensor
    rows: Tensor
    cluster: str


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class MembershipTruth:
    """Which candidates were trained on, `[n]` bool."""

    member: Tensor
    cluster: str


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SourceTruth:
    """Which client holds each of the records asked about, int64 `[n]`."""

    client: Tensor
    cluster: str


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ColumnTruth:
    """Which value the records asked about have in the column, int64 `[n]`."""

    value: Tensor
    cluster: str


Truth = BatchTruth | MembershipTruth | SourceTruth | ColumnTruth
