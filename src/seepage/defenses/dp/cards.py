"""The formal defenses: of single records, of updates, of aggregates and of the data itself."""

from __future__ import annotations

from ...core.cards import DefenseCard, Parameter
from .parameters import NOISE_MULTIPLIER
from .records.cards import RECORDS

DP: tuple[DefenseCard, ...] = (
    *RECORDS,
    DefenseCard(
        name="local-dp",
        summary="Each client clips its whole update and adds noise to every coordinate.",
        implementation="seepage.defenses.dp.local_dp:LocalDP",
        reference="Kasiviswanathan et al. 2011, arXiv 0803.0924",
        year=2011,
        parameters=(
            NOISE_MULTIPLIER,
            Parameter(
                name="max_norm",
                default=1.0,
                summary="L2 norm that an update is clipped to, above 0; L1 under Laplace noise",
            ),
            Parameter(
                name="noise",
                default="gaussian",
                summary="gaussian or laplace (then the noise multiplier is of its scale b)",
            ),
        ),
        mechanism="clipping of the update and noise at the client",
        guarantee="formal",
        adaptive_attacks=("averaged", "posterior-mean"),
        protects="everything that one client holds, as a whole",
        against="everybody, the server included: nobody is trusted",
        leaves_open="the model itself: among few clients the noise drowns it",
    ),
    DefenseCard(
        name="central-dp",
        summary="The server clips each update and adds Gaussian noise to their mean.",
        implementation="seepage.defenses.dp.central_dp:CentralDP",
        reference="McMahan et al. 2018, arXiv 1710.06963",
        year=2018,
        parameters=(
            NOISE_MULTIPLIER,
            Parameter(
                name="max_norm",
                default=1.0,
                summary="L2 norm that each update is clipped to, above 0",
            ),
        ),
        mechanism="clipping of every update and Gaussian noise at the server, which sees all",
        guarantee="formal",
        adaptive_attacks=(),
        protects="everything that one client holds, as a whole",
        against="other clients, and whoever gets the model",
        leaves_open="the server, which sees every update before it adds the noise",
    ),
    DefenseCard(
        name="distributed-dp",
        summary="Each client adds its share of discrete Gaussian noise; the server learns the "
        "sum alone, with all shares in it.",
        implementation="seepage.defenses.dp.distributed_dp:DistributedDP",
        reference="Kairouz, Liu & Steinke 2021, arXiv 2102.06387",
        year=2021,
        parameters=(
            Parameter(
                name="noise_multiplier",
                default=1.0,
                summary="least standard deviation of the noise in a sum, in clipping norms, 0 or "
                "more",
            ),
            Parameter(
                name="max_norm",
                default=1.0,
                summary="L2 norm that an update is clipped to, above 0",
            ),
            Parameter(
                name="threshold",
                default=2,
                summary="fewest clients whose sum is revealed, 2 or more",
            ),
            Parameter(
                name="colluders",
                default=0,
                summary="most clients of a sum that work with the server, below the threshold",
            ),
            Parameter(
                name="granularity",
                default=2.0**-12,
                summary="spacing of the grid that updates are rounded to, in clipping norms",
            ),
            Parameter(
                name="modulus_bits",
                default=32,
                summary="sums are taken modulo 2 to this, 2 to 40; also the bits of a coordinate",
            ),
            Parameter(
                name="dimension",
                default=1_000_000,
                summary="most coordinates of an update, which the rounding is accounted for",
            ),
        ),
        mechanism="clipping, rounding and exact discrete Gaussian noise at the client, and an "
        "ideal sum modulo a power of two",
        guarantee="formal",
        adaptive_attacks=("fully-connected", "imprint", "model-inconsistency"),
        protects="everything that one client holds, as a whole",
        against="the server and up to `colluders` clients with it, as long as "
        "`threshold` clients add up",
        leaves_open="the server where sums of fewer are revealed; what all clients have in common",
    ),
    DefenseCard(
        name="randomized-response",
        summary="Each client replaces labels and categorical inputs at random, once, before it "
        "trains.",
        implementation="seepage.defenses.dp.randomized_response:RandomizedResponse",
        reference="Warner 1965; Kairouz, Bonawitz & Ramage 2016, arXiv 1602.07387",
        year=1965,
        parameters=(
            Parameter(
                name="epsilon",
                default=1.0,
                summary="of each column: log of the odds of the truth against one given lie",
            ),
            Parameter(
                name="classes",
                default=2,
                summary="kinds of label, 2 or more; 0 leaves labels as they are",
            ),
            Parameter(
                name="categories",
                default=(),
                summary="kinds of each input column, in order; empty leaves inputs as they are",
            ),
        ),
        mechanism="every categorical value is kept, or replaced by another one at random",
        guarantee="formal",
        adaptive_attacks=("label-counts",),
        protects="the value of each listed category of a record",
        against="everybody, the client's own training included",
        leaves_open="the columns that are not listed, and links between columns",
    ),
)
