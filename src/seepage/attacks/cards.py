"""The catalogue: facts of every attack, without importing any."""

from ..core.cards import AttackCard, Parameter
from ..core.threat import Capability, Observer
from .attribute.cards import ATTRIBUTE
from .membership.cards import MEMBERSHIP

# Those who know the batch size, and those who need not: the gradient's rank shows it.
_UPDATE_READERS = (Observer.HONEST_SERVER,)
_ON_THE_WIRE = (Observer.HONEST_SERVER, Observer.EAVESDROPPER)
_SEARCH = (
    Parameter(name="starts", default=512, summary="descents a pass, in the search for columns"),
    Parameter(name="passes", default=5, summary="passes at most"),
    Parameter(name="largest_search", default=24, summary="search up to this many records"),
    Parameter(name="refits", default=4, summary="starts of the fit where records are unproved"),
)

INVERSION = (
    AttackCard(
        name="fully-connected",
        summary="Reads a batch off the gradient of a fully connected first layer, exactly.",
        implementation="seepage.attacks.inversion.fully_connected:FullyConnected",
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
        name="averaged",
        summary="Averages a client's updates over rounds, so that noise shrinks, and inverts.",
        implementation="seepage.attacks.inversion.averaged:Averaged",
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
        adaptive_against=("dp-sgd", "local-dp"),
    ),
    AttackCard(
        name="inverting-gradients",
        summary="Optimizes a batch until its gradient points the way the observed one does.",
        implementation="seepage.attacks.inversion.inverting_gradients:InvertingGradients",
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
        observers=_UPDATE_READERS,
        needs=(Capability.KNOWS_BATCH_SIZE,),
        views=("update", "aggregate"),
        claims="reconstruction",
        cost="dear",
        adaptive_against=("top-k",),
    ),
    AttackCard(
        name="dlg",
        summary="Finds the batch whose gradient equals the observed one, by L-BFGS.",
        implementation="seepage.attacks.inversion.dlg:DLG",
        reference="Zhu, Liu & Han 2019, arXiv 1906.08935",
        year=2019,
        parameters=(
            Parameter(name="steps", default=60, summary="iterations of L-BFGS a restart"),
            Parameter(name="restarts", default=2, summary="fresh starts; least objective wins"),
            Parameter(name="history", default=20, summary="curvature pairs that are kept"),
        ),
        observers=_UPDATE_READERS,
        needs=(Capability.KNOWS_BATCH_SIZE,),
        views=("update", "aggregate"),
        claims="reconstruction",
        cost="dear",
    ),
)

CARDS = (*INVERSION, *ATTRIBUTE, *MEMBERSHIP)
