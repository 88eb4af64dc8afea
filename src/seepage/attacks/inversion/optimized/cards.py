"""The catalogue of inversions by search."""

from ....core.cards import AttackCard, Parameter
from ....core.threat import Capability, Observer

_OBSERVERS = (Observer.HONEST_SERVER,)

OPTIMIZED = (
    AttackCard(
        name="inverting-gradients",
        summary="Optimizes a batch until its gradient points the way the observed one does.",
        implementation="seepage.attacks.inversion.optimized.inverting_gradients:InvertingGradients",
        reference="Geiping et al. 2020, arXiv 2003.14053",
        year=2020,
        parameters=(
            Parameter(name="steps", default=300, summary="iterations a restart"),
            Parameter(name="lr", default=0.1, summary="step size; falls tenfold three times"),
            Parameter(name="tv", default=1e-6, summary="weight of total variation"),
            Parameter(name="restarts", default=1, summary="fresh starts; least objective wins"),
            Parameter(
                name="mask_aware", default=True, summary="take what was not sent for unknown"
            ),
        ),
        observers=_OBSERVERS,
        needs=(Capability.KNOWS_BATCH_SIZE,),
        views=("update", "aggregate"),
        claims="reconstruction",
        cost="dear",
        adaptive_against=("top-k",),
    ),
    AttackCard(
        name="dlg",
        summary="Finds the batch whose gradient equals the observed one, by L-BFGS.",
        implementation="seepage.attacks.inversion.optimized.dlg:DLG",
        reference="Zhu, Liu & Han 2019, arXiv 1906.08935",
        year=2019,
        parameters=(
            Parameter(name="steps", default=60, summary="iterations of L-BFGS a restart"),
            Parameter(name="restarts", default=2, summary="fresh starts; least objective wins"),
            Parameter(name="history", default=20, summary="curvature pairs that are kept"),
        ),
        observers=_OBSERVERS,
        needs=(Capability.KNOWS_BATCH_SIZE,),
        views=("update", "aggregate"),
        claims="reconstruction",
        cost="dear",
    ),
)
