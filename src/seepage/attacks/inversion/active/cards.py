"""The catalogue of a malicious server's inversions."""

from ....core.cards import AttackCard, Parameter
from ....core.threat import Capability, Observer

ACTIVE = (
    AttackCard(
        name="fishing",
        summary="Rewrites the last layer so that one record makes a large batch's gradient.",
        implementation="seepage.attacks.inversion.active.fishing:Fishing",
        reference="Wen et al. 2022, arXiv 2202.00580",
        year=2022,
        parameters=(
            Parameter(name="mode", default="feature", summary="fish by 'class' or by 'feature'"),
            Parameter(name="target", default=-1, summary="the class; -1: the most promising"),
            Parameter(name="multiplier", default=0.0, summary="steepness of the cutoff; 0: best"),
            Parameter(name="inner", default="auto", summary="the attack on what was caught"),
        ),
        observers=(Observer.MALICIOUS_SERVER,),
        needs=(Capability.CHOOSES_MODEL,),
        views=("update", "aggregate"),
        claims="reconstruction",
        cost="moderate",
        adaptive_against=("secure-aggregation",),
    ),
    AttackCard(
        name="model-inconsistency",
        summary="Sends all clients but one a dead model, so that a secure sum is one's update.",
        implementation="seepage.attacks.inversion.active.model_inconsistency:ModelInconsistency",
        reference="Pasquini, Francati & Ateniese 2022, arXiv 2111.07380",
        year=2022,
        parameters=(
            Parameter(name="target", default=-1, summary="the client; -1: one at random"),
            Parameter(name="inner", default="auto", summary="the attack on its update"),
        ),
        observers=(Observer.MALICIOUS_SERVER,),
        needs=(Capability.CHOOSES_MODEL,),
        views=("aggregate", "update"),
        claims="reconstruction",
        cost="moderate",
        adaptive_against=("secure-aggregation",),
    ),
    AttackCard(
        name="sybils",
        summary="Fills the cohort with clients of its own, so that a secure sum is one client's "
        "update; no commitment to the model stops it, a cohort or a registry of clients that "
        "others keep does.",
        implementation="seepage.attacks.inversion.active.sybils:Sybils",
        reference="Boenisch et al. 2023, arXiv 2301.04017",
        year=2023,
        parameters=(
            Parameter(name="target", default=-1, summary="the client; -1: one drawn, at random"),
            Parameter(name="inner", default="auto", summary="the attack on its update"),
        ),
        observers=(Observer.MALICIOUS_SERVER,),
        needs=(Capability.CHOOSES_COHORT,),
        views=("aggregate", "update"),
        claims="reconstruction",
        cost="moderate",
        adaptive_against=("secure-aggregation", "distributed-dp"),
    ),
    AttackCard(
        name="imprint",
        summary="Inserts layers that sort records into bins, and reads them off, sum or not.",
        implementation="seepage.attacks.inversion.active.imprint:Imprint",
        reference="Fowl et al. 2022, arXiv 2110.13057",
        year=2022,
        parameters=(
            Parameter(name="bins", default=256, summary="neurons of the inserted layer"),
            Parameter(
                name="measurements",
                default=3,
                summary="hashes of a record that share the neurons; 1: as in the paper",
            ),
            Parameter(name="variant", default="sparse", summary="`sparse` or `linear` neurons"),
            Parameter(
                name="insert",
                default=True,
                summary="put layers in front; false: set weights of the model's own first two",
            ),
        ),
        observers=(Observer.MALICIOUS_SERVER,),
        needs=(Capability.CHOOSES_MODEL,),
        views=("update", "aggregate"),
        claims="reconstruction",
        adaptive_against=("secure-aggregation",),
    ),
    AttackCard(
        name="trap-weights",
        summary="Sets the first fully connected layer so that neurons fire for few records.",
        implementation="seepage.attacks.inversion.active.trap_weights:TrapWeights",
        reference="Boenisch et al. 2021, arXiv 2112.02918",
        year=2021,
        parameters=(
            Parameter(
                name="scaling",
                default=0.0,
                summary="size of positive weights by that of negative ones; 0: tuned",
            ),
            Parameter(
                name="subtract",
                default=True,
                summary="subtract proved records to lay bare others; false: as in the paper",
            ),
        ),
        observers=(Observer.MALICIOUS_SERVER,),
        needs=(Capability.CHOOSES_MODEL,),
        views=("update", "aggregate"),
        claims="reconstruction",
        adaptive_against=("secure-aggregation",),
    ),
)
