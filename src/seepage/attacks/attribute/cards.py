"""The catalogue of attacks that guess attributes of a batch."""

from ...core.cards import AttackCard, Parameter
from ...core.threat import Capability, Observer

_COLUMN = Parameter(
    name="column",
    default="",
    summary="Whose values are guessed (empty: the first sensitive column of categories).",
)

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
    AttackCard(
        name="property-inference",
        summary="Counts how many records of a batch have each value of a column.",
        implementation="seepage.attacks.attribute.property_inference:PropertyInference",
        reference=("Melis et al. 2019, arXiv 1805.04049; Ateniese et al. 2015, arXiv 1306.4447"),
        year=2019,
        parameters=(
            _COLUMN,
            Parameter(
                name="concentration",
                default=2.0,
                summary="How alike batches' shares are expected to be, > 0 (large: all alike).",
            ),
        ),
        observers=(Observer.HONEST_SERVER,),
        needs=(Capability.KNOWS_BATCH_SIZE, Capability.HOLDS_AUXILIARY_DATA),
        views=("update", "aggregate"),
        claims="attribute",
        cost="moderate",
    ),
    AttackCard(
        name="attribute-inference",
        summary=(
            "Guesses a column of known records from a client's updates, or from the final model."
        ),
        implementation="seepage.attacks.attribute.attribute_inference:AttributeInference",
        reference=(
            "Yeom et al. 2018, arXiv 1709.01604; Lyu & Chen 2021, arXiv 2108.06910; Jayaraman & "
            "Evans 2022, arXiv 2209.01292"
        ),
        year=2018,
        parameters=(
            _COLUMN,
            Parameter(
                name="shadows",
                default=8,
                summary="Federations trained to learn what a remembered value looks like.",
            ),
        ),
        observers=(
            Observer.HONEST_SERVER,
            Observer.EAVESDROPPER,
            Observer.PEER_CLIENT,
            Observer.MODEL_HOLDER,
            Observer.MODEL_USER,
        ),
        needs=(Capability.HOLDS_CANDIDATES, Capability.HOLDS_AUXILIARY_DATA),
        views=("history", "model", "outputs"),
        claims="column",
        cost="dear",
    ),
)
