"""Scores and settings that make no audit of epsilon, each refused with its reason."""

from typing import Any

import numpy as np
import pytest

from seepage.accounting import epsilon_lower_bound, gdp_estimate
from seepage.core.errors import UsageError

DELTA = 1e-5
MANY_RUNS: dict[str, Any] = {"method": "clopper-pearson", "independent_runs": True}
EVEN = np.linspace(0, 1, 200)


@pytest.mark.parametrize(
    ("ours", "theirs", "options", "message"),
    [
        (EVEN, [], {}, "no non-member score"),
        ([], EVEN, {}, "no member score"),
        ([*EVEN, np.nan], EVEN, {}, "1 of 201 member scores are NaN"),
        (EVEN, [*EVEN, -np.inf], {}, "1 of 201 non-member scores are NaN or infinite"),
        (EVEN[None], EVEN, {}, "one score a canary"),
        (["high"], EVEN, {}, "no array of numbers"),
        (np.linspace(0, 1, 900), EVEN[:100], {}, "fair coins don't do"),
        ([1.0, 2.0], [0.0, 0.5], {}, "use more canaries"),
        (EVEN, EVEN, {"guesses": 3}, "more guesses"),
        (EVEN, EVEN, {"delta": 0.2, "method": "steinke"}, "smaller delta"),
        (EVEN, EVEN, {"guesses": 0}, "guesses is 0"),
        (EVEN, EVEN, {"guesses": (50, 401)}, "guesses is 401"),
        (EVEN, EVEN, {"guesses": 10.5}, "whole number"),
        (EVEN, EVEN, {"guesses": ()}, "whole number"),
        (EVEN, EVEN, {"delta": 0.0}, "delta is 0"),
        (EVEN, EVEN, {"delta": np.nan}, "delta is nan"),
        (EVEN, EVEN, {"confidence": 95}, "confidence is 95"),
        (EVEN, EVEN, {"method": "stienke"}, "did you mean 'steinke'"),
        (EVEN, EVEN, {"method": "clopper-pearson"}, "scores of one run share its training"),
        (EVEN, EVEN, {**MANY_RUNS, "guesses": 200}, "use 0 to 199"),
    ],
)
def test_what_makes_no_audit_is_refused_with_the_reason(
    ours: Any, theirs: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        epsilon_lower_bound(ours, theirs, **{"delta": DELTA, **options})


def test_power_is_asked_of_what_has_one() -> None:
    audit = epsilon_lower_bound(EVEN, EVEN, delta=DELTA)
    for epsilon, mechanism in ((-1.0, "gaussian"), (1.0, "laplace"), (1.0, "randomized-response")):
        with pytest.raises(UsageError):
            audit.power_at(epsilon, mechanism)
    pure = epsilon_lower_bound(EVEN, EVEN, delta=0.0, method="steinke")
    with pytest.raises(UsageError, match="no epsilon at delta 0"):
        pure.power_at(1.0)


@pytest.mark.parametrize("sides", [([1.0], EVEN), ([1.0, 1.0], [0.0, 0.0])])
def test_scores_without_spread_fit_no_gaussian(sides: tuple[Any, Any]) -> None:
    with pytest.raises(UsageError, match="spread"):
        gdp_estimate(*sides, delta=DELTA)
