"""Asks for a column of the clients' records, and scores the answers against the imputation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from ..attacks.attribute.imputation import imputed
from ..core.claims import ColumnGuess, ColumnTruth
from ..core.columns import column_asked
from ..core.errors import NotApplicableError, SeepageError
from ..core.seeds import torch_rng
from ..core.views import View
from ..data.coded import column_codes
from ..fl import attribute_views as cut
from .evidence import RateEvidence
from .simulating import with_simulation

if TYPE_CHECKING:
    from torch import Tensor

    from ..core.attack import Attack
    from .cells import Attacker, Cell, Job
    from .federations import Federations

Asked = tuple[View, View, ColumnTruth]


def column_views(
    kind: str, federations: Federations, variant: str, cell: Cell, rng: torch.Generator
) -> list[Asked]:
    """Return view, null view and truth of each question for the column of the cell's attack.

    Histories ask of every client; their null asks in another client's updates. The null of
    the final model is that of a job trained without these records. Raises
    `NotApplicableError` where there is no such column or nothing to guess in it.
    """
    transcript = federations.transcript(variant)
    task = transcript.task
    column = column_asked(task.columns, str(cell.settings.get("column", "")))
    asked = cut.ask_column(task, column, rng)
    clients = len(task.clients)
    if kind == "history" and clients > 1:
        real = cut.column_history_views(transcript, cell.observer, asked)
        other = cut.column_history_views(
            transcript, cell.observer, asked, target_of=lambda client: (client + 1) % clients
        )
        return [(view, null, truth) for (view, truth), (null, _) in zip(real, other, strict=True)]
    builders = {
        "history": cut.column_history_views,
        "model": cut.column_model_view,
        "outputs": cut.column_outputs_view,
    }
    if kind not in builders:
        raise NotApplicableError(f"a view of kind {kind!r} asks for no column")
    shop = federations.workshop
    real, other = (
        builders[kind](seen, cell.observer, asked)
        for seen in (transcript, federations.transcript(f"null-{variant}"))
    )
    return [
        (with_simulation(view, transcript, shop), with_simulation(null, transcript, shop), truth)
        for (view, truth), (null, _) in zip(real, other, strict=True)
    ]


def column_evidence(
    cell: Cell, attack: Attack, asked: Sequence[Asked], *, seed: int, variant: str
) -> RateEvidence:
    """Return how often the attack names the right value, on its views and on the null views.

    The prior is the imputation: what the records' other columns, their labels and auxiliary
    records tell without any model. Raises `SeepageError` for a claim of another kind.
    """
    hits: list[list[Tensor]] = []
    names: set[str] = set()
    for i, (view, null, truth) in enumerate(asked):
        guesses: list[Tensor] = []
        for name, seen in (("view", view), ("null", null)):
            claim = attack(seen, torch_rng(seed, cell.id, variant, name, i))
            if not isinstance(claim, ColumnGuess) or len(claim.probabilities) != len(truth.value):
                raise SeepageError(f"{cell.attack.name} gave no value for each record")
            guesses.append(claim.probabilities)
            names.add(claim.column)
        guesses.append(imputed(view).of_asked)
        hits.append([guess.argmax(1) == truth.value for guess in guesses])
    value, null, prior = (torch.cat(part).double().tolist() for part in zip(*hits, strict=True))
    return RateEvidence(
        metric="attribute_accuracy",
        value=tuple(value),
        null=tuple(null),
        prior=tuple(prior),
        n=len(value),
        paired=True,
        details={"column": ", ".join(sorted(names))},
    )


def check_columns(jobs: Sequence[Job], attackers: Sequence[Attacker]) -> None:
    """Raise `UsageError` where an attack names no column of a table, or one of many numbers."""
    for attacker in attackers:
        name = attacker.settings.get("column", "")
        if not name or attacker.card.claims not in {"column", "attribute"}:
            continue
        for job in jobs:
            if job.task.columns and (not job.attacks or attacker.name in job.attacks):
                column_codes(column_asked(job.task.columns, name), job.task.auxiliary.inputs)
