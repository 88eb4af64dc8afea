"""Lets a malicious server make its move in an audited job, and says what clients saw of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from math import isnan
from statistics import median
from typing import Any

import torch

from ..core.attack import ActiveAttack
from ..core.threat import Observer
from ..fl.malicious import malicious_round
from ..fl.transcript import RoundRecord, Transcript
from ..fl.vantage import model_at
from ..metrics.received_model import (
    d_snr,
    parallel_rows,
    parameter_distance,
    silent_neurons,
)

CLIENTS_LOOKING = 8
"""Clients whose sight of the sent model is measured."""


def with_moves(
    transcript: Transcript,
    observer: Observer,
    rounds: Iterable[int],
    attack: ActiveAttack,
    rng_of: Callable[[int], torch.Generator],
) -> Transcript:
    """Return the transcript with each of `rounds` run anew under the attack's move.

    `rng_of(round)` gives the generator that the move of a round draws from.
    """
    acted = {
        number: malicious_round(
            transcript, observer, number, lambda k, n=number: attack.act(k, rng_of(n))
        ).rounds[number]
        for number in rounds
    }
    return replace(transcript, rounds=acted, states={n: r.state for n, r in acted.items()})


def client_sees(transcript: Transcript, rounds: Iterable[int]) -> dict[str, Any]:
    """Return medians of what clients could notice in the models sent, the honest ones beside.

    Only clients that were sent another model look, on the batch that they trained on.
    """
    looks: list[tuple[Mapping[str, float], Mapping[str, float]]] = []
    for number in rounds:
        record = transcript.rounds[number]
        for client in record.sent:
            if len(looks) < CLIENTS_LOOKING and len(record.batches[client]):
                looks.append(_look(transcript, record, client))
    if not looks:
        return {}
    seen: dict[str, dict[str, float]] = {"sent": {}, "honest": {}}
    for i, figures in enumerate(seen.values()):
        for name in looks[0][i]:
            found = [look[i][name] for look in looks]
            if not any(map(isnan, found)):  # a model may have nothing to measure it by
                figures[name] = median(found)
    return seen


def _look(
    transcript: Transcript, record: RoundRecord, client: int
) -> tuple[Mapping[str, float], Mapping[str, float]]:
    honest = model_at(transcript, record.state, training=True)
    batch = record.batches[client]

    def figures(model: torch.nn.Module) -> dict[str, float]:
        """Return what a client can compute of a model on its own batch."""
        return {
            "parameter_distance": parameter_distance(model, honest),
            "d_snr": d_snr(model, transcript.task.loss, batch.inputs, batch.targets),
            "parallel_rows": parallel_rows(model),
            "silent_neurons": silent_neurons(model, batch.inputs),
        }

    return figures(record.sent[client]), figures(honest)
