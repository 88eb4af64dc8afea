"""Views that ask which of the candidates were trained on.

Every builder returns no View where the observer lacks what it would show.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import torch

from ..core.claims import MembershipTruth
from ..core.threat import Capability, Observer
from ..core.views import (
    AggregateHistoryView,
    GlobalModelsView,
    HistoryView,
    ModelView,
    OutputsView,
    SeenRound,
)
from .predict import predict
from .state import shared_state
from .vantage import common, model_at, seen_aggregate, sees

if TYPE_CHECKING:
    from torch import Tensor

    from ..core.task import Records
    from .transcript import Transcript

MOST_ROUNDS = 10


def history_views(
    transcript: Transcript,
    observer: Observer,
    *,
    candidates: Mapping[int, tuple[Records, Tensor]],
    target_of: Callable[[int], int] | None = None,
) -> list[tuple[HistoryView, MembershipTruth]]:
    """Return a View for each client of `candidates`, of up to ten recorded rounds.

    `candidates` maps a client to records and their membership in it, `[n]` bool. The View
    names `target_of(client)` as its client (None: the client itself): a null control asks
    of one client's records in another's updates. `model` stands at the last round shown.
    """
    needed = (
        Capability.HOLDS_CANDIDATES,
        Capability.SEES_CLIENT_UPDATES,
        Capability.SEES_GLOBAL_MODELS,
    )
    if not transcript.rounds or not sees(transcript, observer, *needed):
        return []
    shown = evenly_spaced(sorted(transcript.rounds), MOST_ROUNDS)
    rounds = tuple(
        SeenRound(round=n, state=transcript.rounds[n].state, updates=transcript.rounds[n].released)
        for n in shown
    )
    pairs: list[tuple[HistoryView, MembershipTruth]] = []
    for client, (records, member) in candidates.items():
        target = target_of(client) if target_of else client
        view = HistoryView(
            **common(transcript, observer, clients=[target], asked=records),
            client=target,
            model=model_at(transcript, rounds[-1].state, training=True),
            rounds=rounds,
        )
        cluster = f"{transcript.replica}/{client}"
        pairs.append((view, MembershipTruth(member=member, cluster=cluster)))
    return pairs


def aggregate_history_view(
    transcript: Transcript, observer: Observer, candidates: Records, member: Tensor
) -> list[tuple[AggregateHistoryView, MembershipTruth]]:
    """Return one View of the aggregates of up to ten recorded rounds.

    Empty where the observer sees the single updates, which tell more. Rounds without an
    aggregate are left out. `model` stands at the last round shown.
    """
    needed = (
        Capability.HOLDS_CANDIDATES,
        Capability.SEES_AGGREGATES,
        Capability.SEES_GLOBAL_MODELS,
    )
    kept = [n for n in sorted(transcript.rounds) if transcript.rounds[n].aggregate]
    if not kept or not sees(transcript, observer, *needed):
        return []
    if sees(transcript, observer, Capability.SEES_CLIENT_UPDATES):
        return []
    shown = [transcript.rounds[n] for n in evenly_spaced(kept, MOST_ROUNDS)]
    view = AggregateHistoryView(
        **common(transcript, observer, asked=candidates),
        model=model_at(transcript, shown[-1].state, training=True),
        rounds=tuple(map(seen_aggregate, shown)),
    )
    return [(view, _truth(transcript, member))]


def global_models_view(
    transcript: Transcript, observer: Observer, candidates: Records, member: Tensor
) -> list[tuple[GlobalModelsView, MembershipTruth]]:
    """Return one View of the global models of up to ten recorded rounds; `model` is the last."""
    needed = (Capability.HOLDS_CANDIDATES, Capability.SEES_GLOBAL_MODELS)
    if not transcript.states or not sees(transcript, observer, *needed):
        return []
    shown = evenly_spaced(sorted(transcript.states), MOST_ROUNDS)
    view = GlobalModelsView(
        **common(transcript, observer, asked=candidates),
        model=model_at(transcript, transcript.states[shown[-1]], training=False),
        rounds=tuple((n, transcript.states[n]) for n in shown),
    )
    return [(view, _truth(transcript, member))]


def model_view(
    transcript: Transcript, observer: Observer, candidates: Records, member: Tensor
) -> list[tuple[ModelView, MembershipTruth]]:
    """Return one View of the final model."""
    if not sees(transcript, observer, Capability.HOLDS_CANDIDATES, Capability.SEES_FINAL_MODEL):
        return []
    view = ModelView(
        **common(transcript, observer, asked=candidates),
        model=model_at(transcript, shared_state(transcript.model), training=False),
    )
    return [(view, _truth(transcript, member))]


def outputs_view(
    transcript: Transcript, observer: Observer, candidates: Records, member: Tensor
) -> list[tuple[OutputsView, MembershipTruth]]:
    """Return one View of the final model's answers to the candidates, without the model.

    The answers are probabilities (softmax of the outputs), or the raw outputs for
    regression.
    """
    if not sees(transcript, observer, Capability.HOLDS_CANDIDATES, Capability.SEES_OUTPUTS):
        return []
    outputs = predict(transcript.model, candidates.inputs)
    if transcript.task.classes:
        outputs = outputs.softmax(-1)
    view = OutputsView(**common(transcript, observer, asked=candidates), outputs=outputs)
    return [(view, _truth(transcript, member))]


def evenly_spaced(numbers: Sequence[int], most: int) -> list[int]:
    """Return at most `most` of the numbers, the first and last among them, evenly spaced.

    >>> evenly_spaced(range(9), 3)
    [0, 4, 8]
    """
    if len(numbers) <= most:
        return list(numbers)
    places = torch.linspace(0, len(numbers) - 1, most).round().int().tolist()
    return [numbers[i] for i in places]


def _truth(transcript: Transcript, member: Tensor) -> MembershipTruth:
    return MembershipTruth(member=member, cluster=str(transcript.replica))
