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
    AttackCard(
        name="posterior-mean",
        summary="Reconstructs a record from its noisy gradient as the mean of what it may be.",
        implementation="seepage.attacks.inversion.learned.posterior_mean:PosteriorMean",
        reference="Wiener 1949; Balle, Cherubin & Hayes 2022, arXiv 2201.04845 (the adversary)",
        year=2022,
        parameters=(
            Parameter(name="components", default=256, summary="of the auxiliary records, at most"),
            Parameter(name="rounds", default=8, summary="most rounds of a history that are used"),
        ),
        observers=(Observer.HONEST_SERVER,),
        needs=(Capability.KNOWS_BATCH_SIZE, Capability.HOLDS_AUXILIARY_DATA),
        views=("update", "history"),
        claims="reconstruction",
        cost="moderate",
        adaptive_against=("dp-sgd", "per-coordinate-dp", "bayesian-noise", "local-dp"),
    ),
)
