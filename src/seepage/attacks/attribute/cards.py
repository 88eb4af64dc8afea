"""The catalogue of attacks that guess attributes of a batch."""

from ...core.cards import AttackCard
from ...core.threat import Capability, Observer

ATTRIBUTE = (
    AttackCard(
        name="label-counts",
        summary="Reads the labels of a batch off the gradient of the last linear layer.",
        implementation="seepage.attacks.attribute.labels:LabelCounts",
        reference=("Zhao et al. 2020, arXiv 2001.02610; Wainakh et al. 2022, arXiv 2105.09369"),
        year=2020,
        observers=(Observer.HONEST_SERVER,),
        needs=(Capability.KNOWS_BATCH_SIZE,),
        views=("update", "aggregate"),
        claims="attribute",
        cost="cheap",
    ),
)
