"""Who attacks, and what each of them can do."""

from dataclasses import dataclass
from enum import StrEnum


class Observer(StrEnum):
    """A vantage point on a federated job, from the strongest to the weakest."""

    MALICIOUS_SERVER = "malicious-server"
    HONEST_SERVER = "honest-server"
    EAVESDROPPER = "eavesdropper"
    PEER_CLIENT = "peer-client"
    MODEL_HOLDER = "model-holder"
    MODEL_USER = "model-user"
    RELEASE_READER = "release-reader"


class Capability(StrEnum):
    """One thing that an observer sees, knows or can do.

    Every attacker knows the defenses and their public parameters (Kerckhoffs), so
    that is no capability.
    """

    SEES_CLIENT_UPDATES = "sees-client-updates"
    SEES_AGGREGATES = "sees-aggregates"
    SEES_GLOBAL_MODELS = "sees-global-models"
    SEES_FINAL_MODEL = "sees-final-model"
    SEES_OUTPUTS = "sees-outputs"
    CHOOSES_MODEL = "chooses-model"
    CHOOSES_COHORT = "chooses-cohort"
    HOLDS_AUXILIARY_DATA = "holds-auxiliary-data"
    HOLDS_CANDIDATES = "holds-candidates"
    KNOWS_LABELS = "knows-labels"
    KNOWS_BATCH_SIZE = "knows-batch-size"
    KNOWS_BATCH_NORM_STATISTICS = "knows-batch-norm-statistics"
    CAN_SIMULATE = "can-simulate"


@dataclass(frozen=True, kw_only=True, slots=True)
class ObserverCard:
    """What an observer is in the world, and what it can do before any defense.

    `audited` is false for observers whose attacks have no place in a job yet.
    """

    name: Observer
    summary: str
    capabilities: frozenset[Capability]
    audited: bool = True


_AUDITOR = {
    Capability.HOLDS_CANDIDATES,
    Capability.HOLDS_AUXILIARY_DATA,
    Capability.CAN_SIMULATE,
}
_ON_THE_WIRE = _AUDITOR | {
    Capability.SEES_CLIENT_UPDATES,
    Capability.SEES_AGGREGATES,
    Capability.SEES_GLOBAL_MODELS,
    Capability.SEES_FINAL_MODEL,
    Capability.SEES_OUTPUTS,
}
_SERVER = _ON_THE_WIRE | {Capability.KNOWS_BATCH_SIZE}

OBSERVERS: dict[Observer, ObserverCard] = {
    card.name: card
    for card in (
        ObserverCard(
            name=Observer.MALICIOUS_SERVER,
            summary="A server that departs from the protocol: chooses models and cohorts.",
            capabilities=frozenset(_SERVER | {Capability.CHOOSES_MODEL, Capability.CHOOSES_COHORT}),
        ),
        ObserverCard(
            name=Observer.HONEST_SERVER,
            summary="The server that runs the job as agreed, and reads all that it receives.",
            capabilities=frozenset(_SERVER),
        ),
        ObserverCard(
            name=Observer.EAVESDROPPER,
            summary="Reads the messages between server and clients (no TLS, or it is broken).",
            capabilities=frozenset(_ON_THE_WIRE),
        ),
        ObserverCard(
            name=Observer.PEER_CLIENT,
            summary="Another participant: receives every global model.",
            capabilities=frozenset(
                _AUDITOR
                | {
                    Capability.SEES_GLOBAL_MODELS,
                    Capability.SEES_FINAL_MODEL,
                    Capability.SEES_OUTPUTS,
                    Capability.KNOWS_BATCH_SIZE,
                }
            ),
        ),
        ObserverCard(
            name=Observer.MODEL_HOLDER,
            summary="Holds the final model and its weights (white box).",
            capabilities=frozenset(
                _AUDITOR | {Capability.SEES_FINAL_MODEL, Capability.SEES_OUTPUTS}
            ),
        ),
        ObserverCard(
            name=Observer.MODEL_USER,
            summary="Queries the final model and sees its outputs (black box).",
            capabilities=frozenset(_AUDITOR | {Capability.SEES_OUTPUTS}),
        ),
        ObserverCard(
            name=Observer.RELEASE_READER,
            summary="Reads a published dataset that the job's data went into.",
            capabilities=frozenset(_AUDITOR),
            audited=False,
        ),
    )
}
