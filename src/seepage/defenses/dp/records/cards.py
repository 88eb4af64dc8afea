"""The defenses of single records in a client's local steps."""

from __future__ import annotations

from ....core.cards import DefenseCard, Parameter
from ..parameters import MAX_GRAD_NORM, NOISE_MULTIPLIER

RECORDS: tuple[DefenseCard, ...] = (
    DefenseCard(
        name="dp-sgd",
        summary="Each client clips every record's gradient and adds Gaussian noise to their sum.",
        implementation="seepage.defenses.dp.records.dp_sgd:DPSGD",
        reference="Abadi et al. 2016, arXiv 1607.00133",
        year=2016,
        parameters=(
            NOISE_MULTIPLIER,
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
        adaptive_attacks=("averaged", "candidate-test"),
        protects="whether any one record was trained on, and what it holds",
        against="everybody who sees what a client sends, the server included",
        leaves_open="what many records have in common, a person with several records, "
        "clients that lie",
    ),
    DefenseCard(
        name="per-coordinate-dp",
        summary="DP-SGD with noise that differs by coordinate, clipped where that noise is even.",
        implementation="seepage.defenses.dp.records.per_coordinate_dp:PerCoordinateDP",
        reference="Abadi et al. 2016, arXiv 1607.00133, in a scaled space",
        year=2016,
        parameters=(
            NOISE_MULTIPLIER,
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
        adaptive_attacks=("averaged", "candidate-test"),
        protects="whether any one record was trained on, and what it holds",
        against="everybody who sees what a client sends, the server included",
        leaves_open="as dp-sgd; the quieter coordinates are no less protected, and no more",
    ),
    DefenseCard(
        name="bayesian-noise",
        summary="DP-SGD whose noise is drawn from a posterior on earlier noisy steps; its epsilon "
        "is that of the least noise.",
        implementation="seepage.defenses.dp.records.bayesian_noise:BayesianNoise",
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
            MAX_GRAD_NORM,
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
        adaptive_attacks=("averaged", "candidate-test"),
        protects="whether any one record was trained on, at the least noise that can be drawn",
        against="everybody who sees what a client sends, the server included",
        leaves_open="as dp-sgd; its Bayesian figure holds for typical records alone",
    ),
    DefenseCard(
        name="dp-ftrl",
        summary="Each client clips every record's gradient and adds noise that mostly cancels "
        "over its steps.",
        implementation="seepage.defenses.dp.records.dp_ftrl:DPFTRL",
        reference="Kairouz et al. 2021, arXiv 2103.00039",
        year=2021,
        parameters=(
            Parameter(
                name="noise_multiplier",
                default=1.0,
                summary="standard deviation of each step's fresh noise in clipping norms, 0 or "
                "more",
            ),
            MAX_GRAD_NORM,
        ),
        mechanism="per-record clipping and square-root Toeplitz noise over a client's steps, "
        "whose epochs all go through its records in one order",
        guarantee="formal",
        adaptive_attacks=("averaged", "candidate-test"),
        protects="whether any one record was trained on, over all steps together",
        against="everybody who sees what a client sends, the server included",
        leaves_open="a server that asks for extra rounds: it draws beyond the epochs that "
        "are accounted for",
    ),
)
