"""The catalogue of attacks that guess membership."""

from ...core.cards import AttackCard, Parameter
from ...core.threat import Capability, Observer

_SHADOWS = Parameter(name="shadows", default=16, summary="federations to train, 4 or more")
_ONLINE = Parameter(
    name="online",
    default=True,
    summary="whether half of the shadow federations train on a candidate; else none does",
)

MEMBERSHIP = (
    AttackCard(
        name="loss",
        aliases=("final-loss",),
        summary="Membership from the final model's loss, confidence or entropy, calibrated or not.",
        implementation="seepage.attacks.membership.loss:LossScore",
        reference=(
            "Yeom et al. 2018, arXiv 1709.01604; Song & Mittal 2021, arXiv 2003.10595; "
            "Watson et al. 2022, arXiv 2111.08440"
        ),
        year=2018,
        parameters=(
            Parameter(
                name="score",
                default="loss",
                summary="loss, confidence, entropy or modified-entropy",
            ),
            Parameter(
                name="calibrated",
                default=False,
                summary="whether it is held against shadow federations without the record",
            ),
            _SHADOWS,
            _ONLINE,
        ),
        observers=(Observer.MODEL_HOLDER, Observer.MODEL_USER),
        needs=(Capability.HOLDS_CANDIDATES,),
        views=("model", "outputs"),
        claims="membership",
        cost="cheap",
    ),
    AttackCard(
        name="gradient-cosine",
        summary="Membership from how a record's gradient lies to updates, or to their sum.",
        implementation="seepage.attacks.membership.gradient_cosine:GradientCosine",
        reference=(
            "Li, Li & Ribeiro 2022, Effective passive membership inference attacks in "
            "federated learning against overparameterized models"
        ),
        year=2022,
        parameters=(
            Parameter(
                name="score",
                default="cosine",
                summary="cosine, or difference: how much of the update's length the record takes",
            ),
        ),
        observers=(Observer.HONEST_SERVER, Observer.EAVESDROPPER, Observer.PEER_CLIENT),
        needs=(Capability.HOLDS_CANDIDATES, Capability.SEES_GLOBAL_MODELS),
        views=("history", "aggregate-history", "global-models"),
        claims="membership",
        cost="moderate",
    ),
    AttackCard(
        name="fed-mia",
        aliases=("fedmia",),
        summary="Membership in one client's data, held against the other clients' updates.",
        implementation="seepage.attacks.membership.fedmia:FedMIA",
        reference="Zhu et al. 2024, arXiv 2402.06289",
        year=2024,
        parameters=(
            Parameter(
                name="score",
                default="cosine",
                summary="cosine of gradient and update, or loss under the client's local model",
            ),
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
        observers=(Observer.HONEST_SERVER, Observer.EAVESDROPPER, Observer.PEER_CLIENT),
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
    AttackCard(
        name="lira",
        summary="Membership from a record's confidence, held against federations trained with "
        "and without it.",
        implementation="seepage.attacks.membership.lira:LiRA",
        reference="Carlini et al. 2022, arXiv 2112.03570",
        year=2022,
        parameters=(
            _SHADOWS,
            _ONLINE,
            Parameter(
                name="variance",
                default="auto",
                summary="own (each record's), pooled (one for all) or auto: own from 64 shadows on",
            ),
        ),
        observers=(Observer.PEER_CLIENT, Observer.MODEL_HOLDER, Observer.MODEL_USER),
        needs=(Capability.HOLDS_CANDIDATES, Capability.CAN_SIMULATE),
        views=("global-models", "model", "outputs"),
        claims="membership",
        cost="dear",
    ),
    AttackCard(
        name="white-box",
        summary="Membership from answers, gradients and activations, learned on shadow "
        "federations.",
        implementation="seepage.attacks.membership.white_box:WhiteBox",
        reference="Nasr, Shokri & Houmansadr 2019, arXiv 1812.00910",
        year=2019,
        parameters=(
            _SHADOWS,
            Parameter(name="rounds", default=3, summary="global models to look at, 1 or more"),
            Parameter(
                name="hidden",
                default=0,
                summary="units of the attack model's hidden layer; 0: it is logistic",
            ),
        ),
        observers=(Observer.HONEST_SERVER, Observer.PEER_CLIENT, Observer.MODEL_HOLDER),
        needs=(Capability.HOLDS_CANDIDATES, Capability.CAN_SIMULATE),
        views=("global-models", "model"),
        claims="membership",
        cost="dear",
    ),
    AttackCard(
        name="rmia",
        summary="Membership from how many other records a record beats in likelihood, held "
        "against shadow federations.",
        implementation="seepage.attacks.membership.rmia:RMIA",
        reference="Zarifzadeh, Liu & Shokri 2024, arXiv 2312.03262",
        year=2024,
        parameters=(
            _SHADOWS,
            _ONLINE,
            Parameter(
                name="gamma", default=2.0, summary="how much likelier a record has to be, >= 1"
            ),
            Parameter(
                name="a",
                default=0.3,
                summary="offline: how far probabilities without a record stand for those with "
                "it, 0 to 1",
            ),
        ),
        observers=(Observer.PEER_CLIENT, Observer.MODEL_HOLDER),
        needs=(
            Capability.HOLDS_CANDIDATES,
            Capability.HOLDS_AUXILIARY_DATA,
            Capability.CAN_SIMULATE,
        ),
        views=("model",),
        claims="membership",
        cost="dear",
    ),
    AttackCard(
        name="gradient-ascent",
        summary="Sends a model that has forgotten a record, and sees whether the client teaches it "
        "again.",
        implementation="seepage.attacks.membership.gradient_ascent:GradientAscent",
        reference="Nasr, Shokri & Houmansadr 2019, arXiv 1812.00910",
        year=2019,
        parameters=(
            Parameter(name="rise", default=5.0, summary="how far the record's loss is raised"),
            Parameter(name="steps", default=400, summary="most steps of ascent"),
            Parameter(name="step_size", default=0.02, summary="length of a step"),
            Parameter(
                name="retain",
                default=0.3,
                summary="weight of the descent on auxiliary records, 0 or more",
            ),
        ),
        observers=(Observer.MALICIOUS_SERVER,),
        needs=(Capability.HOLDS_CANDIDATES, Capability.CHOOSES_MODEL),
        views=("update", "aggregate"),
        claims="membership",
        cost="dear",
    ),
    AttackCard(
        name="user-level",
        summary="Whether a whole client took part, from all its records against shadow "
        "federations.",
        implementation="seepage.attacks.membership.user_level:UserLevel",
        reference="Kandpal et al. 2023, arXiv 2310.09266; Song & Shmatikov 2019, arXiv 1811.00513",
        year=2023,
        parameters=(
            _SHADOWS,
            Parameter(
                name="score",
                default="likelihood-ratio",
                summary="likelihood-ratio, or reference: records against shadows without them",
            ),
        ),
        observers=(
            Observer.HONEST_SERVER,
            Observer.PEER_CLIENT,
            Observer.MODEL_HOLDER,
            Observer.MODEL_USER,
        ),
        needs=(Capability.HOLDS_CANDIDATES, Capability.CAN_SIMULATE),
        views=("global-models", "model", "outputs"),
        claims="client-membership",
        cost="dear",
    ),
)
