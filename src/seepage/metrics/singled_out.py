"""How surely each single member is told: what share of outsiders looks at least as suspect."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..core.intervals import Floats


def accused_with(members: Floats, others: Floats) -> NDArray[np.int64]:
    """Return how many non-members score at least as high as each member, int64 `[n]`.

    `members` `[n]` and `others` `[m]` are scores. Divided by m it is the least false-positive
    rate at which that member is found: the share of members with at most x is the true-positive
    rate at x (`membership.tprs_at`). A member's score does not depend on which non-members were
    drawn, so the count is binomial, and Clopper-Pearson limits of the share hold for each
    record, those with the highest scores included.

    >>> accused_with(np.array([5.0, 2.0, 0.0]), np.array([1.0, 2.0, 3.0])).tolist()
    [0, 2, 3]
    """
    return len(others) - np.searchsorted(np.sort(others), members, side="left")
