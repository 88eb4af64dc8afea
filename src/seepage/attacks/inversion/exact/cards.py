"""The catalogue of exact inversions."""

from ....core.cards import AttackCard, Parameter
from ....core.threat import Capability, Observer

# The gradient's rank shows the batch size: who reads the messages needs to know nothing else.
_ON_THE_WIRE = (Observer.HONEST_SERVER, Observer.EAVESDROPPER)
_SEARCH = (
    Parameter(name="starts", default=512, summary="descents a pass, in the search for columns"),
    Parameter(name="passes", default=5, summary="passes at most"),
    Parameter(name="largest_search", default=24, summary="search up to this many records"),
    Parameter(name="refits", default=4, summary="starts of the fit where records are unproved"),
)

EXACT = (
    AttackCard(
        name="fully-connected",
        summary="Reads a batch off the gradient of a fully connected first layer, exactly.",
        implementation="seepage.attacks.inversion.exact.fully_connected:FullyConnected",
        reference="Geiping et al. 2020, arXiv 2003.14053; Dimitrov et al. 2024, arXiv 2403.03945",
        year=2020,
        parameters=_SEARCH,
        observers=_ON_THE_WIRE,
        needs=(Capability.SEES_GLOBAL_MODELS,),
        views=("update", "aggregate"),
        claims="reconstruction",
        cost="moderate",
        adaptive_against=("secure-aggregation",),
    ),
    AttackCard(
        name="spear",
        summary="Reads a whole batch exactly off a first linear layer and its ReLU, or refuses.",
        implementation="seepage.attacks.inversion.exact.spear:Spear",
        reference="Dimitrov et al. 2024, arXiv 2403.03945",
        year=2024,
        parameters=(
            Parameter(name="starts", default=256, summary="descents a pass, in the search"),
            Parameter(name="passes", default=12, summary="passes at most, while columns miss"),
            Parameter(name="largest_search", default=48, summary="refuse beyond so many records"),
            Parameter(
                name="tolerance",
                default=1e-3,
                summary="greatest standard error of a value, as a share of the value range",
            ),
        ),
        observers=_ON_THE_WIRE,
        needs=(Capability.SEES_GLOBAL_MODELS,),
        views=("update", "aggregate"),
        claims="reconstruction",
        cost="moderate",
        adaptive_against=("secure-aggregation",),
    ),
    AttackCard(
        name="ica",
        summary="Unmixes large batches of a linear first layer by independent components.",
        implementation="seepage.attacks.inversion.exact.ica:ICA",
        reference="Kariyappa et al. 2023, arXiv 2209.05578",
        year=2023,
        parameters=(
            Parameter(name="iterations", default=200, summary="of FastICA, at most"),
            Parameter(name="tolerance", default=1e-3, summary="movement at which FastICA stops"),
            Parameter(name="largest", default=256, summary="refuse beyond so many records"),
        ),
        observers=_ON_THE_WIRE,
        needs=(Capability.SEES_GLOBAL_MODELS,),
        views=("update", "aggregate"),
        claims="reconstruction",
        cost="dear",
        adaptive_against=("secure-aggregation",),
    ),
    AttackCard(
        name="disaggregation",
        summary="Separates one client's update from secure sums of many rounds, by who took part "
        "in which, and inverts it.",
        implementation="seepage.attacks.inversion.exact.disaggregation:Disaggregation",
        reference="Lam et al. 2021, arXiv 2106.06089 (with the cohorts known)",
        year=2021,
        parameters=(
            Parameter(
                name="tolerance",
                default=0.1,
                summary="greatest standard error of the update, as a share of its norm, at which "
                "it can be solved",
            ),
            Parameter(name="inner", default="auto", summary="the attack on its update"),
        ),
        observers=_ON_THE_WIRE,
        needs=(Capability.SEES_GLOBAL_MODELS,),
        views=("aggregate-history", "history"),
        claims="reconstruction",
        cost="moderate",
        adaptive_against=("secure-aggregation",),
    ),
    AttackCard(
        name="averaged",
        summary="Averages a client's updates over rounds, so that noise shrinks, and inverts.",
        implementation="seepage.attacks.inversion.exact.averaged:Averaged",
        reference="folklore; see DLG (arXiv 1906.08935) on noise and Phong et al. 2018",
        year=2018,
        parameters=(
            Parameter(name="largest_search", default=12, summary="search up to so many records"),
            Parameter(name="refits", default=4, summary="starts of the fit, as fully-connected"),
        ),
        observers=_ON_THE_WIRE,
        needs=(Capability.SEES_CLIENT_UPDATES,),
        views=("history",),
        claims="reconstruction",
        cost="moderate",
        adaptive_against=("dp-sgd", "per-coordinate-dp", "bayesian-noise", "local-dp"),
    ),
)
