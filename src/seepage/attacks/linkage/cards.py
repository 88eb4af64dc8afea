"""The catalogue of attacks that link records."""

from ...core.cards import AttackCard
from ...core.threat import Capability, Observer

LINKAGE = (
    AttackCard(
        name="source-inference",
        summary="Which client holds a record, from the loss under each client's local models.",
        implementation="seepage.attacks.linkage.source_inference:SourceInference",
        reference="Hu et al. 2021, arXiv 2109.05659",
        year=2021,
        observers=(Observer.HONEST_SERVER, Observer.EAVESDROPPER),
        needs=(Capability.HOLDS_CANDIDATES, Capability.SEES_CLIENT_UPDATES),
        views=("history",),
        claims="linkage",
        cost="moderate",
    ),
)
