"""The catalogue of defenses: facts that need no torch to read."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from ..core.cards import DefenseCard, Parameter
from .dp.cards import DP
from .sums.cards import ADAPTIVE, SUMS

CARDS: tuple[DefenseCard, ...] = (
    *DP,
    DefenseCard(
        name="top-k",
        summary="Each client sends only the coordinates of its update that are largest.",
        implementation="seepage.defenses.top_k:TopK",
        reference="Aji & Heafield 2017, arXiv 1704.05021",
        year=2017,
        parameters=(
            Parameter(
                name="fraction",
                default=0.1,
                summary="share of all coordinates that is sent, above 0 and at most 1",
            ),
        ),
        mechanism="all but the largest coordinates of the update are set to zero",
        guarantee="heuristic",
        adaptive_attacks=("inverting-gradients",),
        protects="nothing that can be stated: most coordinates stay away, the telling ones go",
        against="an attacker who takes zeros for values",
        leaves_open="the records: what is sent is exact, and matching by it alone works",
    ),
    DefenseCard(
        name="secure-aggregation",
        summary="The server learns the sum of the updates and no single one (ideal: a trusted "
        "third party adds them up).",
        implementation="seepage.defenses.secure_aggregation:SecureAggregation",
        reference="Bonawitz et al. 2017",
        year=2017,
        parameters=(
            Parameter(
                name="minimum_cohort",
                default=2,
                summary="fewest updates whose sum may be revealed, 2 or more",
            ),
        ),
        mechanism="an ideal sum: only the aggregate is revealed, and nothing is added to it",
        guarantee="none",
        adaptive_attacks=ADAPTIVE,
        protects="which update is whose",
        against="a server that keeps to the protocol, and whoever listens",
        sums=True,
        leaves_open="all that a sum shows: a sum of few, or of models that differ, is as "
        "good as one update",
    ),
    *SUMS,
    DefenseCard(
        name="model-commitment",
        summary="Each client binds a hash of the model, roster and round that it received into "
        "its update: a server that sends differing models gets no sum.",
        implementation="seepage.defenses.model_commitment:ModelCommitment",
        reference="Pasquini, Francati & Ateniese 2022, arXiv 2111.07380",
        year=2022,
        mechanism="the sum is released only where all clients' SHA-256 commitments are equal",
        guarantee="heuristic",
        adaptive_attacks=("model-inconsistency", "imprint"),
        protects="a sum from being made of different models",
        against="a server that sends clients different models to single one out",
        leaves_open="what one model, sent to all, is built to read: imprints pass it",
    ),
)


def card_in_force(name: str, defense: Any) -> DefenseCard:
    """Return the card called `name` with the public fields of `defense` as its settings."""
    card = next(card for card in CARDS if card.name == name)
    return replace(card, settings={f.name: getattr(defense, f.name) for f in fields(defense)})
