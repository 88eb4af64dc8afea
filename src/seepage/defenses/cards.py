"""The catalogue of defenses: facts that need no torch to read."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from ..core.cards import DefenseCard, Parameter
from .dp_cards import DP_CARDS

_NOISE_MULTIPLIER = Parameter(
    name="noise_multiplier",
    default=1.0,
    summary="standard deviation of the noise in clipping norms, 0 or more",
)

CARDS: tuple[DefenseCard, ...] = (
    DefenseCard(
        name="dp-sgd",
        summary="Each client clips every record's gradient and adds Gaussian noise to their sum.",
        implementation="seepage.defenses.dp_sgd:DPSGD",
        reference="Abadi et al. 2016, arXiv 1607.00133",
        year=2016,
        parameters=(
            _NOISE_MULTIPLIER,
            Parameter(
                name="max_grad_norm",
                default=1.0,
                summary="L2 norm that a record's gradient is clipped to, above 0; at first, where "
                "clipping is adaptive",
            ),
            Parameter(
                name="clipping",
                default="fixed",
                summary="fixed, adaptive (the norm follows a quantile of the gradients' norms, "
                "by a noisy count that is accounted for) or per-layer",
            ),
            Parameter(
                name="target_quantile",
                default=0.5,
                summary="adaptive: share of gradients to leave unclipped, between 0 and 1",
            ),
            Parameter(
                name="clip_learning_rate",
                default=0.2,
                summary="adaptive: step of the norm's logarithm, above 0",
            ),
            Parameter(
                name="count_noise",
                default=10.0,
                summary="adaptive: standard deviation of the noise on the count of unclipped "
                "gradients, in records; above half the noise multiplier",
            ),
            Parameter(
                name="layer_split",
                default="dimension",
                summary="per-layer: shares of the squared norm by dimension, or equal",
            ),
            Parameter(
                name="noise_by_layer",
                default=None,
                summary="table: prefix of parameter names -> factor on the noise's standard "
                "deviation there, above 0",
            ),
            Parameter(
                name="noise_schedule",
                default=(),
                summary="pairs of first step and factor on the noise multiplier: the stages of "
                "the job",
            ),
        ),
        mechanism="per-record clipping and Gaussian noise in each local step, Poisson batches",
        guarantee="formal",
        adaptive_attacks=("averaged",),
        protects="whether any one record was trained on, and what it holds",
        against="everybody who sees what a client sends, the server included",
        leaves_open="what many records have in common, a person with several records, "
        "clients that lie",
    ),
    DefenseCard(
        name="per-coordinate-dp",
        summary="DP-SGD with noise that differs by coordinate, clipped where that noise is even.",
        implementation="seepage.defenses.per_coordinate_dp:PerCoordinateDP",
        reference="Abadi et al. 2016, arXiv 1607.00133, in a scaled space",
        year=2016,
        parameters=(
            _NOISE_MULTIPLIER,
            Parameter(
                name="max_grad_norm",
                default=1.0,
                summary="L2 norm that a record's gradient over the scales is clipped to, above 0",
            ),
            Parameter(
                name="clipping",
                default="whitened",
                summary="whitened; isotropic is refused, with its true epsilon, unless all scales "
                "are the same",
            ),
            Parameter(
                name="source",
                default="noisy-releases",
                summary="where the scales come from: noisy-releases (earlier ones), public, or "
                "budgeted (a noisy estimate by tensor in the first steps)",
            ),
            Parameter(
                name="scales",
                default=None,
                summary="public: table of prefix of parameter names -> scale, or name -> one for "
                "each value, above 0",
            ),
            Parameter(
                name="memory",
                default=0.9,
                summary="noisy-releases: weight of the past in the mean of squares, from 0 to "
                "below 1",
            ),
            Parameter(
                name="floor",
                default=0.1,
                summary="least size of a coordinate, in mean sizes, above 0",
            ),
            Parameter(
                name="estimate_steps",
                default=5,
                summary="budgeted: steps that estimate, 1 or more",
            ),
            Parameter(
                name="estimate_noise",
                default=5.0,
                summary="budgeted: standard deviation of the noise on the sum of shares, above 0",
            ),
        ),
        mechanism="per-record clipping and Gaussian noise in a scaled space, Poisson batches",
        guarantee="formal",
        adaptive_attacks=("averaged",),
        protects="whether any one record was trained on, and what it holds",
        against="everybody who sees what a client sends, the server included",
        leaves_open="as dp-sgd; the quieter coordinates are no less protected, and no more",
    ),
    DefenseCard(
        name="bayesian-noise",
        summary="DP-SGD whose noise is drawn from a posterior on earlier noisy steps; its epsilon "
        "is that of the least noise.",
        implementation="seepage.defenses.bayesian_noise:BayesianNoise",
        reference="Triastcyn & Faltings 2020, arXiv 1901.09697 (its Bayesian figure)",
        year=2020,
        parameters=(
            Parameter(
                name="noise_multiplier",
                default=1.0,
                summary="least noise multiplier that it can draw, 0 or more: the worst case",
            ),
            Parameter(
                name="largest_multiplier",
                default=2.0,
                summary="largest noise multiplier that it can draw, and where it begins",
            ),
            Parameter(
                name="max_grad_norm",
                default=1.0,
                summary="L2 norm that a record's gradient is clipped to, above 0",
            ),
            Parameter(
                name="noise_to_signal",
                default=0.1,
                summary="noise of a coordinate over the norm of the sum of gradients, above 0",
            ),
            Parameter(
                name="prior_steps",
                default=2.0,
                summary="how many steps the prior is worth, above 0",
            ),
            Parameter(
                name="memory",
                default=0.9,
                summary="weight that a step's statistic keeps at the next, from 0 to below 1",
            ),
            Parameter(
                name="typical_lengths",
                default=(),
                summary="gradient lengths over the clipping norm of public records, from 0 to 1, "
                "for the Bayesian figure",
            ),
        ),
        mechanism="per-record clipping and Gaussian noise of a drawn scale, Poisson batches",
        guarantee="formal",
        adaptive_attacks=("averaged",),
        protects="whether any one record was trained on, at the least noise that can be drawn",
        against="everybody who sees what a client sends, the server included",
        leaves_open="as dp-sgd; its Bayesian figure holds for typical records alone",
    ),
    *DP_CARDS,
    DefenseCard(
        name="top-k",
        summary="Each client sends only the coordinates of its update that are largest.",
        implementation="seepage.defenses.top_k:TopK",
        reference="Aji & Heafield 2017, arXiv 1704.05021",
        year=2017,
        parameters=(
            Parameter(
                name="fraction",
                default=0.1,
                summary="share of all coordinates that is sent, above 0 and at most 1",
            ),
        ),
        mechanism="all but the largest coordinates of the update are set to zero",
        guarantee="heuristic",
        adaptive_attacks=("inverting-gradients",),
        protects="nothing that can be stated: most coordinates stay away, the telling ones go",
        against="an attacker who takes zeros for values",
        leaves_open="the records: what is sent is exact, and matching by it alone works",
    ),
    DefenseCard(
        name="secure-aggregation",
        summary="The server learns the sum of the updates and no single one (ideal: a trusted "
        "third party adds them up).",
        implementation="seepage.defenses.secure_aggregation:SecureAggregation",
        reference="Bonawitz et al. 2017",
        year=2017,
        parameters=(
            Parameter(
                name="minimum_cohort",
                default=2,
                summary="fewest updates whose sum may be revealed, 2 or more",
            ),
        ),
        mechanism="an ideal sum: only the aggregate is revealed, and nothing is added to it",
        guarantee="none",
        adaptive_attacks=("fully-connected", "imprint", "model-inconsistency"),
        protects="which update is whose",
        against="a server that keeps to the protocol, and whoever listens",
        leaves_open="all that a sum shows: a sum of few, or of models that differ, is as "
        "good as one update",
    ),
    DefenseCard(
        name="model-commitment",
        summary="Each client binds a hash of the model, roster and round that it received into "
        "its update: a server that sends differing models gets no sum.",
        implementation="seepage.defenses.model_commitment:ModelCommitment",
        reference="Pasquini, Francati & Ateniese 2022, arXiv 2111.07380",
        year=2022,
        mechanism="the sum is released only where all clients' SHA-256 commitments are equal",
        guarantee="heuristic",
        adaptive_attacks=("model-inconsistency", "imprint"),
        protects="a sum from being made of different models",
        against="a server that sends clients different models to single one out",
        leaves_open="what one model, sent to all, is built to read: imprints pass it",
    ),
)


def card_in_force(name: str, defense: Any) -> DefenseCard:
    """Return the card called `name` with the public fields of `defense` as its settings."""
    card = next(card for card in CARDS if card.name == name)
    return replace(card, settings={f.name: getattr(defense, f.name) for f in fields(defense)})
