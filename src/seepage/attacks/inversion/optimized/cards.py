"""The catalogue of inversions by search."""

from ....core.cards import AttackCard, Parameter
from ....core.threat import Capability, Observer

_OBSERVERS = (Observer.HONEST_SERVER,)
_STEPS = Parameter(name="steps", default=300, summary="iterations a restart")
_LR = Parameter(name="lr", default=0.1, summary="step size; falls along a half cosine")
_TV = Parameter(name="tv", default=4e-3, summary="weight of total variation by the log distance")
_RESTARTS = Parameter(name="restarts", default=1, summary="fresh starts; least objective wins")
_RECORDS = Parameter(name="records", default=0, summary="that the client holds; 0: enough")

OPTIMIZED = (
    AttackCard(
        name="inverting-gradients",
        summary="Optimizes a batch until its gradient points the way the observed one does.",
        implementation="seepage.attacks.inversion.optimized.inverting_gradients:InvertingGradients",
        reference="Geiping et al. 2020, arXiv 2003.14053",
        year=2020,
        parameters=(
            _STEPS,
            _LR,
            _TV,
            _RESTARTS,
            Parameter(
                name="mask_aware", default=True, summary="take what was not sent for unknown"
            ),
            Parameter(name="noise_aware", default=True, summary="do not fit noise of known size"),
        ),
        observers=_OBSERVERS,
        needs=(Capability.KNOWS_BATCH_SIZE,),
        views=("update", "aggregate"),
        claims="reconstruction",
        cost="dear",
        adaptive_against=(
            "top-k",
            "selective-encryption",
            "dp-sgd",
            "per-coordinate-dp",
            "local-dp",
        ),
    ),
    AttackCard(
        name="several-rounds",
        summary="Finds one batch that explains a client's updates of several rounds together.",
        implementation="seepage.attacks.inversion.optimized.several_rounds:SeveralRounds",
        reference="Geiping et al. 2020, arXiv 2003.14053, averaged over rounds",
        year=2020,
        parameters=(
            _STEPS,
            _LR,
            _TV,
            _RESTARTS,
            Parameter(name="rounds", default=16, summary="most rounds that are used"),
        ),
        observers=_OBSERVERS,
        needs=(Capability.KNOWS_BATCH_SIZE, Capability.SEES_CLIENT_UPDATES),
        views=("history",),
        claims="reconstruction",
        cost="dear",
        adaptive_against=("dp-sgd", "per-coordinate-dp", "local-dp"),
    ),
    AttackCard(
        name="dlg",
        summary="Finds the batch whose gradient equals the observed one, by L-BFGS.",
        implementation="seepage.attacks.inversion.optimized.dlg:DLG",
        reference="Zhu, Liu & Han 2019, arXiv 1906.08935",
        year=2019,
        parameters=(
            Parameter(name="steps", default=1000, summary="most evaluations a restart"),
            Parameter(name="restarts", default=2, summary="most starts; least objective wins"),
            Parameter(name="history", default=100, summary="curvature pairs that are kept"),
        ),
        observers=_OBSERVERS,
        needs=(Capability.KNOWS_BATCH_SIZE,),
        views=("update", "aggregate"),
        claims="reconstruction",
        cost="dear",
    ),
    AttackCard(
        name="grad-inversion",
        summary="Matches the gradient and the batch statistics, from several starts at once.",
        implementation="seepage.attacks.inversion.optimized.grad_inversion:GradInversion",
        reference="Yin et al. 2021, arXiv 2104.07586",
        year=2021,
        parameters=(
            Parameter(name="steps", default=250, summary="iterations of each start"),
            _LR,
            Parameter(name="tv", default=1.2e-2, summary="weight of total variation"),
            Parameter(name="l2", default=1e-3, summary="weight of the mean square"),
            Parameter(
                name="statistics", default=0.5, summary="weight of batch statistics' distance"
            ),
            Parameter(
                name="consistency", default=1.0, summary="weight of the distance from the mean"
            ),
            Parameter(name="restarts", default=1, summary="starts that are searched together"),
        ),
        observers=_OBSERVERS,
        needs=(Capability.KNOWS_BATCH_SIZE,),
        views=("update", "aggregate"),
        claims="reconstruction",
        cost="dear",
        adaptive_against=("top-k",),
    ),
    AttackCard(
        name="sme",
        summary="Matches an update of several local steps by a model between before and after.",
        implementation="seepage.attacks.inversion.optimized.sme:SME",
        reference="Zhu, Yao & Blaschko 2023, arXiv 2306.00127",
        year=2023,
        parameters=(
            _STEPS,
            _LR,
            _TV,
            _RESTARTS,
            Parameter(name="alpha", default=0.25, summary="where the surrogate starts, 0 to 1"),
            _RECORDS,
        ),
        observers=_OBSERVERS,
        needs=(Capability.KNOWS_BATCH_SIZE,),
        views=("update", "aggregate"),
        claims="reconstruction",
        cost="dear",
        adaptive_against=("top-k",),
    ),
    AttackCard(
        name="unrolled-fedavg",
        summary="Simulates the client's local steps and descends through the simulation.",
        implementation="seepage.attacks.inversion.optimized.unrolled_fedavg:UnrolledFedAvg",
        reference="Geiping et al. 2020, arXiv 2003.14053; Dimitrov et al. 2022, arXiv 2206.12395",
        year=2022,
        parameters=(
            Parameter(name="steps", default=300, summary="iterations of the last search"),
            _LR,
            _TV,
            Parameter(name="trials", default=3, summary="short searches before, then swaps"),
            Parameter(name="trial", default=60, summary="iterations of a short search"),
            Parameter(name="swaps", default=40, summary="pairs that change steps on trial"),
            _RECORDS,
            Parameter(name="agreement", default=1.0, summary="weight of the epochs' agreement"),
        ),
        observers=_OBSERVERS,
        needs=(Capability.KNOWS_BATCH_SIZE,),
        views=("update",),
        claims="reconstruction",
        cost="dear",
        adaptive_against=("top-k",),
    ),
)
