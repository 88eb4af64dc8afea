"""The catalogue of attacks that guess membership."""

from ...core.cards import AttackCard, Parameter
from ...core.threat import Capability, Observer

MEMBERSHIP = (
    AttackCard(
        name="final-loss",
        summary="Membership from the final model's loss: low on the records it was trained on.",
        implementation="seepage.attacks.membership.final_loss:FinalLoss",
        reference="Yeom et al. 2018, arXiv 1709.01604",
        year=2018,
        observers=(Observer.MODEL_HOLDER, Observer.MODEL_USER),
        needs=(Capability.HOLDS_CANDIDATES,),
        views=("model", "outputs"),
        claims="membership",
        cost="cheap",
    ),
    AttackCard(
        name="gradient-cosine",
        summary="Membership from the angle between a record's gradient and a client's updates.",
        implementation="seepage.attacks.membership.gradient_cosine:GradientCosine",
        reference=(
            "Li, Li & Ribeiro 2022, Effective passive membership inference attacks in "
            "federated learning against overparameterized models"
        ),
        year=2022,
        observers=(Observer.HONEST_SERVER, Observer.EAVESDROPPER),
        needs=(Capability.HOLDS_CANDIDATES, Capability.SEES_CLIENT_UPDATES),
        views=("history",),
        claims="membership",
        cost="moderate",
    ),
    AttackCard(
        name="fedmia",
        summary="Membership in one client's data, held against the other clients' updates.",
        implementation="seepage.attacks.membership.fedmia:FedMIA",
        reference="Zhu et al. 2024, arXiv 2402.06289",
        year=2024,
        parameters=(
            Parameter(
                name="pooling",
                default=4.0,
                summary=(
                    "degrees of freedom that the variance pooled over candidates counts for, "
                    "0 (each has its own alone) or more"
                ),
            ),
        ),
        observers=(Observer.HONEST_SERVER, Observer.EAVESDROPPER),
        needs=(Capability.HOLDS_CANDIDATES, Capability.SEES_CLIENT_UPDATES),
        views=("history",),
        claims="membership",
        cost="moderate",
    ),
    AttackCard(
        name="loss-trajectory",
        summary="Membership in the job's data from the loss along the global models.",
        implementation="seepage.attacks.membership.loss_trajectory:LossTrajectory",
        reference="Zhu et al. 2024, arXiv 2402.06289 (the loss series)",
        year=2024,
        observers=(Observer.PEER_CLIENT,),
        needs=(Capability.HOLDS_CANDIDATES, Capability.SEES_GLOBAL_MODELS),
        views=("global-models",),
        claims="membership",
        cost="cheap",
    ),
    AttackCard(
        name="candidate-test",
        summary="Membership from the likelihood of noisy updates with and without each record.",
        implementation="seepage.attacks.membership.candidate_test:CandidateTest",
        reference="Nasr et al. 2021, arXiv 2101.04535; Hayes et al. 2023, arXiv 2302.07225",
        year=2021,
        parameters=(
            Parameter(
                name="sample_rate",
                default=0.0,
                summary="chance that a local step draws a member; 0: guessed from the batch size",
            ),
        ),
        observers=(Observer.HONEST_SERVER,),
        needs=(
            Capability.HOLDS_CANDIDATES,
            Capability.SEES_CLIENT_UPDATES,
            Capability.KNOWS_BATCH_SIZE,
        ),
        views=("history",),
        claims="membership",
        cost="moderate",
        adaptive_against=("dp-sgd", "per-coordinate-dp", "bayesian-noise", "local-dp"),
    ),
)
