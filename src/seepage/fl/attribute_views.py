"""Views that ask for one column of records whose other columns and label are known.

Every builder returns no View where the observer lacks what it would show.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import torch

from ..core.claims import ColumnTruth
from ..core.errors import NotApplicableError
from ..core.task import Records
from ..core.threat import Capability, Observer
from ..core.views import Candidates, HistoryView, ModelView, OutputsView, PartialRecords
from ..data.coded import coded, column_codes
from . import membership_views as membership
from .predict import predict
from .vantage import common, sees

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from ..core.columns import TableColumn
    from ..core.task import Task
    from ..core.views import View
    from .transcript import Transcript

V = TypeVar("V", bound="View")

MOST_ASKED = 500
"""Records of each client whose column is asked for."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class AskedColumn:
    """Training records whose value in a column is asked for, by client.

    Fields
    ------
    column : the one that is not known
    codes : the features of each value that it may have, `[k, width]`
    records : by client, whole: nothing of this object but what is masked goes into a View
    held : by client, how many records it trains on
    """

    column: TableColumn
    codes: Tensor
    records: Mapping[int, Records]
    held: Mapping[int, int]

    def truth(self, records: Records, cluster: str) -> ColumnTruth:
        """Return which value each of the records has."""
        return ColumnTruth(value=coded(self.column, self.codes, records.inputs), cluster=cluster)

    def partial(self, records: Records, held: int) -> PartialRecords:
        """Return the records without the column."""
        masked = records.inputs.clone()
        masked[:, self.column.features] = 0
        return PartialRecords(masked, records.targets, self.column, self.codes, held)


def ask_column(task: Task, column: TableColumn, rng: torch.Generator) -> AskedColumn:
    """Draw up to 500 training records of each client, of values that the attacker knows of.

    Raises `NotApplicableError` where there are no auxiliary records, all of them have one
    value, or no client has a record to ask for; `DataError` where the column holds too many
    numbers to be categories.
    """
    if not len(task.auxiliary):
        raise NotApplicableError(
            "there are no auxiliary records from which to know what values a column has: set "
            "data.auxiliary above 0"
        )
    codes = column_codes(column, task.auxiliary.inputs)
    if len(coded(column, codes, task.auxiliary.inputs).unique()) < 2:
        raise NotApplicableError(
            f"every auxiliary record has the same value in column {column.name!r}: there is "
            "nothing to guess"
        )
    records: dict[int, Records] = {}
    for number, client in enumerate(task.clients):
        known = torch.nonzero(coded(column, codes, client.train.inputs) >= 0).flatten()
        order = torch.randperm(len(known), generator=rng)[:MOST_ASKED]
        if len(order):
            records[number] = client.train.take(known[order])
    if not records:
        raise NotApplicableError(f"no client's record has a known value in {column.name!r}")
    held = {number: len(task.clients[number].train) for number in records}
    return AskedColumn(column=column, codes=codes, records=records, held=held)


def column_history_views(
    transcript: Transcript,
    observer: Observer,
    asked: AskedColumn,
    *,
    target_of: Callable[[int], int] | None = None,
) -> list[tuple[HistoryView, ColumnTruth]]:
    """Return a View for each client that is asked about, as `history_views` does.

    A null control asks of one client's records in another's updates, by `target_of`.
    """
    unused = {c: (r, torch.ones(len(r))) for c, r in asked.records.items()}
    found = membership.history_views(transcript, observer, candidates=unused, target_of=target_of)
    return [
        (
            _asking(view, asked.partial(asked.records[client], asked.held[client])),
            asked.truth(asked.records[client], truth.cluster),
        )
        for client, (view, truth) in zip(asked.records, found, strict=bool(found))
    ]


def column_model_view(
    transcript: Transcript, observer: Observer, asked: AskedColumn
) -> list[tuple[ModelView, ColumnTruth]]:
    """Return one View of the final model, which asks of all clients' records together."""
    records, partial = _pooled(asked)
    truth = asked.truth(records, str(transcript.replica))
    found = membership.model_view(transcript, observer, records, torch.ones(len(records)))
    return [(_asking(view, partial), truth) for view, _ in found]


def column_outputs_view(
    transcript: Transcript, observer: Observer, asked: AskedColumn
) -> list[tuple[OutputsView, ColumnTruth]]:
    """Return one View of the final model's answers to each record with each value in turn."""
    if not sees(transcript, observer, Capability.HOLDS_CANDIDATES, Capability.SEES_OUTPUTS):
        return []
    records, partial = _pooled(asked)
    outputs = predict(transcript.model, partial.completed().flatten(0, 1))
    if transcript.task.classes:
        outputs = outputs.softmax(-1)
    view = OutputsView(**common(transcript, observer, asked=records), outputs=outputs)
    return [(_asking(view, partial), asked.truth(records, str(transcript.replica)))]


def _pooled(asked: AskedColumn) -> tuple[Records, PartialRecords]:
    records = Records.joined(asked.records.values())
    return records, asked.partial(records, sum(asked.held.values()))


def _asking(view: V, partial: PartialRecords) -> V:
    """Return the view with the masked records in place of the whole ones."""
    kept = (fact for fact in view.facts if not isinstance(fact, Candidates))
    return replace(view, facts=(partial, *kept))
