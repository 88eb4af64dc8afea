"""The catalogue of learned inversions."""

from ....core.cards import AttackCard, Parameter
from ....core.threat import Capability, Observer

LEARNED: tuple[AttackCard, ...] = (
    AttackCard(
        name="learning-to-invert",
        summary="Learns to invert updates from auxiliary records, the defenses simulated.",
        implementation="seepage.attacks.inversion.learned.learning_to_invert:LearningToInvert",
        reference="Wu et al. 2023, arXiv 2210.10880",
        year=2023,
        parameters=(
            Parameter(name="examples", default=1500, summary="simulated updates to learn from"),
            Parameter(name="hashed", default=65536, summary="values that updates are hashed to"),
            Parameter(name="components", default=512, summary="principal components kept"),
            Parameter(name="degree", default=3, summary="of the kernel; 1 is linear regression"),
            Parameter(name="most_records", default=16, summary="refuse updates of more records"),
            Parameter(name="adaptive", default=True, summary="simulate the defenses in force"),
        ),
        observers=(Observer.HONEST_SERVER,),
        needs=(Capability.KNOWS_BATCH_SIZE, Capability.HOLDS_AUXILIARY_DATA),
        views=("update", "aggregate"),
        claims="reconstruction",
        cost="dear",
        adaptive_against=("top-k", "local-dp", "dp-sgd"),
    ),
)
